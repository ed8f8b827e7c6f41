//! The two queues of a replica.

use std::time::Duration;

use contract::topology::{
    TOKEN_RECORDS, TOKEN_SET_HEADS, TOKENS_EXCHANGE, token_heads_queue, token_marker_key,
    token_queue,
};
use shared::bus::{Binding, QueueLifetime, QueueSpec};

use super::Exchange;

/// Messages of the own queue that may be unacknowledged. An answer may have 120 KB.
pub(super) const PREFETCH: u16 = 100;
/// Heads that may be.
const HEADS_PREFETCH: u16 = 20;
/// How long a replica may be away without losing its queue. Its set is compared in any case.
const EXPIRES: Duration = Duration::from_hours(24);

impl Exchange {
    /// Durable: what comes while this replica is away waits there.
    pub(super) fn own_queue(&self) -> QueueSpec {
        QueueSpec {
            name: token_queue(&self.me),
            lifetime: QueueLifetime::Durable { expires: EXPIRES },
            bindings: vec![
                from_replicas(TOKEN_RECORDS),
                from_replicas(&token_marker_key(&self.me)),
            ],
            prefetch: PREFETCH,
        }
    }

    /// Of one session.
    pub(super) fn heads_queue(&self, session: &str) -> QueueSpec {
        QueueSpec {
            name: token_heads_queue(&self.me, session),
            lifetime: QueueLifetime::Transient,
            bindings: vec![from_replicas(TOKEN_SET_HEADS)],
            prefetch: HEADS_PREFETCH,
        }
    }
}

fn from_replicas(routing_key: &str) -> Binding {
    Binding { exchange: TOKENS_EXCHANGE.into(), routing_key: routing_key.into() }
}
