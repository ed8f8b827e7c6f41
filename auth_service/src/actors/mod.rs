//! Each actor owns one invariant.

pub mod applied;
pub mod credential_reader;
pub mod credential_repository;
pub mod revocations;
pub mod user_event_consumer;

pub use applied::Applied;
pub use credential_reader::{CredentialReader, FindCredential, FindStandIn};
pub use credential_repository::{CredentialRepository, ResealHashes};
pub use revocations::{FindOutcome, RememberLogin, Revocations, RevokeSession};
pub use user_event_consumer::{Progress, UserEventConsumer};
