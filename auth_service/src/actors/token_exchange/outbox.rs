//! Publishing the records of this replica until the bus has confirmed them: sealed to the other replicas, and
//! the ends of sessions to services of others.

use contract::{SessionRevoked, TokenRecord, TokenRecords};
use shared::actors::ask;
use shared::tokens::token_set::record_id;

use super::{Exchange, ExchangeError};
use crate::actors::token_revocations::{Confirmed, TakeUnconfirmed};

/// Records of one message. What is committed while it is on its way goes with the next one.
const BATCH: usize = 200;

impl Exchange {
    /// For ever. What was not confirmed when the bus failed is published again.
    pub(super) async fn publish_records(&self) -> Result<(), ExchangeError> {
        loop {
            let records = ask(&self.revocations, TakeUnconfirmed(BATCH)).await?;
            if records.is_empty() {
                // A notice that comes before this waits for it.
                self.committed.notified().await;
                continue;
            }
            let ids: Vec<_> = records.iter().map(record_id).collect();
            let ended: Vec<_> = records.iter().filter_map(ended_session).collect();
            let records = TokenRecords { from: self.me, records };
            let mut batch = vec![self.codec.encode_token_records(&records)];
            batch.extend(ended.iter().map(|event| self.codec.encode_session_revoked(event)));
            self.bus.publish(batch).await?;
            self.metrics.sent.inc_by(ids.len() as u64);
            ask(&self.revocations, Confirmed(ids)).await?;
        }
    }
}

/// What services of others are told of the record.
fn ended_session(record: &TokenRecord) -> Option<SessionRevoked> {
    match record {
        TokenRecord::SessionRevoked { sid, .. } => Some(SessionRevoked { sid: *sid }),
        _ => None,
    }
}
