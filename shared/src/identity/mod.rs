//! Names and passwords as RFC 8265 prepares them: parsed once at the edge, right ever after.

mod common_passwords;
mod password;
mod username;

pub use common_passwords::{PasswordBlocklist, PasswordGuessable};
pub use password::{Password, PasswordPolicy, PasswordRefused};
pub use username::{Username, UsernameRefused};
