//! Secrets that the services keep: key files, and hashes sealed for the other service.

mod key_file;
mod random;
mod sealing;

pub use key_file::{KeyFileError, create_private_dir, load_or_create};
pub use random::random_bytes;
pub use sealing::{SealingKey, SealingKeyError, UnsealError};
