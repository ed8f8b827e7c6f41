//! Logs and metrics.

mod line_time;
mod logging;
mod paced;
mod plain_fields;

pub use logging::{LogFormat, LogGuard, init_logging};
pub use prometheus_client::registry::Registry;
