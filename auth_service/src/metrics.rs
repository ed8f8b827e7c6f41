//! The metrics of this service.

use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, EncodeMetric};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::registry::Registry;
use shared::clock::Clock;
use shared::http::ProblemKind;
use shared::log_sync::AskReason;
use shared::telemetry::{encode_gauge, encode_seconds, encode_users_checksum};
use shared::tokens::token_set::BootTime;
use tokio::sync::watch;

use crate::actors::user_event_consumer::UsersFreshness;
use crate::actors::{Applied, Progress, Replicas, TokenSigner};

/// All metrics.
#[derive(Clone)]
pub struct ServiceMetrics {
    /// Following the log.
    pub following: FollowingMetrics,
    /// Revoked sessions.
    pub revocations: RevocationMetrics,
    /// The exchange with other replicas.
    pub exchange: ExchangeMetrics,
    /// Logins.
    pub logins: LoginMetrics,
}

impl ServiceMetrics {
    /// Registers them.
    pub fn register(registry: &mut Registry) -> Self {
        Self {
            following: FollowingMetrics::register(registry),
            revocations: RevocationMetrics::register(registry),
            exchange: ExchangeMetrics::register(registry),
            logins: LoginMetrics::register(registry),
        }
    }
}

/// Metrics of following the log of user_service. Clones share the counters.
#[derive(Clone, Default)]
pub struct FollowingMetrics {
    /// Records that arrived although they had been applied.
    pub duplicates: Counter,
    /// Messages that could not be decoded or applied.
    pub dead_letters: Counter,
    /// Snapshots that replaced the projection.
    pub snapshots: Counter,
    /// How often the users at a position were not those of user_service.
    pub checksum_mismatches: Counter,
    repairs: Family<Repair, Counter>,
    direct: Family<Outcome, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Repair {
    reason: &'static str,
}

impl FollowingMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { duplicates, repairs, direct, .. } = metrics.clone();
        for reason in AskReason::ALL {
            repairs.get_or_create(&Repair { reason: reason.as_str() }).inc_by(0);
        }
        for outcome in ["answered", "failed"] {
            direct.get_or_create(&Outcome { outcome }).inc_by(0);
        }
        registry.register(
            "projection_duplicates",
            "Records that arrived although they had been applied",
            duplicates,
        );
        registry.register("projection_repairs", "Questions to user_service", repairs);
        registry.register(
            "dead_letters",
            "Messages that could not be used",
            metrics.dead_letters.clone(),
        );
        let help = "Snapshots that replaced the projection";
        registry.register("projection_snapshots", help, metrics.snapshots.clone());
        let help = "How often the users at a position were not those of user_service";
        registry.register("users_checksum_mismatches", help, metrics.checksum_mismatches.clone());
        let help = "Rounds of questions to user_service over HTTP";
        registry.register("projection_direct_rounds", help, direct);
        metrics
    }

    /// Counts a question.
    pub fn count_repair(&self, reason: &'static str) {
        self.repairs.get_or_create(&Repair { reason }).inc();
    }

    /// Counts a round of direct questions.
    pub fn count_direct(&self, is_answered: bool) {
        let outcome = if is_answered { "answered" } else { "failed" };
        self.direct.get_or_create(&Outcome { outcome }).inc();
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SealedWith {
    key: String,
    state: &'static str,
}

/// The checksum over the projection's users, and how far the projection is behind. Computed at each
/// scrape, so that the numbers belong together, and the lag grows even while nothing arrives.
#[derive(Debug)]
pub struct AgreementMetrics {
    /// How far the projection is.
    pub applied: watch::Receiver<Applied>,
    /// How far the log is known to be, and when the projection had caught up with it.
    pub progress: watch::Receiver<Progress>,
    /// Whether user_service is followed directly.
    pub fresh: UsersFreshness,
}

impl Collector for AgreementMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let (applied, progress) = (self.applied.borrow(), self.progress.borrow());
        for (name, help, value) in [
            ("projection_seq", "Last record that was applied", applied.seq()),
            ("projection_head_seq", "Last record known to be in the log", progress.head_seq),
            (
                "projection_followed_directly",
                "1 while user_service is followed over HTTP, 0 while through the broker",
                self.fresh.is_direct().into(),
            ),
            (
                "projection_cut_off_seconds",
                "Time without an answer of user_service, if it is out of reach",
                self.fresh.cut_off_s().unwrap_or(0),
            ),
            (
                "projection_lag_records",
                "Records that are known and not applied",
                progress.lag(applied.seq()),
            ),
        ] {
            encode_gauge(&mut encoder, name, help, value)?;
        }
        let help = "Hashes of passwords, by the sealing key that they are sealed with";
        let kind = ConstGauge::new(0_i64).metric_type();
        let mut hashes = encoder.encode_descriptor("sealed_hashes", help, None, kind)?;
        for (key, standing, count) in applied.hashes.iter() {
            let labels = SealedWith { key: key.to_owned(), state: standing.as_str() };
            let gauge = ConstGauge::new(i64::try_from(count).unwrap_or(i64::MAX));
            gauge.encode(hashes.encode_family(&labels)?)?;
        }
        encode_users_checksum(&mut encoder, applied.seq(), applied.checksum)?;
        let help = "Time since the whole log of user_service was known to be applied";
        encode_seconds(&mut encoder, "projection_lag", help, progress.caught_up_at.elapsed())
    }
}

/// Metrics of the revoked sessions. Clones share the gauge.
#[derive(Clone, Default)]
pub struct RevocationMetrics {
    sessions: Gauge,
    unconfirmed: Gauge,
}

impl RevocationMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Sessions that were logged out and are remembered";
        registry.register("revoked_sessions", help, metrics.sessions.clone());
        let help = "Records of the token set that the bus has not confirmed";
        registry.register("token_records_unconfirmed", help, metrics.unconfirmed.clone());
        metrics
    }

    /// Sets how many sessions are remembered.
    pub fn set(&self, sessions: usize) {
        self.sessions.set(i64::try_from(sessions).unwrap_or(i64::MAX));
    }

    /// Sets how many records others may not have received.
    pub fn set_unconfirmed(&self, records: usize) {
        self.unconfirmed.set(i64::try_from(records).unwrap_or(i64::MAX));
    }
}

/// Metrics of the exchange with other replicas. Clones share the counters.
#[derive(Clone, Default)]
pub struct ExchangeMetrics {
    /// Records of this replica that the bus has confirmed.
    pub sent: Counter,
    /// Records of other replicas that were received.
    pub merged: Counter,
    /// Logouts that were answered before the bus had confirmed them.
    pub unconfirmed_logouts: Counter,
}

impl ExchangeMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let help = "Records of the token set that this replica has sent to others";
        registry.register("token_records_sent", help, metrics.sent.clone());
        let help = "Records of the token set that came from other replicas";
        registry.register("token_records_merged", help, metrics.merged.clone());
        let help = "Logouts that were answered, or refused, without a confirm of the bus";
        registry.register("logouts_unconfirmed", help, metrics.unconfirmed_logouts.clone());
        metrics
    }
}

/// How old the key is that signs, computed at each scrape.
pub struct KeyMetrics(pub TokenSigner);

impl Collector for KeyMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let Some(age) = self.0.signing_for() else { return Ok(()) };
        let help = "Time since the key that signs tokens began to; absent while none does";
        encode_seconds(&mut encoder, "signing_key_age", help, age)
    }
}

impl std::fmt::Debug for KeyMetrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeyMetrics").finish_non_exhaustive()
    }
}

/// What is known of the other replicas, computed at each scrape.
#[derive(Debug)]
pub struct ReplicaMetrics {
    /// What the exchange knows.
    pub replicas: Replicas,
    /// Tells the time.
    pub clock: Clock,
}

impl Collector for ReplicaMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let now = BootTime(self.clock.boot_ms());
        let (there, silent) = self.replicas.count(now);
        for (name, help, value) in [
            ("auth_replicas", "Other replicas of auth_service that were heard lately", there),
            ("auth_replicas_silent", "Other replicas that are silent, within a day", silent),
        ] {
            encode_gauge(&mut encoder, name, help, i64::try_from(value).unwrap_or(i64::MAX))?;
        }
        let Some(marked_at) = self.replicas.marked_at() else { return Ok(()) };
        let age = Duration::from_millis(now.since_ms(marked_at).max(0).unsigned_abs());
        let help = "Time since the marker was sent that last came back through the own queue";
        encode_seconds(&mut encoder, "token_marker_age", help, age)
    }
}

/// The result of a login that gave a token.
pub const LOGGED_IN: &str = "ok";

/// Metrics of logins. Clones share the counters.
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
        for result in [LOGGED_IN, ProblemKind::WrongCredentials.slug()] {
            metrics.logins.get_or_create(&Login { result }).inc_by(0);
        }
        registry.register("logins", "Attempts to log in", metrics.logins.clone());
        metrics
    }

    /// Counts an attempt by its result.
    pub fn count(&self, result: &'static str) {
        self.logins.get_or_create(&Login { result }).inc();
    }
}
