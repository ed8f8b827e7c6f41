//! Both services in one process: the quickest way to try Lockstep, and the subject of the
//! end-to-end tests.

mod check;
pub mod cli;
pub mod config;
mod service;

pub use config::Config;
pub use service::{Running, StartError, start, start_with};
