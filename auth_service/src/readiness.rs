//! What `/readyz` answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use shared::actors::Health;
use shared::bus::{Bus, BusStatus};
use shared::clock::Clock;
use shared::http::ReadinessReport;
use shared::secrets::DataDirPlace;
use shared::tokens::token_set::BootTime;
use tokio::sync::watch;

use crate::actors::user_event_consumer::UsersFreshness;
use crate::actors::{Applied, Progress, Replicas, TokenSigner};
use crate::store::Damage;

/// Everything that it depends on whether the service is ready.
pub(crate) struct Readiness {
    /// The actors and loops.
    pub(crate) health: Health,
    /// How far the projection is.
    pub(crate) applied: watch::Receiver<Applied>,
    /// How following the log goes.
    pub(crate) progress: watch::Receiver<Progress>,
    /// Whether revocations can be stored.
    pub(crate) is_writable: Arc<AtomicBool>,
    /// Whether the data directory is where it was.
    pub(crate) place: DataDirPlace,
    /// Whether the projection was found damaged.
    pub(crate) damage: Damage,
    /// Whether user_service can be heard.
    pub(crate) bus: Arc<dyn Bus>,
    /// Whether user_service is followed directly.
    pub(crate) fresh: UsersFreshness,
    /// Whether a token could be signed.
    pub(crate) signer: TokenSigner,
    /// Whether the other replicas can be heard.
    pub(crate) replicas: Replicas,
    /// After how many milliseconds of being cut off tokens are refused.
    pub(crate) refuse_after_ms: Option<i64>,
    /// Tells the time.
    pub(crate) clock: Clock,
}

impl Readiness {
    /// The answer now.
    pub(crate) fn report(&self) -> ReadinessReport {
        let applied = self.applied.borrow();
        let Progress { loaded, foreign_key, is_stuck, .. } = self.progress.borrow().clone();
        let (mut reasons, mut degraded) = (self.health.reasons(), self.health.degraded());
        if !applied.is_synced() {
            reasons.push(match loaded {
                None => "catching up: no sync with user_service yet".to_owned(),
                Some((part, parts)) => {
                    format!("catching up: part {part} of {parts} of a snapshot is loaded")
                }
            });
        }
        if !self.signer.is_ready() {
            reasons.push("no key is ready to sign tokens".to_owned());
        }
        reasons.extend(applied.hashes.problem());
        reasons.extend(self.place.problem());
        if self.damage.is_found() {
            let advice = "projection.db is damaged: stop the service, delete the file, and start the \
                          service: it loads all users again";
            reasons.push(advice.to_owned());
        }
        if let Some(key) = foreign_key {
            degraded.push(format!(
                "user_service authenticates with the key {key}, which is not here: give both \
                 services the same sealing keys"
            ));
        }
        if is_stuck {
            degraded.push("the projection cannot be written".to_owned());
        }
        if !self.is_writable.load(Ordering::Relaxed) {
            degraded.push(
                "nobody can log out: the disk is full or read-only, or tokens.db was removed"
                    .to_owned(),
            );
        }
        self.judge_exchange(&mut reasons, &mut degraded);
        if let BusStatus::Down { cause } = self.bus.status() {
            degraded.push(cause);
        }
        if let Some(seconds) = self.fresh.cut_off_s() {
            degraded.push(format!(
                "no answer of user_service for {seconds} s: tokens are judged by what was known then"
            ));
        }
        if self.fresh.is_direct() {
            degraded.push("following user_service directly".to_owned());
        }
        ReadinessReport { reasons, degraded, publisher: None }
    }

    fn judge_exchange(&self, reasons: &mut Vec<String>, degraded: &mut Vec<String>) {
        let now = BootTime(self.clock.boot_ms());
        if !self.replicas.is_ready() {
            reasons.push("fetching what other replicas know of ended sessions".to_owned());
        }
        if let Some(since) = self.replicas.cut_off_since() {
            let (for_ms, limit_ms) = (now.since_ms(since), self.refuse_after_ms);
            let told = format!(
                "cut off from other replicas: logouts there are unknown here since {} s",
                for_ms / 1000
            );
            let is_refusing = limit_ms.is_some_and(|limit_ms| for_ms > limit_ms);
            if is_refusing { reasons.push(told) } else { degraded.push(told) }
        }
        let (_, silent) = self.replicas.count(now);
        if silent > 0 {
            degraded.push(format!("{silent} other replicas of auth_service are silent"));
        }
    }
}
