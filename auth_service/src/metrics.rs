//! What `/metrics` tells of this service.

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};
use tokio::sync::watch;

use crate::actors::{Applied, Progress};

/// All of them.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Of following the log.
    pub following: FollowingMetrics,
    /// Of the dead tokens.
    pub revocations: RevocationMetrics,
    /// Of logins.
    pub logins: LoginMetrics,
}

impl ServiceMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            following: FollowingMetrics::register(registry),
            revocations: RevocationMetrics::register(registry),
            logins: LoginMetrics::register(registry),
        }
    }
}

/// Of following the log of user_service. Clones count together.
#[derive(Clone, Default)]
pub struct FollowingMetrics {
    /// Records that came although they were applied already.
    pub duplicates: Counter,
    /// Messages that could not be read or applied.
    pub dead_letters: Counter,
    /// Snapshots that took the projection's place.
    pub snapshots: Counter,
    /// Places at which the users here were not those of user_service.
    pub checksum_mismatches: Counter,
    repairs: Family<Repair, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Repair {
    reason: &'static str,
}

impl FollowingMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { duplicates, repairs, .. } = metrics.clone();
        registry.register("projection_duplicates", "Records that were not needed", duplicates);
        registry.register("projection_repairs", "Questions to user_service", repairs);
        registry.register("dead_letters", "Messages of no use", metrics.dead_letters.clone());
        let help = "Snapshots that took the projection's place";
        registry.register("projection_snapshots", help, metrics.snapshots.clone());
        let help = "Places at which the users were not those of user_service";
        registry.register("users_checksum_mismatches", help, metrics.checksum_mismatches.clone());
        metrics
    }

    /// Counts a question.
    pub fn count_repair(&self, reason: &'static str) {
        self.repairs.get_or_create(&Repair { reason }).inc();
    }
}

/// What the projection's users come to, and how far behind it is. Made when it is asked for, so
/// that the numbers belong together, and the time goes on while nothing comes.
#[derive(Debug)]
pub struct AgreementMetrics {
    /// How far the projection is.
    pub applied: watch::Receiver<Applied>,
    /// How far the log is known to be, and when the projection was level with it.
    pub progress: watch::Receiver<Progress>,
}

impl Collector for AgreementMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (applied, progress) = (self.applied.borrow().clone(), self.progress.borrow().clone());
        for (name, help, value) in [
            ("projection_seq", "Last record that was applied", applied.seq()),
            ("projection_head_seq", "Last record known to be in the log", progress.head_seq),
            ("projection_lag", "Records known and not applied", progress.lag(applied.seq())),
        ] {
            let gauge = ConstGauge::new(value);
            gauge.encode(encoder.encode_descriptor(name, help, None, gauge.metric_type())?)?;
        }
        let checksum = applied.checksum.to_string();
        let info = Info::new([("seq", applied.seq().to_string()), ("checksum", checksum)]);
        let help = "All users (id, version, name) at a place in the log, as one number";
        let metric = encoder.encode_descriptor("users_checksum", help, None, info.metric_type())?;
        info.encode(metric)?;
        let lag = ConstGauge::new(progress.caught_up_at.elapsed().as_secs_f64());
        let help = "Time since all of user_service's log was known to be applied";
        let unit = Some(&Unit::Seconds);
        let kind = lag.metric_type();
        lag.encode(encoder.encode_descriptor("projection_lag", help, unit, kind)?)
    }
}

/// Of the dead tokens. Clones count together.
#[derive(Clone, Default)]
pub struct RevocationMetrics {
    tokens: Gauge,
    users: Gauge,
}

impl RevocationMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { tokens, users } = metrics.clone();
        registry.register("revoked_tokens", "Dead tokens that are remembered", tokens);
        registry.register("revoked_users", "Users with dead tokens", users);
        metrics
    }

    /// Sets how many tokens and users are remembered.
    pub fn set(&self, (tokens, users): (usize, usize)) {
        self.tokens.set(i64::try_from(tokens).unwrap_or(i64::MAX));
        self.users.set(i64::try_from(users).unwrap_or(i64::MAX));
    }
}

/// Of logins. Clones count together.
#[derive(Clone, Default)]
pub struct LoginMetrics {
    logins: Family<Login, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Login {
    result: &'static str,
}

impl LoginMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        registry.register("logins", "Attempts to log in", metrics.logins.clone());
        metrics
    }

    /// Counts an attempt by what came of it.
    pub fn count(&self, result: &'static str) {
        self.logins.get_or_create(&Login { result }).inc();
    }
}
