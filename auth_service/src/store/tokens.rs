//! The revoked sessions, and the stored responses beside them: that of a logout is written in the
//! transaction of its revocation.

use std::path::PathBuf;
use std::sync::Arc;

use contract::Claims;
use rusqlite::Connection;
use shared::actors::Reply;
use shared::idempotency::{IdempotentRequest, Lookup};
use shared::sqlite::{Durability, WriteConnection, idempotency};
use shared::tokens::RevokedSessions;

use super::StoreError;
use super::forgetting::{Forgetting, Now, RevokedSession};
use super::sqlite::group_commit::GroupCommit;
use super::sqlite::{migrations, tokens};

/// How many expired revocations, and how many stored responses, are deleted at once: no logout waits
/// long for it.
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

/// Owns the only connection that writes to the list of revoked sessions.
///
/// Writes wait in a group until [`TokenStore::commit`]: each is answered after the commit that
/// holds it, and by then the view has it. One that fails or panics is undone alone. While the disk is
/// full, writes are refused, and what is there can still be read.
pub struct TokenStore {
    connection: WriteConnection,
    /// What the next commit holds.
    group: GroupCommit,
    /// Has what was committed.
    view: RevokedSessions,
    /// What is on the list, or was to be put on it.
    forgetting: Forgetting,
}

impl TokenStore {
    /// Opens the database, or creates it, and fills the view with all that is in it. If the disk is
    /// full, the first write that finds space opens it.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read.
    pub fn open(path: PathBuf, view: RevokedSessions, now: Now) -> Result<Self, StoreError> {
        let connection = WriteConnection::open(path, Durability::Full, migrations::tokens)?;
        let mut forgetting = Forgetting::default();
        connection.read(|connection| {
            tokens::load(connection, |session| {
                forgetting.note(&session, now);
                view.insert(session.sid);
            })
        })?;
        Ok(Self { connection, group: GroupCommit::default(), view, forgetting })
    }

    /// The random name that this database got when it was made.
    pub fn find_generation(&self) -> Result<String, StoreError> {
        self.connection.read(tokens::find_generation)
    }

    /// Gives the database a new random name: tokens signed under the old one are dead.
    pub fn renew_generation(&mut self) -> Result<String, StoreError> {
        tokens::renew_generation(self.connection.get()?)
    }

    /// Whether no write waits for a commit.
    pub fn is_idle(&self) -> bool {
        self.group.is_empty()
    }

    /// Revokes a session, if it is not revoked yet. A repeated `request` changes nothing and is
    /// answered as it was at first.
    pub fn revoke_session(
        &mut self,
        reply: Reply<Result<(), RevokeRefused>>,
        session: RevokedSession,
        request: Option<IdempotentRequest>,
        now: Now,
    ) {
        // If the commit fails, there will be nothing to forget, which does no harm.
        self.forgetting.note(&session, now);
        let (view, sid) = (self.view.clone(), Arc::clone(&session.sid));
        self.group.push_with(
            reply,
            move |connection| revoke_once(connection, &session, request.as_ref(), now.wall_ms),
            move |()| view.insert(sid),
        );
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
        self.group.push(reply, move |connection| remember(connection, &request, claims, now_ms));
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
    pub fn commit(&mut self) -> Result<bool, StoreError> {
        match self.connection.get() {
            Ok(connection) => self.group.commit(connection).map(|committed| committed.kept > 0),
            Err(error) => {
                self.group.refuse(&error);
                Err(error)
            }
        }
    }

    /// Deletes a chunk of the revocations and of the stored responses that have expired; returns
    /// whether there are more. If there is nothing to delete, it still finds out whether the
    /// database can be written.
    pub fn prune(&mut self, now: Now) -> Result<bool, StoreError> {
        let connection = self.connection.get()?;
        tokens::probe(connection)?;
        let expired = self.forgetting.take_expired(now, CHUNK.into());
        let responses = tokens::delete(connection, &expired)
            .and_then(|()| idempotency::prune(connection, now.wall_ms, CHUNK.into()));
        match responses {
            Ok(responses) => {
                for sid in &expired {
                    self.view.forget(sid);
                }
                Ok(expired.len().max(responses) == usize::from(CHUNK))
            }
            Err(error) => {
                self.forgetting.put_back(expired);
                Err(error)
            }
        }
    }

    /// Closes the database after all readers: then everything is in its main file.
    ///
    /// # Errors
    /// Something is not there. Nothing is lost: the next start finds it beside the main file.
    pub fn close(&mut self) -> Result<(), StoreError> {
        self.connection.close()
    }
}

fn revoke_once(
    connection: &Connection,
    session: &RevokedSession,
    request: Option<&IdempotentRequest>,
    now_ms: i64,
) -> Result<(), RevokeRefused> {
    if let Some(request) = request {
        match idempotency::find(connection, request, now_ms)? {
            Lookup::Outcome(_) => return Ok(()),
            Lookup::OtherRequest => return Err(RevokeRefused::KeyReused),
            Lookup::Nothing => idempotency::record(connection, request, "", now_ms)?,
        }
    }
    let is_first = tokens::insert(connection, session)?;
    if is_first { Ok(()) } else { Err(RevokeRefused::AlreadyDead) }
}

fn remember(
    connection: &Connection,
    request: &IdempotentRequest,
    claims: Claims,
    now_ms: i64,
) -> Result<Claims, RevokeRefused> {
    match idempotency::find(connection, request, now_ms)? {
        Lookup::Outcome(first) => {
            let first = serde_json::from_str(&first).map_err(RevokeRefused::Outcome)?;
            if stays_alive(connection, &first, &claims)? {
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

/// Whether the first token is as good as the one that would be made now. After a logout, a change
/// of password or its expiry it is not: then the repeated request is a login of its own.
fn stays_alive(connection: &Connection, first: &Claims, now: &Claims) -> Result<bool, StoreError> {
    let is_same = first.iss == now.iss
        && first.aud == now.aud
        && first.sub == now.sub
        && first.stamp == now.stamp;
    let is_in_time = first.nbf <= now.iat && now.iat < first.exp;
    Ok(is_same && is_in_time && !tokens::contains(connection, &first.sid)?)
}
