//! The protocol by which a projection follows the log: pure functions and one pure state machine,
//! without IO, clock or randomness. Both the actors and the tests run it.

mod ask_reason;
mod follower;
mod received;
mod record_hash;
mod responder;
mod users_checksum;

pub use ask_reason::AskReason;
pub use follower::{Effect, Follower, Input};
pub use received::{NextChange, ReceivedContinue, ReceivedRecord};
pub use record_hash::{follows, is_intact, record_hash};
pub use responder::{Decision, SnapshotReason, decide};
pub use users_checksum::user_checksum;
