//! The writing connection.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use contract::{EventKind, Head};
use futures_util::FutureExt;
use futures_util::future::{LocalBoxFuture, ready};
use rusqlite::{Connection, Transaction, TransactionBehavior};
use shared::fail_point::fail_point;
use shared::file_place::FilePlace;
use shared::full_disk::check_room;
use shared::regular_file::directory_of;
use shared::sqlite::{close_writer, in_savepoint};
use shared::store_error::Damage;

use super::super::lease::own_name;
use super::super::rules::{self, Decision, Revision};
use super::super::{
    Change, ChangeError, Committed, CreateUser, DeleteUser, EndSessions, FollowerPlace, Lease,
    LeaseClaim, Outcome, Pruned, ReplaceHash, Retention, SetRole, StoreError, UpdateUser, Writer,
};
use super::{checksum, log, pruning, published, read_head, responses, rewinding, users};
use crate::domain::Written;

/// How long the lease is said to hold: longer than the disk may stall a renewal.
const ALONE: Duration = Duration::from_hours(1);

/// Owns the only connection that writes.
pub(super) struct SqliteWriter {
    connection: Connection,
    /// Where the database is.
    place: FilePlace,
    damage: Damage,
}

impl SqliteWriter {
    /// Writes to the database at this path.
    pub(super) fn new(connection: Connection, path: &Path, damage: Damage) -> Self {
        Self { connection, place: FilePlace::of(path, path.metadata()), damage }
    }

    /// Does the work in one transaction; returns what it returned, and the end of the log.
    fn transact<T>(
        &mut self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StoreError>,
    ) -> Result<(T, Head), StoreError> {
        let transact = || {
            self.place.check()?;
            // Immediate: a deferred transaction could fail to become a writer half way.
            let behavior = TransactionBehavior::Immediate;
            let transaction = self.connection.transaction_with_behavior(behavior)?;
            let done = (work(&transaction)?, read_head(&transaction)?);
            transaction.commit()?;
            Ok(done)
        };
        self.damage.note(transact())
    }

    fn run_group(&mut self, changes: Vec<Change>, now_ms: i64) -> Result<Committed, StoreError> {
        let damage = self.damage.clone();
        let make = |transaction: &Transaction<'_>| make_all(changes, transaction, &damage, now_ms);
        let (outcomes, head) = self.transact(make)?;
        fail_point("committed");
        Ok(Committed { outcomes, head })
    }
}

/// Nobody else can have the lease: the data directory is claimed for this process.
fn only_claimant(published: i64) -> Lease {
    Lease { holder: own_name(), is_ours: true, published, left: ALONE }
}

/// Makes the changes, each in a savepoint of its own.
fn make_all(
    changes: Vec<Change>,
    transaction: &Transaction<'_>,
    damage: &Damage,
    now_ms: i64,
) -> Result<Vec<Outcome>, StoreError> {
    let mut outcomes = Vec::with_capacity(changes.len());
    for change in changes {
        let mut outcome = Err(ChangeError::Store(StoreError::Failed(Arc::new(Panicked))));
        in_savepoint(transaction, |connection| {
            let work = AssertUnwindSafe(|| apply(connection, change, now_ms));
            if let Ok(applied) = catch_unwind(work) {
                outcome = applied;
            }
            // After any other error nothing was written, except perhaps the response of a
            // request with an `Idempotency-Key`, which is kept.
            !matches!(outcome, Err(ChangeError::Store(_)))
        })?;
        if let Err(ChangeError::Store(error)) = &outcome {
            damage.look_at(error);
        }
        outcomes.push(outcome);
    }
    Ok(outcomes)
}

/// A change made the engine panic; the panic hook has logged it.
#[derive(Debug, thiserror::Error)]
#[error("the change panicked")]
struct Panicked;

impl Writer for SqliteWriter {
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>> {
        ready(self.run_group(changes, now_ms)).boxed_local()
    }

    fn hear_follower(
        &mut self,
        place: FollowerPlace,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        let heard = self.transact(|transaction| rewinding::hear(transaction, place, now_ms));
        ready(heard.map(|((), head)| head)).boxed_local()
    }

    fn follow_others(
        &mut self,
        _now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Option<Head>, StoreError>> {
        ready(Ok(None)).boxed_local()
    }

    fn keep_mark(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        ready(rewinding::keep_mark(&self.connection, self.place.path())).boxed_local()
    }

    fn claim_lease(&mut self, claim: LeaseClaim) -> LocalBoxFuture<'_, Result<Lease, StoreError>> {
        let published = published::record(&self.connection, claim.confirmed);
        ready(published.map(only_claimant)).boxed_local()
    }

    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>> {
        ready(pruning::prune(&mut self.connection, retention, now_ms)).boxed_local()
    }

    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        let probe = || {
            self.place.check()?;
            let has_room = check_room(directory_of(self.place.path()));
            has_room.map_err(|full| StoreError::Full(Arc::new(full)))?;
            published::touch(&self.connection)
        };
        ready(probe()).boxed_local()
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        let kept = rewinding::keep_mark(&self.connection, self.place.path());
        ready(close_writer(self.connection).and(kept)).boxed_local()
    }
}

/// Makes one change.
fn apply(connection: &Connection, change: Change, now_ms: i64) -> Outcome {
    match change {
        Change::Create(create) => create_once(connection, &create, now_ms),
        Change::Update(update) => update_user(connection, update, now_ms),
        Change::Delete(delete) => delete_user(connection, &delete, now_ms),
        Change::ReplaceHash(replace) => replace_hash(connection, &replace, now_ms),
        Change::EndSessions(end) => end_sessions(connection, &end, now_ms),
        Change::SetRole(role) => set_role(connection, &role, now_ms),
    }
}

fn create_once(connection: &Connection, create: &CreateUser, now_ms: i64) -> Outcome {
    let Some(request) = &create.idempotency else { return create_user(connection, create, now_ms) };
    if let Some(first) = responses::find(connection, request, now_ms)? {
        return Ok(first);
    }
    let outcome = create_user(connection, create, now_ms);
    responses::record(connection, request, &outcome, now_ms)?;
    outcome
}

fn create_user(connection: &Connection, create: &CreateUser, now_ms: i64) -> Outcome {
    let mut user = users::insert(connection, &create.username, &create.password_hash)?;
    checksum::replace(connection, None, Some(&user))?;
    let (left, traceparent) = (user.left_with_new_stamp(), create.traceparent.as_deref());
    let position = log::append(connection, &EventKind::CREATED, left, now_ms, traceparent)?;
    (user.changed, user.stamp) = (position, position);
    users::write_positions(connection, &user)?;
    Ok(Written { user, position })
}

fn update_user(connection: &Connection, update: UpdateUser, now_ms: i64) -> Outcome {
    let found = users::find_credentials(connection, update.id)?;
    let traceparent = update.traceparent.clone();
    decided(connection, rules::update(found, update)?, now_ms, traceparent.as_deref())
}

fn delete_user(connection: &Connection, delete: &DeleteUser, now_ms: i64) -> Outcome {
    let user = rules::delete(users::find(connection, delete.id)?, delete)?;
    users::delete(connection, user.id)?;
    checksum::replace(connection, Some(&user), None)?;
    let traceparent = delete.traceparent.as_deref();
    let position = log::append(connection, &EventKind::DELETED, user.gone(), now_ms, traceparent)?;
    Ok(Written { user, position })
}

fn replace_hash(connection: &Connection, replace: &ReplaceHash, now_ms: i64) -> Outcome {
    let found = users::find_credentials(connection, replace.id)?;
    revise(connection, rules::replace_hash(found, replace)?, now_ms, None)
}

fn end_sessions(connection: &Connection, end: &EndSessions, now_ms: i64) -> Outcome {
    let found = users::find_credentials(connection, end.id)?;
    let decision = rules::end_sessions(found, end)?;
    decided(connection, decision, now_ms, end.traceparent.as_deref())
}

fn set_role(connection: &Connection, role: &SetRole, now_ms: i64) -> Outcome {
    let found = users::find_credentials(connection, role.id)?;
    decided(connection, rules::set_role(found, role)?, now_ms, None)
}

fn decided(
    connection: &Connection,
    decision: Decision,
    now_ms: i64,
    traceparent: Option<&str>,
) -> Outcome {
    match decision {
        Decision::Nothing(user) => Ok(Written { user, position: log::end(connection)? }),
        Decision::Write(revision) => revise(connection, revision, now_ms, traceparent),
    }
}

fn revise(
    connection: &Connection,
    revision: Revision,
    now_ms: i64,
    traceparent: Option<&str>,
) -> Outcome {
    users::write(connection, &revision.user, &revision.password_hash)?;
    if let Some(before) = &revision.before {
        checksum::replace(connection, Some(before), Some(&revision.user))?;
    }
    let position = log::append(connection, &revision.kind, revision.left(), now_ms, traceparent)?;
    let user = revision.placed(position);
    users::write_positions(connection, &user)?;
    Ok(Written { user, position })
}
