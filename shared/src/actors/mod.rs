//! What every actor needs and actix does not provide: a bounded mailbox with metrics, panics that
//! affect one command only, loops that are restarted.

mod ask;
mod backoff;
mod health;
mod mailbox;
mod maintenance;
mod supervise;
mod threads;

pub use ask::{Ask, AskError, Command, Reply, ask};
pub(crate) use backoff::HEALTHY;
pub use backoff::{Backoff, GrowingPause};
pub use health::Health;
pub use mailbox::Mailbox;
pub use maintenance::Maintenance;
pub use supervise::supervise;
pub use threads::join_threads;
