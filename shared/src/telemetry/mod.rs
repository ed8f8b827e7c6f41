//! Logs and metrics.

mod logging;
mod paced;
mod plain_fields;

pub use logging::{LogFormat, LogGuard, init_logging};
pub use prometheus_client::registry::Registry;
