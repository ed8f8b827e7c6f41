//! What the service is about: values without IO, encoding or framework.

mod change;
mod user;

pub use change::{NewPassword, Precondition, Written};
pub use user::{Credentials, User};
