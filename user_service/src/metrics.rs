//! What `/metrics` tells beside requests and hashing.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use shared::contract::Head;
use tokio::sync::watch;

/// All of them.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Of the writer.
    pub writer: WriterMetrics,
    /// The last record that the bus has confirmed.
    pub published_seq: Gauge,
}

/// Of the writer. `writes / groups` tells how well group commit works.
#[derive(Clone)]
pub struct WriterMetrics {
    /// The log's last record.
    pub head_seq: Gauge,
    /// The last record of the log that was pruned.
    pub pruned_seq: Gauge,
    /// Commands that were in a group that was committed.
    pub writes: Counter,
    /// Groups that were committed.
    pub groups: Counter,
    /// Groups whose commit failed.
    pub failed_groups: Counter,
    /// How long a commit takes.
    pub commit_seconds: Histogram,
}

impl ServiceMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let published_seq = Gauge::default();
        let help = "Last log record whose event the bus has confirmed";
        registry.register("user_log_published_seq", help, published_seq.clone());
        Self { writer: WriterMetrics::register(registry), published_seq }
    }
}

impl WriterMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            head_seq: Gauge::default(),
            pruned_seq: Gauge::default(),
            writes: Counter::default(),
            groups: Counter::default(),
            failed_groups: Counter::default(),
            // 50 µs to 3 s.
            commit_seconds: Histogram::new(exponential_buckets(0.000_05, 2.0, 16)),
        };
        registry.register("user_log_head_seq", "Last record of the log", metrics.head_seq.clone());
        let pruned = metrics.pruned_seq.clone();
        registry.register("user_log_pruned_seq", "Last record that was pruned", pruned);
        registry.register("user_writes", "Commands committed", metrics.writes.clone());
        registry.register("user_commits", "Groups of commands committed", metrics.groups.clone());
        let failed = metrics.failed_groups.clone();
        registry.register("user_commits_failed", "Groups whose commit failed", failed);
        let seconds = metrics.commit_seconds.clone();
        registry.register_with_unit(
            "user_commit",
            "Time to commit a group",
            Unit::Seconds,
            seconds,
        );
        metrics
    }
}

/// What all users come to at the log's end: auth_service shows the same under the same name when it
/// holds the same users. Made when it is asked for, so that the seq and the digest belong together.
#[derive(Debug)]
pub struct AgreementMetrics {
    /// Where the log ends.
    pub head: watch::Receiver<Head>,
}

impl Collector for AgreementMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Head { seq, digest, .. } = *self.head.borrow();
        let digest = digest.unwrap_or_default().to_string();
        let info = Info::new([("seq", seq.to_string()), ("digest", digest)]);
        let help = "All users (id, version, name) at a place in the log, as one number";
        let metric = encoder.encode_descriptor("users_digest", help, None, info.metric_type())?;
        info.encode(metric)
    }
}
