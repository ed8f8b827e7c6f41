//! The secrets of the services and the private directory for them: key files, password hashes sealed
//! for the other service, and the secrets of clients.

mod admin_token;
mod client_secrets;
mod data_dir;
mod key_file;
mod random;
mod replica_place;
mod sealed_text;
mod sealing;
mod sealing_source;

pub use admin_token::{AdminToken, AdminTokenError};
pub use client_secrets::{ClientSecrets, NotAClient};
pub use data_dir::{DataDirClaim, DataDirError, DataDirPlace, claim_data_dir};
pub use key_file::{KeyFileError, load_or_create, read_secret_file, warn_if_open};
pub use random::random_bytes;
pub use replica_place::{
    DataLayout, ReplicaPlace, claim_only_place, claim_place, first_place, places,
};
pub use sealing::{NotAuthentic, SealingKeys, UnsealError};
pub use sealing_source::SealingKeyError;
