//! `POST /refresh`: whether a token may be traded for a new one of its session.

use contract::TokenRecord;
use contract::token_record::{TokenId, Trade};

use super::{BootTime, Held, TokenSet};

/// How long after a trade the same token may be traded again: networks repeat requests.
const REUSE_INTERVAL_MS: i64 = 10_000;

/// What becomes of a request to trade a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TradeVerdict {
    /// The token was not traded before, or this is a repetition of the same request: the answer is
    /// another token of the session.
    Allowed,
    /// The token was traded before, by somebody else: the session must end.
    Stolen,
    /// The session has ended.
    SessionEnded,
}

impl TokenSet {
    /// Judges a request to trade the token `jti` of the session `sid`.
    pub fn judge_trade(
        &self,
        sid: TokenId,
        jti: TokenId,
        idempotency_hash: Option<[u8; 16]>,
        now: BootTime,
    ) -> TradeVerdict {
        if self.is_revoked(&sid) {
            return TradeVerdict::SessionEnded;
        }
        let mut earlier = self.trades_of(sid).filter(|(known, _)| known.jti == jti).peekable();
        let is_first = earlier.peek().is_none();
        let is_retry = earlier.any(|(known, since)| {
            let ago_ms = now.since_ms(since.min(now));
            is_same_request(known, idempotency_hash) || ago_ms < REUSE_INTERVAL_MS
        });
        if is_first || is_retry { TradeVerdict::Allowed } else { TradeVerdict::Stolen }
    }

    /// Whether the token was traded for another one.
    pub fn is_traded(&self, sid: TokenId, jti: TokenId) -> bool {
        self.trades_of(sid).any(|(known, _)| known.jti == jti)
    }

    /// Whether another replica traded the same token, for another request and not at nearly the
    /// same time.
    pub(super) fn is_second_trade(&self, trade: &Trade, since: BootTime, now: BootTime) -> bool {
        self.trades_of(trade.sid).any(|(known, known_since)| {
            let apart_ms = known_since.min(now).since_ms(since.min(now)).abs();
            known.jti == trade.jti
                && !is_same_request(known, trade.idempotency_hash)
                && apart_ms >= REUSE_INTERVAL_MS
        })
    }

    /// The session's trades, each with the time when its keeping began.
    pub(super) fn trades_of(&self, sid: TokenId) -> impl Iterator<Item = (&Trade, BootTime)> {
        let ids = self.trades.get(&sid).into_iter().flatten();
        ids.filter_map(|id| match self.records.get(id) {
            Some(Held { record: TokenRecord::TokenTraded(trade), since }) => {
                Some((trade.as_ref(), *since))
            }
            _ => None,
        })
    }
}

fn is_same_request(known: &Trade, idempotency_hash: Option<[u8; 16]>) -> bool {
    idempotency_hash.is_some() && known.idempotency_hash == idempotency_hash
}
