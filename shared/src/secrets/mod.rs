//! The secrets of the services and the private directory for them: key files, and password hashes
//! sealed for the other service.

mod data_dir;
mod key_file;
mod random;
mod sealing;
mod sealing_source;

pub use data_dir::{DataDirClaim, DataDirError, DataDirPlace, claim_data_dir};
pub use key_file::{KeyFileError, load_or_create, read_secret_file, warn_if_open};
pub use random::random_bytes;
pub use sealing::{NotAuthentic, SealingKeys, UnsealError};
pub use sealing_source::SealingKeyError;
