//! Names and passwords as RFC 8265 prepares them: parsed once at the edge, right ever after.

mod password;
mod username;

pub use password::{Password, PasswordPolicy, PasswordRefused};
pub use username::{Username, UsernameRefused};
