//! What login is about, without any input or output.

mod credential;

pub use credential::Credential;
