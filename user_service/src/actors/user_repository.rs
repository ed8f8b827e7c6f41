//! The writer.
//!
//! **Owns** the single writing connection, group commit, and the log's end.
//!
//! **Promises** that each change and its record in the log are on the disk together, or neither,
//! before the reply leaves; that a bad command fails alone; and that ids are never used again.
//!
//! **When full** refuses at once: 503 with `Retry-After`. While one commit is on the disk, its
//! mailbox collects the next group.
//!
//! **When it dies**, nothing acknowledged is lost: the next start reads all from the disk. When the
//! disk is full it lives on, refuses writes with 507, and tries each second whether there is room.

mod create_user;
mod delete_user;
mod first_answer;
mod pruning;
mod record_published;
mod recorder;
mod replace_hash;
#[cfg(test)]
pub(super) mod test_repository;
mod update_user;

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, Message};
use contract::{Head, Incarnation};
use rusqlite::Connection;
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::clock::Clock;
use shared::secrets::{SealingKeys, random_bytes};
use shared::sqlite::{CommitCount, GroupCommit, OpenError, StoreError};
use tokio::sync::watch;

pub use create_user::{CreateError, CreateUser, Created};
pub use delete_user::{DeleteError, DeleteUser};
pub(super) use first_answer::decode as decode_first_answer;
pub use pruning::LogRetention;
pub use record_published::RecordPublished;
pub use replace_hash::{ReplaceHash, ReplaceHashError};
pub use update_user::{UpdateError, UpdateUser};

use crate::metrics::WriterMetrics;
use crate::store::{self, digest, log};
use pruning::PruneLog;
use recorder::Recorder;

/// How many commands may wait while a commit is on the disk.
const MAILBOX_CAPACITY: usize = 1024;
/// How often a disk that was full is tried again.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// A command that changes the database.
pub trait Change: Command<Reply = Result<Self::Done, Self::Error>> {
    /// What it answers when it was done.
    type Done: Send + 'static;
    /// Why it was not.
    type Error: From<StoreError> + Send + 'static;

    /// Does it, in a savepoint of its own: an error undoes it.
    ///
    /// # Errors
    /// The command's own, or the database's.
    fn apply(self, connection: &Connection, recorder: &Recorder)
    -> Result<Self::Done, Self::Error>;
}

/// "Commit what waits, and end": answers when all is on the disk.
#[derive(Debug)]
pub struct Close;

impl Command for Close {
    type Reply = ();
}

/// The writer.
pub struct UserRepository {
    /// The only connection that writes.
    connection: Connection,
    /// What waits for the next commit.
    group: GroupCommit,
    /// Turns changes into records; every change of a group gets a clone.
    recorder: Recorder,
    /// Names this run.
    incarnation: Incarnation,
    /// The log's end, for all who follow it in this process.
    head: watch::Sender<Head>,
    /// Whether the last commit found room on the disk; `/readyz` reads it.
    is_writable: Arc<AtomicBool>,
    /// When records of the log may go.
    retention: LogRetention,
    metrics: WriterMetrics,
}

impl UserRepository {
    /// Opens the database, and begins a new incarnation of its log.
    ///
    /// # Errors
    /// The database cannot be opened, or not be written.
    pub fn open(
        path: &Path,
        sealing_key: Arc<SealingKeys>,
        clock: Clock,
        retention: LogRetention,
        metrics: WriterMetrics,
    ) -> Result<Self, OpenRepositoryError> {
        let connection = store::open(path)?;
        let incarnation = Incarnation(random_bytes());
        log::begin_incarnation(&connection, incarnation)?;
        digest::make_if_absent(&connection)?;
        let head = read_head(&connection, incarnation)?;
        metrics.head_seq.set(head.position.seq);
        let (head, _) = watch::channel(head);
        Ok(Self {
            connection,
            group: GroupCommit::default(),
            recorder: Recorder { sealing_key, clock },
            incarnation,
            head,
            is_writable: Arc::new(AtomicBool::new(true)),
            retention,
            metrics,
        })
    }

    /// Follows the log's end: changes after each commit that added to it.
    pub fn head(&self) -> watch::Receiver<Head> {
        self.head.subscribe()
    }

    /// Counts the commits.
    pub fn commits(&self) -> CommitCount {
        self.group.commits()
    }

    /// Whether the last commit found room on the disk.
    pub fn is_writable(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.is_writable)
    }

    /// Starts it on a thread of its own, where it may wait for the disk.
    pub fn launch(self, thread: &ArbiterHandle, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX_CAPACITY, |_| self)
    }

    fn commit(&mut self, context: &mut Context<Self>) {
        let started_at = Instant::now();
        let committed = self.group.commit(&mut self.connection);
        self.metrics.commit_seconds.observe(started_at.elapsed().as_secs_f64());
        match committed {
            Ok(committed) => {
                self.metrics.groups.inc();
                self.metrics.writes.inc_by(committed.writes as u64);
                self.is_writable.store(true, Ordering::Relaxed);
                self.announce_head();
            }
            Err(error) => self.note_failure(&error, context),
        }
    }

    fn announce_head(&self) {
        let Ok(head) = read_head(&self.connection, self.incarnation) else {
            // The next commit announces it: followers lose time only.
            return;
        };
        self.metrics.head_seq.set(head.position.seq);
        self.head.send_if_modified(|known| std::mem::replace(known, head) != head);
    }

    fn note_failure(&self, error: &StoreError, context: &mut Context<Self>) {
        self.metrics.failed_groups.inc();
        tracing::error!(error = %error, cause = error.source().map(tracing::field::display), "a commit failed");
        let is_full = matches!(error, StoreError::Full(_));
        if is_full && self.is_writable.swap(false, Ordering::Relaxed) {
            context.notify_later(TryWriting, RETRY_INTERVAL);
        }
    }
}

/// Where the log ends, for followers.
fn read_head(connection: &Connection, incarnation: Incarnation) -> Result<Head, StoreError> {
    let position = log::end(connection)?;
    Ok(Head { incarnation, position, checksum: Some(digest::read(connection)?) })
}

/// The database cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenRepositoryError {
    /// It cannot be opened.
    #[error("cannot open the database of users")]
    Open(#[from] OpenError),
    /// It cannot be written.
    #[error("cannot write the database of users")]
    Write(#[from] StoreError),
}

impl Actor for UserRepository {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.notify(PruneLog);
    }
}

impl<C: Change> Handler<Ask<C>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<C>, context: &mut Self::Context) {
        if self.group.is_empty() {
            // Comes after all that waits in the mailbox by now: that is the group.
            context.notify(CommitGroup);
        }
        let (command, reply) = ask.into_parts();
        let recorder = self.recorder.clone();
        self.group.push(reply, move |connection| command.apply(connection, &recorder));
    }
}

impl Handler<Ask<Close>> for UserRepository {
    type Result = ();

    fn handle(&mut self, ask: Ask<Close>, context: &mut Self::Context) {
        self.commit(context);
        context.stop();
        ask.answer(|Close| ());
    }
}

/// To itself: commit what waits.
#[derive(Message)]
#[rtype(result = "()")]
struct CommitGroup;

impl Handler<CommitGroup> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: CommitGroup, context: &mut Self::Context) {
        self.commit(context);
    }
}

/// To itself: see whether there is room on the disk again. Without it a service that is not ready
/// would get no writes, and would never find out.
#[derive(Message)]
#[rtype(result = "()")]
struct TryWriting;

impl Handler<TryWriting> for UserRepository {
    type Result = ();

    fn handle(&mut self, _: TryWriting, context: &mut Self::Context) {
        if self.is_writable.load(Ordering::Relaxed) {
            return;
        }
        match store::probe_writing(&self.connection) {
            Ok(()) => self.is_writable.store(true, Ordering::Relaxed),
            Err(_) => {
                context.notify_later(TryWriting, RETRY_INTERVAL);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::test_repository::{TestRepository, create, create_as};
    use super::*;
    use shared::actors::ask;
    use testkit::wait::until_holds;

    /// "Let the database grow to so many pages, and no further."
    struct LimitPages(u32);

    impl Command for LimitPages {
        type Reply = Result<(), StoreError>;
    }

    impl Change for LimitPages {
        type Done = ();
        type Error = StoreError;
        fn apply(self, connection: &Connection, _: &Recorder) -> Result<(), StoreError> {
            connection.query_row(&format!("PRAGMA max_page_count = {}", self.0), [], |_| Ok(()))?;
            Ok(())
        }
    }

    #[actix::test]
    async fn a_full_disk_refuses_writes_until_there_is_room_and_loses_nothing() {
        let repository = TestRepository::start();
        ask(&repository.addr, LimitPages(1)).await.unwrap().unwrap();
        let mut kept = 0;
        let refused = loop {
            match ask(&repository.addr, create(&format!("user{kept}"))).await.unwrap() {
                Ok(_) => kept += 1,
                Err(error) => break error,
            }
        };
        assert!(matches!(refused, CreateError::Store(StoreError::Full(_))), "{refused}");
        ask(&repository.addr, LimitPages(1_000_000)).await.unwrap().unwrap();
        create_as(&repository, "after").await;
        assert_eq!(repository.records().len(), kept + 1);
    }

    #[actix::test]
    async fn the_log_ends_for_followers_where_the_last_commit_left_it() {
        let repository = TestRepository::start();
        let mut head = repository.head.clone();
        create_as(&repository, "anna").await;
        until_holds("the head moves", Duration::from_secs(5), || {
            head.borrow_and_update().position.seq == 1
        })
        .await;
        let last = repository.records().pop().unwrap();
        assert_eq!(head.borrow().position, last.position);
    }

    #[actix::test]
    async fn what_waits_is_committed_as_one_group() {
        let repository = TestRepository::start();
        create_as(&repository, "first").await;
        let groups = repository.metrics.writer.groups.clone();
        let before = groups.get();
        let names: Vec<String> = (0..50).map(|n| format!("user{n}")).collect();
        let all = names.iter().map(|name| create_as(&repository, name));
        futures_util::future::join_all(all).await;
        assert!(groups.get() - before < 10, "{} groups for 50 writes", groups.get() - before);
    }
}
