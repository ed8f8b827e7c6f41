//! Writing: one group of changes after the other, each in a transaction under the log's lock.

use std::path::PathBuf;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use contract::{Head, Incarnation, LogName, Position, UserId};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use shared::fail_point::fail_point;
use shared::postgres::{Confirmation, Server, Session, while_unavailable};
use shared::secrets::random_bytes;

use super::super::moving::MoveNotEnded;
use super::super::rewound::Seen;
use super::super::{
    Change, ChangeError, Committed, FollowerPlace, Lease, LeaseClaim, Opened, Outcome, Pruned,
    Retention, StoreError, Writer,
};
use super::group::Group;
use super::lease::Claimant;
use super::log_state::{LogState, stored_hash};
use super::rewinding::{self, Cause};
use super::{moving, name_keys, place, pruning, transaction};

/// How long the outcome of a COMMIT is asked for when its answer was lost.
const ASKING_LIMIT: Duration = Duration::from_secs(20);

/// Writes, on one connection at a time.
pub(super) struct PostgresWriter {
    server: Arc<Server>,
    marked: PathBuf,
    /// The log's own name.
    log: LogName,
    /// In no transaction. Absent while it is used, and after a failure: what a lost transaction has
    /// left behind ends with its connection.
    session: Option<Session>,
    /// Names this process in its records: none is ever the same as that of another process.
    run: Incarnation,
    /// Names it where the publisher's lease is.
    claimant: Claimant,
    /// The end of the log, and the ids, after the last transaction.
    seen: Seen,
    head: Head,
}

impl PostgresWriter {
    /// Begins a new incarnation of the log.
    pub(super) async fn open(
        session: Session,
        server: Arc<Server>,
        marked: PathBuf,
        now_ms: i64,
    ) -> Result<Opened, StoreError> {
        let run = Incarnation(random_bytes());
        transaction::begin_long(&session).await?;
        let (mut group, _) = Group::read(&session, &[], Position::default(), run, now_ms).await?;
        server.meet(&group.here.timeline())?;
        if moving::is_unfinished(&session).await? {
            return Err(StoreError::Failed(Arc::new(MoveNotEnded)));
        }
        group.state.incarnation = run;
        // Before anything else writes a record.
        rewinding::check_opened(&mut group, &session, &marked).await?;
        name_keys::renew(&mut group, &session).await?;
        let is_followed = rewinding::is_followed(&session).await?;
        if group.commit(&session).await? == Confirmation::Unknown {
            return Err(transaction::unconfirmed());
        }
        let (head, seen, log) = (group.state.head(), group.state.seen(), group.state.name);
        rewinding::keep_mark(&marked, log, seen, server.newest_timeline())?;
        // Not this connection: it belongs to the thread that opens, and not to the one that writes.
        let (session, run, claimant) = (None, group.run, Claimant::new());
        let writer = Self { server, marked, log, session, run, claimant, seen, head };
        Ok(Opened { writer: Box::new(writer), head, is_followed })
    }

    async fn take_session(&mut self) -> Result<Session, StoreError> {
        match self.session.take().filter(|session| !session.is_closed()) {
            Some(session) => Ok(session),
            None => self.server.connect().await,
        }
    }

    /// Does the work in one transaction. Tries once more if the connection was lost, or something
    /// else was in the way.
    async fn transact<T>(
        &mut self,
        about: &[Change],
        now_ms: i64,
        work: impl AsyncFn(&mut Group, &Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match self.try_once(about, now_ms, &work).await {
            Err(StoreError::Unavailable(_)) => self.try_once(about, now_ms, &work).await,
            done => done,
        }
    }

    async fn try_once<T>(
        &mut self,
        about: &[Change],
        now_ms: i64,
        work: &impl AsyncFn(&mut Group, &Session) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let session = self.take_session().await?;
        transaction::begin(&session).await?;
        let seen = self.seen;
        let (mut group, has_seen) =
            Group::read(&session, about, seen.end.position, self.run, now_ms).await?;
        // A pooler may serve each transaction by another server.
        self.server.meet(&group.here.timeline())?;
        if !has_seen {
            rewinding::hear(&mut group, &session, seen, Cause::BeforeSeen).await?;
        }
        place::note(&mut group);
        let done = work(&mut group, &session).await?;
        match group.commit(&session).await? {
            Confirmation::Confirmed => self.session = Some(session),
            Confirmation::Unknown => {
                drop(session);
                if !self.was_made(&group).await? {
                    return Err(transaction::unconfirmed());
                }
            }
        }
        self.learn(&group);
        Ok(done)
    }

    fn note_mark(&self) -> Result<(), StoreError> {
        let timeline = self.server.newest_timeline();
        rewinding::keep_mark(&self.marked, self.log, self.seen, timeline)
    }

    fn learn(&mut self, group: &Group) {
        self.run = group.run;
        self.seen = group.state.seen();
        self.head = group.state.head();
    }

    /// Whether a group was made whose COMMIT was not answered. Asks under the log's lock: whoever
    /// holds it is not in the middle of that COMMIT. Nobody is answered before this is known.
    ///
    /// A group without records changes nothing when it is made again, so it counts as not made.
    async fn was_made(&self, group: &Group) -> Result<bool, StoreError> {
        if !group.has_records() {
            return Ok(false);
        }
        let known = while_unavailable(ASKING_LIMIT, async || self.ask_whether_made(group).await);
        known.await.map_err(|error| StoreError::Unconfirmed(Arc::clone(error.cause())))
    }

    async fn ask_whether_made(&self, group: &Group) -> Result<bool, StoreError> {
        let session = self.server.connect().await?;
        transaction::begin(&session).await?;
        let end = group.state.end;
        // The hash covers who wrote it, so no other process has written a record with this one.
        let is_made = stored_hash(&session, end.seq).await? == Some(end.hash);
        // A write, so that with a synchronous standby it has everything before as well.
        session.execute("UPDATE published SET seq = seq", &[]).await?;
        transaction::commit_repeatable(&session).await?;
        Ok(is_made)
    }

    async fn commit_group(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> Result<Committed, StoreError> {
        let outcomes = match self.make(&changes, now_ms).await {
            Err(StoreError::Failed(_)) => self.make_each(&changes, now_ms).await,
            made => made?,
        };
        fail_point("committed");
        Ok(Committed { outcomes, head: self.head })
    }

    async fn make(&mut self, changes: &[Change], now_ms: i64) -> Result<Vec<Outcome>, StoreError> {
        let work = async |group: &mut Group, _: &Session| {
            Ok(changes.iter().map(|change| group.make(change.clone())).collect())
        };
        self.transact(changes, now_ms, work).await
    }

    /// Makes each change in a transaction of its own: one of them is at fault.
    async fn make_each(&mut self, changes: &[Change], now_ms: i64) -> Vec<Outcome> {
        let mut outcomes = Vec::with_capacity(changes.len());
        let mut gone: Option<StoreError> = None;
        for change in changes {
            let made = match &gone {
                Some(error) => Err(error.clone()),
                None => self.make(slice::from_ref(change), now_ms).await,
            };
            match made {
                Ok(made) => outcomes.extend(made),
                Err(error) => {
                    gone = error.is_passing().then(|| error.clone());
                    outcomes.push(Err(ChangeError::Store(error)));
                }
            }
        }
        outcomes
    }

    async fn hear(&mut self, place: FollowerPlace, now_ms: i64) -> Result<Head, StoreError> {
        let FollowerPlace { cursor, highest_id } = place;
        let seen = Seen { end: cursor, highest_id: highest_id.map_or(0, |UserId(id)| id) };
        let work = async |group: &mut Group, session: &Session| {
            rewinding::note_follower(session).await?;
            rewinding::hear(group, session, seen, Cause::BeforeFollower).await
        };
        self.transact(&[], now_ms, work).await?;
        Ok(self.head)
    }

    async fn claim(&mut self, claim: LeaseClaim) -> Result<Lease, StoreError> {
        let session = self.take_session().await?;
        let lease = self.claimant.claim(&session, claim).await?;
        self.session = Some(session);
        Ok(lease)
    }

    async fn prune_chunk(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> Result<Pruned, StoreError> {
        let session = self.take_session().await?;
        transaction::begin(&session).await?;
        let mut state = LogState::read(&session).await?;
        let pruned = if self.claimant.is_holder(&session).await? {
            pruning::prune(&session, &mut state, retention, now_ms).await?
        } else {
            Pruned::nothing(state.start.seq)
        };
        transaction::commit_repeatable(&session).await?;
        self.session = Some(session);
        Ok(pruned)
    }

    /// Writes the same value again under the log's lock, to find out whether changes could be made.
    async fn try_writing(&mut self) -> Result<(), StoreError> {
        let session = self.take_session().await?;
        transaction::begin(&session).await?;
        session.execute("UPDATE published SET seq = seq", &[]).await?;
        transaction::commit_repeatable(&session).await?;
        self.session = Some(session);
        Ok(())
    }
}

impl Writer for PostgresWriter {
    fn commit(
        &mut self,
        changes: Vec<Change>,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Committed, StoreError>> {
        self.commit_group(changes, now_ms).boxed_local()
    }

    fn hear_follower(
        &mut self,
        place: FollowerPlace,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Head, StoreError>> {
        self.hear(place, now_ms).boxed_local()
    }

    fn follow_others(
        &mut self,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Option<Head>, StoreError>> {
        async move {
            self.transact(&[], now_ms, async |_: &mut Group, _: &Session| Ok(())).await?;
            Ok(Some(self.head))
        }
        .boxed_local()
    }

    fn keep_mark(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        async { self.note_mark() }.boxed_local()
    }

    fn claim_lease(&mut self, claim: LeaseClaim) -> LocalBoxFuture<'_, Result<Lease, StoreError>> {
        self.claim(claim).boxed_local()
    }

    fn prune(
        &mut self,
        retention: Retention,
        now_ms: i64,
    ) -> LocalBoxFuture<'_, Result<Pruned, StoreError>> {
        self.prune_chunk(retention, now_ms).boxed_local()
    }

    fn probe(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.try_writing().boxed_local()
    }

    fn close(self: Box<Self>) -> LocalBoxFuture<'static, Result<(), StoreError>> {
        async move { self.note_mark() }.boxed_local()
    }
}
