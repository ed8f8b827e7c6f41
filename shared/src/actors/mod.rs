//! What every actor needs and actix does not give: a bounded way in, and panics that stay small.

mod ask;

pub use ask::{Ask, AskError, Command, ask};
