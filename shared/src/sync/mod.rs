//! The protocol by which a projection follows the log: pure functions and one pure state machine,
//! without IO, clock or randomness of their own. The actors run it, and so do the tests.

mod chain;
mod digest;
mod follower;
mod responder;

pub use chain::{extend, fits};
pub use digest::user_digest;
pub use follower::{AskReason, Effect, Follower, Input};
pub use responder::{Decision, SnapshotReason, decide};
