//! Each actor owns one invariant.

pub mod credential_reader;
pub mod credential_repository;
pub mod revocations;
pub mod user_event_consumer;

pub use credential_reader::{CredentialReader, FindCredential, FindStandIn};
pub use credential_repository::{Applied, CredentialRepository};
pub use revocations::{FindOutcome, RememberLogin, Revocations, RevokeToken};
pub use user_event_consumer::{Progress, UserEventConsumer};
