//! The snapshots that followers are loading, each from a temporary file.
//!
//! A follower gets as many parts as it has given credit for, and asks for the next ones with the
//! same question. So a broker holds a few parts at a time, however many users there are and however
//! slow the follower is. A follower that asks for nothing more for a while is given up, and its file
//! with it.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::pending;
use std::time::Duration;

use contract::{Credit, Head, SnapshotPart, SyncAnswer};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::Responding;
use super::answering::AnswerError;
use super::questions::Asked;
use super::spool::{self, SnapshotError, Spool};

/// How many snapshots are sent at a time, each from a file of its own. Further followers ask again.
const SNAPSHOTS_MAX: usize = 4;
/// How long a follower may take over the parts that it has got. One that is alive needs a second.
pub(super) const CREDIT_DEADLINE: Duration = Duration::from_secs(30);
/// How many questions about one snapshot may wait; a follower sends one at a time.
const QUESTIONS_MAX: usize = 2;

/// All snapshots in progress.
pub(super) struct Snapshots<'a> {
    with: &'a Responding,
    /// By the name of the follower.
    open: HashMap<String, OpenSnapshot>,
    sending: FuturesUnordered<LocalBoxFuture<'a, Ended>>,
}

/// The name of the follower, the nonce, and the outcome.
type Ended = (String, String, Result<(), AnswerError>);

struct OpenSnapshot {
    nonce: String,
    /// Dropped when the follower asks something else; then the snapshot ends.
    questions: mpsc::Sender<Asked>,
}

impl<'a> Snapshots<'a> {
    pub(super) fn new(with: &'a Responding) -> Self {
        Self { with, open: HashMap::new(), sending: FuturesUnordered::new() }
    }

    /// Passes on a question about a snapshot that is open, and returns any other question: by that,
    /// the follower has given up the snapshot that it was loading.
    pub(super) fn pass_on(&mut self, asked: Asked) -> Option<Asked> {
        let follower = &asked.request.reply_to;
        match self.open.get(follower) {
            Some(open) if open.nonce == asked.request.nonce => {
                open.questions.try_send(asked).err().map(mpsc::error::TrySendError::into_inner)
            }
            _ => {
                self.open.remove(follower);
                Some(asked)
            }
        }
    }

    /// Begins a snapshot as the answer to this question.
    pub(super) fn begin(&mut self, asked: Asked) {
        if self.sending.len() >= SNAPSHOTS_MAX {
            tracing::warn!("too many followers are loading snapshots; the next one has to wait");
            return;
        }
        let (follower, nonce) = (asked.request.reply_to.clone(), asked.request.nonce.clone());
        let (questions, inbox) = mpsc::channel(QUESTIONS_MAX);
        self.open.insert(follower.clone(), OpenSnapshot { nonce: nonce.clone(), questions });
        let sending = send_snapshot(self.with, asked, inbox);
        self.sending.push(async move { (follower, nonce, sending.await) }.boxed_local());
    }

    /// Drives all of them, until one has ended.
    pub(super) async fn next_ended(&mut self) -> Result<(), AnswerError> {
        let Some((follower, nonce, outcome)) = self.sending.next().await else {
            return pending().await;
        };
        if self.open.get(&follower).is_some_and(|open| open.nonce == nonce) {
            self.open.remove(&follower);
        }
        outcome
    }
}

async fn send_snapshot(
    with: &Responding,
    asked: Asked,
    questions: mpsc::Receiver<Asked>,
) -> Result<(), AnswerError> {
    let reader = with.store.open_log_reader().await?;
    let snapshot = reader.snapshot().await.map_err(SnapshotError::from)?;
    let head = snapshot.head();
    let (spooling, spool) = spool::begin(snapshot, &with.sealing_key, &with.directory)?;
    let spooling = async {
        spooling.run().await?;
        pending::<Result<Infallible, SnapshotError>>().await
    };
    tokio::select! {
        sent = Sending { with, head, spool }.run(asked, questions) => sent,
        Err(error) = spooling => Err(error.into()),
    }
}

/// One snapshot on its way.
struct Sending<'a> {
    with: &'a Responding,
    head: Head,
    spool: Spool,
}

impl Sending<'_> {
    /// Ends when the last part was sent, or the follower is gone or has asked something else.
    async fn run(
        mut self,
        first: Asked,
        mut questions: mpsc::Receiver<Asked>,
    ) -> Result<(), AnswerError> {
        let mut asked = Some(first);
        while let Some(question) = asked {
            let sent_through = self.answer(question).await?;
            if sent_through == self.spool.parts {
                break;
            }
            asked = timeout(CREDIT_DEADLINE, questions.recv()).await.unwrap_or_else(|_| {
                tracing::info!("a follower has stopped loading its snapshot");
                None
            });
        }
        Ok(())
    }

    /// Sends the parts that may be sent; returns the last of them.
    async fn answer(&mut self, mut asked: Asked) -> Result<u32, AnswerError> {
        let credit = asked.request.credit.unwrap_or(Credit::ALL);
        let through = credit.through().min(self.spool.parts);
        for part in credit.after.saturating_add(1)..=through {
            let Some(users) = self.spool.part(part).await? else { return Ok(0) };
            let answer = SnapshotPart {
                nonce: asked.request.nonce.clone(),
                as_of: self.head.cursor(),
                part,
                parts: self.spool.parts,
                sent_through: Some(through),
                users,
                checksum: self.head.checksum,
            };
            asked.give(&self.with.access, &SyncAnswer::Snapshot(answer)).await?;
        }
        Ok(through)
    }
}
