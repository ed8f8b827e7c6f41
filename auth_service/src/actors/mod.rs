//! Each actor owns one invariant.

pub mod applied;
pub mod credential_reader;
pub mod credential_repository;
pub mod key_ring;
pub mod token_exchange;
pub mod token_revocations;
pub mod user_event_consumer;

pub use applied::Applied;
pub use credential_reader::{CredentialReader, FindCredential, FindStandIn};
pub use credential_repository::{CredentialRepository, ResealHashes};
pub use key_ring::{KeyRing, TokenSigner};
pub use token_exchange::{Exchange, KnownReplicas, Replicas, TokenExchange};
pub use token_revocations::{
    AwaitConfirmation, FindOutcome, RememberLogin, RevokeSession, TokenRevocations, TradeToken,
};
pub use user_event_consumer::{Progress, UserEventConsumer};
