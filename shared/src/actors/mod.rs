//! What every actor needs and actix does not give: a bounded way in that can be watched, panics that
//! stay small, loops that start again.

mod ask;
mod backoff;
mod health;
mod mailbox;
mod supervise;

pub use ask::{Ask, AskError, Command, Reply, ask};
pub use backoff::Backoff;
pub use health::Health;
pub use mailbox::Mailbox;
pub use supervise::supervise;
