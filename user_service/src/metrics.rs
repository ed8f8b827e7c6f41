//! The metrics of this service, in addition to those of requests and hashing.

use std::time::Duration;

use contract::Head;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use shared::log_sync::{Decision, SnapshotReason};
use shared::telemetry::{encode_gauge, encode_seconds, encode_users_checksum};
use tokio::sync::watch;

use crate::actors::event_publisher::Publication;

/// All metrics.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Metrics of the writer.
    pub writer: WriterMetrics,
    /// Metrics of questions by followers.
    pub answers: AnswerMetrics,
    /// Messages that could not be decoded.
    pub dead_letters: Counter,
    /// Messages that were authenticated with a sealing key that is not here.
    pub foreign_keys: Counter,
}

/// Metrics of the writer. `writes / groups` shows how well group commit works.
#[derive(Clone)]
pub struct WriterMetrics {
    /// The log's last record.
    pub head_seq: Gauge,
    /// The last record of the log that was pruned.
    pub pruned_seq: Gauge,
    /// Commands in committed groups.
    pub writes: Counter,
    /// Committed groups.
    pub groups: Counter,
    /// Groups whose commit failed.
    pub failed_groups: Counter,
    /// How long a commit takes.
    pub commit_seconds: Histogram,
}

impl ServiceMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        let answers = AnswerMetrics::default();
        let snapshots = SnapshotReason::ALL.map(Decision::Snapshot);
        for decision in [Decision::Continue].into_iter().chain(snapshots) {
            answers.counter(decision).inc_by(0);
        }
        let help = "Questions of followers, by kind of answer and reason";
        registry.register("sync_answers", help, answers.answers.clone());
        let dead_letters = Counter::default();
        let help = "Messages that could not be decoded";
        registry.register("dead_letters", help, dead_letters.clone());
        let foreign_keys = Counter::default();
        let help = "Messages that were authenticated with a sealing key that is not here";
        registry.register("messages_with_foreign_key", help, foreign_keys.clone());
        Self { writer: WriterMetrics::register(registry), answers, dead_letters, foreign_keys }
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

/// Counts questions by followers of the log. Clones share the counters.
#[derive(Clone, Default)]
pub struct AnswerMetrics {
    answers: Family<Answered, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Answered {
    answer: &'static str,
    reason: &'static str,
}

impl AnswerMetrics {
    /// Counts a question.
    pub fn count(&self, decision: Decision) {
        self.counter(decision).inc();
    }

    fn counter(&self, decision: Decision) -> Counter {
        let (answer, reason) = match decision {
            Decision::Continue => ("records", "behind"),
            Decision::Snapshot(reason) => ("snapshot", reason.as_str()),
        };
        self.answers.get_or_create_owned(&Answered { answer, reason })
    }
}

/// The checksum over all users at the end of the log, which auth_service shows under the same name
/// when it has the same users; and how far the bus is behind. Computed at each scrape, so that the
/// numbers belong together, and the lag grows even while the bus is unreachable.
#[derive(Debug)]
pub struct AgreementMetrics {
    /// The end of the log; `None` until the database could be opened.
    pub head: watch::Receiver<Option<Head>>,
    /// What the bus has confirmed, and who publishes.
    pub publication: Publication,
}

impl Collector for AgreementMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        // The order matters: a record that is written in between counts as not published.
        let published = *self.publication.published.borrow();
        let head = *self.head.borrow();
        let (Some(published), Some(Head { position, checksum, .. })) = (published, head) else {
            return Ok(());
        };
        if let Some(tenure) = &*self.publication.tenure.borrow() {
            let help = "1 if this process publishes the log, else 0";
            let is_ours = i64::from(tenure.lease.is_ours);
            encode_gauge(&mut encoder, "user_log_publisher", help, is_ours)?;
        }
        let help = "1 while the head of another log is heard, which stops publishing, else 0";
        let are_heard = i64::from(self.publication.others.are_heard());
        encode_gauge(&mut encoder, "user_log_others_heard", help, are_heard)?;
        let lag = position.seq.saturating_sub(published.seq).max(0);
        for (name, help, value) in [
            ("user_log_published_seq", "Last record that the bus has confirmed", published.seq),
            ("user_log_publish_lag_records", "Records that the bus has not confirmed", lag),
        ] {
            encode_gauge(&mut encoder, name, help, value)?;
        }
        let behind = if lag > 0 { published.caught_up_at.elapsed() } else { Duration::ZERO };
        let help = "Time since the bus had last confirmed the whole log; 0 while it has";
        encode_seconds(&mut encoder, "user_log_publish_lag", help, behind)?;
        encode_users_checksum(&mut encoder, position.seq, checksum.unwrap_or_default())
    }
}
