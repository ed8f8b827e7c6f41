//! The values of this service's domain, without IO, encoding or framework.

mod precondition;
mod user;

pub use precondition::{Precondition, Tag, Tags};
pub use user::{Credentials, NewPassword, PasswordPermit, User, Written};
