//! Publishing the records of this replica until the bus has confirmed them.

use contract::TokenRecords;
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
            let message = TokenRecords { from: self.me, records };
            self.bus.publish(vec![self.codec.encode_token_records(&message)]).await?;
            self.metrics.sent.inc_by(ids.len() as u64);
            ask(&self.revocations, Confirmed(ids)).await?;
        }
    }
}
