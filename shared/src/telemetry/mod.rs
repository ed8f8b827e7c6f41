//! Logs and metrics.

mod batching_writer;
mod computed;
mod error_chain;
mod json_lines;
mod line_time;
mod logging;
mod plain_fields;
mod process;
mod registry;
mod sparingly;
#[cfg(test)]
pub(crate) mod test_log;

pub use computed::{encode_gauge, encode_seconds, encode_users_checksum};
pub use error_chain::ErrorChain;
pub(crate) use logging::log_of_command;
pub use logging::{LogFormat, LogGuard, LoggingError, check_filter, init_logging};
pub(crate) use process::encode_process;
pub use prometheus_client::registry::Registry;
pub use registry::registry_of;
pub use sparingly::Sparingly;
