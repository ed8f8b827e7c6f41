//! What login is about, without any input or output.

mod credential;
mod stand_in;

pub use credential::{Credential, Profile};
pub use stand_in::Lot;
