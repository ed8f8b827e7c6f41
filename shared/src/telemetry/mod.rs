//! Logs and metrics.

mod logging;

pub use logging::{LogFormat, LogGuard, init_logging};
pub use prometheus_client::registry::Registry;
