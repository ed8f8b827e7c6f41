//! The token set of this replica on disk and in memory, and the stored responses beside it: that of
//! a logout is written in the transaction of its record.

use std::error::Error;

use contract::token_record::{KeyId, PublishedKey, Trade};
use contract::{Claims, ReplicaId, TokenRecord};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use shared::actors::Reply;
use shared::file_mark::Mark;
use shared::idempotency::{IdempotentRequest, Lookup};
use shared::sqlite::{WriteConnection, idempotency};
use shared::tokens::key_schedule::OwnKey;
use shared::tokens::token_set::{BootTime, Change, KeyEntry, Learned, TradeVerdict};
use shared::tokens::token_set_view::TokenSetView;

use super::StoreError;
use super::sqlite::group_commit::GroupCommit;
use super::sqlite::tokens;
use super::token_state::{Now, TokenState};

mod exchange;
mod opening;

pub use self::exchange::SetHead;

/// How many stored responses are deleted at once: no logout waits long for it.
const CHUNK: u16 = 1_000;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RevokeRefused {
    /// The session was revoked in the meantime.
    #[error("the session is revoked already")]
    AlreadyDead,
    /// A different request was sent with this key before.
    #[error("the Idempotency-Key was used with another request")]
    KeyReused,
    /// What is stored under the key cannot be read.
    #[error("the stored response cannot be read")]
    Outcome(#[source] serde_json::Error),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What the set is told of a key.
#[derive(Clone, Debug)]
pub enum KeyStatement {
    /// This replica has made it.
    Made(PublishedKey),
    /// This replica goes on to vouch for it, until this time in seconds since 1970.
    Again(KeyId, i64),
    /// It is killed.
    Killed(KeyId),
}

/// Owns the only connection that writes to the token set, and the set in memory.
///
/// Writes wait in a group until [`TokenStore::commit`]: each is answered after the commit that
/// holds it, and by then the view has it. One that fails or panics is undone alone. While the disk is
/// full, writes are refused, and what is there can still be read.
pub struct TokenStore {
    connection: WriteConnection,
    /// What the next commit holds.
    group: GroupCommit,
    state: TokenState,
    /// How many transactions have changed the database.
    changes: i64,
    /// Notes that, a second behind.
    mark: Mark,
    /// What it notes, as far as this process has written it.
    noted: Option<SetMark>,
    /// Names this replica.
    replica: ReplicaId,
}

/// What the mark beside the database notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SetMark {
    /// How many transactions have changed the database.
    changes: i64,
}

impl TokenStore {
    /// Notes beside the database how often it was changed. Without that, less is recognised.
    fn note_changes(&mut self) {
        let mark = SetMark { changes: self.changes };
        if self.noted == Some(mark) {
            return;
        }
        match self.mark.keep(&mark) {
            Ok(()) => self.noted = Some(mark),
            Err(error) => {
                let error = &error as &dyn Error;
                tracing::debug!(error, "the mark of tokens.db was not written");
            }
        }
    }

    /// What HTTP workers read.
    pub fn view(&self) -> TokenSetView {
        self.state.view.clone()
    }

    /// The keys of this replica, the oldest first, with their times counted from `now`.
    pub fn find_own_keys(&self, now: BootTime) -> Result<Vec<OwnKey>, StoreError> {
        self.connection.read(|connection| tokens::find_own_keys(connection, now))
    }

    /// The records of all keys.
    pub fn keys(&self) -> Vec<TokenRecord> {
        let is_key = |record: &TokenRecord| {
            matches!(record, TokenRecord::KeyPublished(_) | TokenRecord::KeyKilled { .. })
        };
        self.state.set.records().filter(is_key).collect()
    }

    /// Whether no write waits for a commit.
    pub fn is_idle(&self) -> bool {
        self.group.is_idle()
    }

    /// Ends a session, if it has not ended yet. A repeated `request` changes nothing and is answered
    /// as it was at first.
    pub fn revoke_session(
        &mut self,
        reply: Reply<Result<(), RevokeRefused>>,
        record: TokenRecord,
        request: Option<IdempotentRequest>,
        now: Now,
    ) {
        self.group.push(reply, move |connection, state| {
            if let Some(request) = &request {
                match idempotency::find(connection, request, now.wall_ms)? {
                    Lookup::Outcome(_) => return Ok(((), Change::default())),
                    Lookup::OtherRequest => return Err(RevokeRefused::KeyReused),
                    Lookup::Nothing => idempotency::record(connection, request, "", now.wall_ms)?,
                }
            }
            match &record {
                TokenRecord::SessionRevoked { sid, .. } if state.set.is_revoked(sid) => {
                    Err(RevokeRefused::AlreadyDead)
                }
                _ => Ok(((), state.set.insert(record, Learned::Here, now.boot))),
            }
        });
    }

    /// Trades a token for a new one of its session, if the set allows it. A second trade by somebody
    /// else ends the session.
    pub fn trade_token(
        &mut self,
        reply: Reply<Result<TradeVerdict, StoreError>>,
        trade: Trade,
        now: BootTime,
    ) {
        self.group.push(reply, move |_, state| {
            let Trade { jti, sid, idempotency_hash, old, .. } = trade;
            let mut verdict = state.set.judge_trade(sid, jti, idempotency_hash, now);
            let mut change = match verdict {
                TradeVerdict::Allowed => {
                    let record = TokenRecord::TokenTraded(Box::new(trade));
                    state.set.insert(record, Learned::Here, now)
                }
                TradeVerdict::Stolen => Change { stolen: vec![(sid, old)], ..Change::default() },
                TradeVerdict::SessionEnded => Change::default(),
            };
            for (sid, ended_with) in std::mem::take(&mut change.stolen) {
                let record = TokenRecord::SessionRevoked { sid, ended_with };
                change.added.extend(state.set.insert(record, Learned::Here, now).added);
                verdict = TradeVerdict::Stolen;
            }
            Ok((verdict, change))
        });
    }

    /// Stores the claims of a login, or answers with those of the first such request if its token
    /// is still alive.
    pub fn remember_login(
        &mut self,
        reply: Reply<Result<Claims, RevokeRefused>>,
        request: IdempotentRequest,
        claims: Claims,
        now_ms: i64,
    ) {
        self.group.push(reply, move |connection, state| {
            let claims = remember(connection, state, &request, claims, now_ms)?;
            Ok((claims, Change::default()))
        });
    }

    /// Stores what is stated of a key, and the keys of this replica.
    pub fn keep_keys(
        &mut self,
        reply: Reply<Result<(), StoreError>>,
        statement: Option<KeyStatement>,
        own: Vec<OwnKey>,
        now: BootTime,
    ) {
        self.group.push(reply, move |connection, state| {
            tokens::replace_own_keys(connection, &own)?;
            let record = match statement {
                None => None,
                Some(KeyStatement::Killed(kid)) => Some(TokenRecord::KeyKilled { kid }),
                Some(KeyStatement::Made(key)) => {
                    state.trust.made(key.kid);
                    Some(TokenRecord::KeyPublished(Box::new(key)))
                }
                Some(KeyStatement::Again(kid, until_s)) => match state.set.key(&kid) {
                    Some(KeyEntry::Published(key, _)) => {
                        let again = PublishedKey { until_s, ..key.clone() };
                        Some(TokenRecord::KeyPublished(Box::new(again)))
                    }
                    _ => None,
                },
            };
            let insert = |record| state.set.insert(record, Learned::Here, now);
            Ok(((), record.map(insert).unwrap_or_default()))
        });
    }

    /// What was answered to this request before.
    pub fn find_response(
        &self,
        request: &IdempotentRequest,
        now_ms: i64,
    ) -> Result<Lookup, StoreError> {
        self.connection.read(|connection| idempotency::find(connection, request, now_ms))
    }

    /// Commits what waits as one transaction, then answers each. Returns whether anything was
    /// written.
    ///
    /// # Errors
    /// The commit failed: nothing of the group is kept, and each was told so.
    pub fn commit(&mut self, now: BootTime) -> Result<bool, StoreError> {
        match self.connection.get() {
            Ok(connection) => {
                let committed = self.group.commit(connection, &mut self.state, now)?;
                self.changes += i64::from(committed.is_change);
                Ok(committed.kept > 0)
            }
            Err(error) => {
                self.group.refuse(&error, &self.state);
                Err(error)
            }
        }
    }

    /// Forgets the records that have been kept long enough.
    ///
    /// # Errors
    /// It could not be written. It will be, with the next commit.
    pub fn forget(&mut self, now: BootTime) -> Result<(), StoreError> {
        let forgotten = self.state.set.forget(now);
        self.group.owe(forgotten);
        self.note_changes();
        if self.group.is_empty() { Ok(()) } else { self.commit(now).map(drop) }
    }

    /// Deletes a chunk of the stored responses that have expired; returns whether there are more. If
    /// there is nothing to delete, it still finds out whether the database can be written.
    pub fn prune(&mut self, now: Now) -> Result<bool, StoreError> {
        let connection = self.connection.get()?;
        tokens::probe(connection)?;
        let deleted = idempotency::prune(connection, now.wall_ms, CHUNK.into())?;
        Ok(deleted == usize::from(CHUNK))
    }

    /// Commits what waits, and closes the database after all readers: then everything is in its main
    /// file.
    ///
    /// # Errors
    /// Something is not there. Nothing is lost: the next start finds it beside the main file.
    pub fn close(&mut self, now: BootTime) -> Result<(), StoreError> {
        let committed = if self.group.is_empty() { Ok(false) } else { self.commit(now) };
        self.note_changes();
        self.connection.close()?;
        committed.map(drop)
    }
}

fn remember(
    connection: &Connection,
    state: &TokenState,
    request: &IdempotentRequest,
    claims: Claims,
    now_ms: i64,
) -> Result<Claims, RevokeRefused> {
    match idempotency::find(connection, request, now_ms)? {
        Lookup::Outcome(first) => {
            let first = serde_json::from_str(&first).map_err(RevokeRefused::Outcome)?;
            if stays_alive(state, &first, &claims) {
                return Ok(first);
            }
        }
        Lookup::OtherRequest => return Err(RevokeRefused::KeyReused),
        Lookup::Nothing => {}
    }
    let outcome = serde_json::to_string(&claims).map_err(RevokeRefused::Outcome)?;
    idempotency::record(connection, request, &outcome, now_ms)?;
    Ok(claims)
}

/// Whether the first token is as good as the one that would be made now. After a logout, a trade, a
/// change of password or its expiry it is not, and neither if it was to live for longer than tokens
/// do now: then the repeated request is a login of its own.
fn stays_alive(state: &TokenState, first: &Claims, now: &Claims) -> bool {
    let is_same = first.iss == now.iss
        && first.aud == now.aud
        && first.sub == now.sub
        && first.stamp == now.stamp;
    let is_in_time = first.nbf <= now.iat && now.iat < first.exp;
    let life_s = |claims: &Claims| claims.exp.saturating_sub(claims.iat);
    is_same
        && is_in_time
        && life_s(first) <= life_s(now)
        && !state.is_given_up(&first.sid, &first.jti)
}
