//! Sealing keys that other services use and this one does not have.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use shared::bus::cloud_event::Undecodable;
use shared::secrets::NotAuthentic;
use tokio::sync::watch;

/// How long a key is shown after it was last used: a follower asks every few seconds.
const SHOWN: Duration = Duration::from_secs(30);
/// Keys are told at most so often: anybody who can write to the broker can invent them.
const TOLD: Duration = Duration::from_mins(1);

/// Hears of keys that are not here, and says what to do. Clones hear the same.
#[derive(Clone, Default)]
pub struct ForeignKeys {
    last: watch::Sender<Option<Foreign>>,
    /// Counts the messages.
    refused: Counter,
}

struct Foreign {
    key_id: String,
    at: Instant,
    /// When the log last told of a key.
    told_at: Instant,
}

impl ForeignKeys {
    /// `refused` counts the messages that were authenticated with such a key.
    pub fn new(refused: Counter) -> Self {
        Self { refused, ..Self::default() }
    }

    /// What `/readyz` shows, if such a key was used lately.
    pub fn degraded(&self) -> Option<String> {
        self.degraded_at(Instant::now())
    }

    fn degraded_at(&self, now: Instant) -> Option<String> {
        let last = self.last.borrow();
        let Foreign { key_id, .. } = last.as_ref().filter(|foreign| now < foreign.at + SHOWN)?;
        Some(format!(
            "a follower authenticates with the sealing key {key_id}, which is not here: give both \
             services the same sealing keys; until then it gets no answers"
        ))
    }

    /// Notes why a message cannot be used.
    pub(super) fn note(&self, error: &Undecodable) {
        let Undecodable::NotAuthentic(NotAuthentic::UnknownKey { key_id }) = error else { return };
        self.refused.inc();
        let now = Instant::now();
        let told_at = self.last.borrow().as_ref().map(|last| last.told_at);
        let told_lately = told_at.filter(|at| now.duration_since(*at) < TOLD);
        let told_at = told_lately.unwrap_or(now);
        self.last.send_replace(Some(Foreign { key_id: key_id.clone(), at: now, told_at }));
        if told_lately.is_none() {
            tracing::error!(
                key = key_id,
                "a follower authenticates with a sealing key that is not here: give both services \
                 the same sealing keys; until then it gets no answers"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_foreign_key_is_shown_while_it_is_used_and_each_message_counts() {
        let refused = Counter::default();
        let keys = ForeignKeys::new(refused.clone());
        keys.note(&Undecodable::Encoding);
        keys.note(&Undecodable::NotAuthentic(NotAuthentic::NoMac));
        assert_eq!((keys.degraded(), refused.get()), (None, 0));
        let unknown = NotAuthentic::UnknownKey { key_id: "0123abcd".to_owned() };
        for _ in 0..2 {
            keys.clone().note(&Undecodable::NotAuthentic(unknown.clone()));
        }
        assert!(keys.degraded().unwrap().contains("the sealing key 0123abcd, which is not here"));
        assert_eq!(refused.get(), 2);
        assert_eq!(keys.degraded_at(Instant::now() + SHOWN), None);
    }
}
