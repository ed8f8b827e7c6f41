//! What `/metrics` tells of this service.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

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
    /// The last record that was applied.
    pub applied_seq: Gauge,
    /// How many records the log is known to be further on.
    pub lag: Gauge,
    /// Records that came although they were applied already.
    pub duplicates: Counter,
    /// Messages that could not be read or applied.
    pub dead_letters: Counter,
    repairs: Family<Repair, Counter>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Repair {
    reason: &'static str,
}

impl FollowingMetrics {
    fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let Self { applied_seq, lag, duplicates, dead_letters, repairs } = metrics.clone();
        registry.register("projection_seq", "Last record that was applied", applied_seq);
        registry.register("projection_lag", "Records known and not yet applied", lag);
        registry.register("projection_duplicates", "Records that were not needed", duplicates);
        registry.register("projection_repairs", "Questions to user_service", repairs);
        registry.register("dead_letters", "Messages of no use", dead_letters);
        metrics
    }

    /// Counts a question.
    pub fn count_repair(&self, reason: &'static str) {
        self.repairs.get_or_create(&Repair { reason }).inc();
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
