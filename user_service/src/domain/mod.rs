//! What the service is about: values without IO, encoding or framework.

mod change;
mod precondition;
mod user;

pub use change::{NewPassword, Written};
pub use precondition::{Precondition, Tag, Tags};
pub use user::{Credentials, User};
