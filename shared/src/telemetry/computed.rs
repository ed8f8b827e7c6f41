//! Metrics that are computed at each scrape.

use std::fmt;
use std::time::Duration;

use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Unit;

/// Adds a gauge.
///
/// # Errors
/// The scrape cannot be written.
pub fn encode_gauge(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    value: i64,
) -> fmt::Result {
    let gauge = ConstGauge::new(value);
    gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)
}

/// Adds a gauge of a time in seconds; its name ends with `_seconds`.
///
/// # Errors
/// The scrape cannot be written.
pub fn encode_seconds(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    time: Duration,
) -> fmt::Result {
    let (gauge, unit) = (ConstGauge::new(time.as_secs_f64()), Some(&Unit::Seconds));
    gauge.encode(encoder.encode_descriptor(name, help, unit, gauge.metric_type())?)
}

/// Adds the checksum over all users, which the two services can be compared by.
///
/// # Errors
/// The scrape cannot be written.
pub fn encode_users_checksum(
    encoder: &mut DescriptorEncoder<'_>,
    seq: i64,
    checksum: impl fmt::Display,
) -> fmt::Result {
    let info = Info::new([("seq", seq.to_string()), ("checksum", checksum.to_string())]);
    let help = "Checksum over all users (id, version, name) at a position in the log";
    info.encode(encoder.encode_descriptor("users_checksum", help, None, info.metric_type())?)
}
