//! Sealing keys that other services use and this one does not have.

use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use shared::bus::cloud_event::Undecodable;
use shared::secrets::NotAuthentic;
use shared::telemetry::Sparingly;
use tokio::sync::watch;

/// How long a key is shown after it was last used: a follower asks once a second.
const SHOWN: Duration = Duration::from_secs(30);

/// Hears of keys that are not here, and says what to do. Clones hear the same.
#[derive(Clone, Default)]
pub struct ForeignKeys {
    heard: watch::Sender<Heard>,
    /// Counts the messages.
    refused: Counter,
}

#[derive(Default)]
struct Heard {
    last: Option<Foreign>,
    /// For the line about a key: anybody who can write to the broker can invent keys.
    telling: Sparingly,
}

struct Foreign {
    key_id: String,
    at: Instant,
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
        let heard = self.heard.borrow();
        let last = heard.last.as_ref();
        let Foreign { key_id, .. } = last.filter(|foreign| now < foreign.at + SHOWN)?;
        Some(format!(
            "a follower authenticates with the sealing key {key_id}, which is not here: give both \
             services the same sealing keys; until then it gets no answers"
        ))
    }

    /// Notes why a message cannot be used.
    pub(super) fn note(&self, error: &Undecodable) {
        let Undecodable::NotAuthentic(NotAuthentic::UnknownKey { key_id }) = error else { return };
        self.refused.inc();
        self.heard.send_modify(|heard| {
            heard.last = Some(Foreign { key_id: key_id.clone(), at: Instant::now() });
            if heard.telling.may_tell() {
                tracing::error!(
                    key = key_id,
                    "a follower authenticates with a sealing key that is not here: give both \
                     services the same sealing keys; until then it gets no answers"
                );
            }
        });
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
