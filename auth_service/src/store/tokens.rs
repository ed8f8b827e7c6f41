//! The revoked tokens, and the stored responses beside them: that of a logout is written in the
//! transaction of its revocation.

use std::path::PathBuf;

use contract::{Claims, UserId};
use rusqlite::Connection;
use shared::actors::Reply;
use shared::idempotency::{IdempotentRequest, Lookup};
use shared::sqlite::{Durability, WriteConnection, idempotency};
use shared::tokens::RevokedView;

use super::StoreError;
use super::sqlite::group_commit::GroupCommit;
use super::sqlite::{migrations, tokens};

/// How many expired revocations, and how many stored responses, are deleted at once: no logout waits
/// long for it.
const CHUNK: u32 = 1_000;

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
pub enum RevokeRefused {
    /// The token was revoked in the meantime.
    #[error("the token is revoked already")]
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

/// Owns the only connection that writes to the list of revoked tokens.
///
/// Writes wait in a group until [`TokenStore::commit`]: each is answered after the commit that
/// holds it, and by then the view has it. One that fails or panics is undone alone. While the disk is
/// full, writes are refused, and what is there can still be read.
pub struct TokenStore {
    connection: WriteConnection,
    /// What the next commit holds.
    group: GroupCommit,
    /// Has what was committed.
    view: RevokedView,
}

impl TokenStore {
    /// Opens the database, or creates it, and fills the view with all that is in it. If the disk is
    /// full, the first write that finds space opens it.
    ///
    /// # Errors
    /// It cannot be used; or the disk is full, and it cannot even be read.
    pub fn open(path: PathBuf, view: RevokedView) -> Result<Self, StoreError> {
        let connection = WriteConnection::open(path, Durability::Full, migrations::tokens)?;
        connection.read(|connection| tokens::load(connection, &view))?;
        Ok(Self { connection, group: GroupCommit::default(), view })
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

    /// Revokes a token until `until_s`, if it is not revoked yet. A repeated `request` changes
    /// nothing and is answered as it was at first.
    pub fn revoke_token(
        &mut self,
        reply: Reply<Result<(), RevokeRefused>>,
        (jti, until_s): (String, i64),
        request: Option<IdempotentRequest>,
        now_ms: i64,
    ) {
        let (view, dead) = (self.view.clone(), jti.clone());
        self.group.push_with(
            reply,
            move |connection| revoke_once(connection, &jti, until_s, request.as_ref(), now_ms),
            move |()| view.insert_token(dead, until_s),
        );
    }

    /// Revokes the tokens of older passwords than these users' given versions, until `until_s`.
    pub fn revoke_users(
        &mut self,
        reply: Reply<Result<(), StoreError>>,
        users: Vec<(UserId, i64)>,
        until_s: i64,
    ) {
        let (view, dead) = (self.view.clone(), users.clone());
        self.group.push_with(
            reply,
            move |connection| {
                users
                    .iter()
                    .try_for_each(|(id, min)| tokens::insert_user(connection, *id, *min, until_s))
            },
            move |()| dead.into_iter().for_each(|(id, min)| view.insert_user(id, min, until_s)),
        );
    }

    /// Stores the claims of a login, or answers with those of the first such request.
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
    /// whether there are more. The view forgets all that have expired. If there is nothing to delete,
    /// it still finds out whether the database can be written.
    pub fn prune(&mut self, now_ms: i64) -> Result<bool, StoreError> {
        let seconds = now_ms.div_euclid(1000);
        let connection = self.connection.get()?;
        tokens::probe(connection)?;
        let revocations = tokens::delete_expired(connection, seconds, CHUNK)?;
        let responses = idempotency::prune(connection, now_ms, CHUNK)?;
        self.view.forget_expired(seconds);
        Ok(revocations.max(responses) == CHUNK as usize)
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
    jti: &str,
    until_s: i64,
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
    let is_first = tokens::insert_token(connection, jti, until_s)?;
    if is_first { Ok(()) } else { Err(RevokeRefused::AlreadyDead) }
}

fn remember(
    connection: &Connection,
    request: &IdempotentRequest,
    claims: Claims,
    now_ms: i64,
) -> Result<Claims, RevokeRefused> {
    match idempotency::find(connection, request, now_ms)? {
        Lookup::Outcome(first) => serde_json::from_str(&first).map_err(RevokeRefused::Outcome),
        Lookup::OtherRequest => Err(RevokeRefused::KeyReused),
        Lookup::Nothing => {
            let outcome = serde_json::to_string(&claims).map_err(RevokeRefused::Outcome)?;
            idempotency::record(connection, request, &outcome, now_ms)?;
            Ok(claims)
        }
    }
}
