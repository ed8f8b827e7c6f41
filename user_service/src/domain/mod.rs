//! The values of this service's domain, without IO, encoding or framework.

mod change;
mod precondition;
mod user;

pub use change::{NewPassword, Written};
pub use precondition::{Precondition, Tag, Tags};
pub use user::{Credentials, User};
