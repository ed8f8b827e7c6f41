//! Has a writer do work that nobody waits for, such as deleting what is beyond its retention.
//!
//! **Owns** the schedule: a chunk of a few rows at a time, so that no write waits long for it.
//!
//! **Promises** that the work is looked for at start and once in each period, and done to its end.
//!
//! **When full**: this cannot happen, as it takes no input.
//!
//! **When it dies** the work waits until it is started again.

use std::future::pending;
use std::time::Duration;

use actix::{Actor, ArbiterHandle, AsyncContext, Context, Handler, WrapFuture};
use tokio::time::sleep;

use super::{Ask, AskError, Command, Health, Mailbox, ask, supervise};
use crate::store_error::StoreError;

/// Pause between two chunks, so that writes get the disk meanwhile.
const PAUSE: Duration = Duration::from_millis(100);
/// It receives no commands.
const MAILBOX: usize = 1;

/// The schedule of one kind of work. It stops when its last mailbox is dropped.
pub struct Maintenance<A: Actor, C> {
    /// Names the work in the log and at `/readyz`: "pruning the log".
    what: &'static str,
    /// Pause until there may be more to do.
    period: Duration,
    writer: Mailbox<A>,
    /// Tells the writer to do one chunk.
    chunk: C,
    health: Health,
}

/// Why nothing was done.
#[derive(Debug, thiserror::Error)]
enum ChunkError {
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<A, C> Maintenance<A, C>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command<Reply = Result<bool, StoreError>> + Clone + Unpin,
{
    /// Starts it on this thread. Sends `chunk` to the writer once in each period; the writer does one
    /// chunk and answers whether there is more.
    pub fn launch(
        thread: &ArbiterHandle,
        (what, period): (&'static str, Duration),
        writer: Mailbox<A>,
        chunk: C,
        health: &Health,
    ) -> Mailbox<Self> {
        let maintenance = Self { what, period, writer, chunk, health: health.clone() };
        Mailbox::start_on(thread, health, MAILBOX, |_| maintenance)
    }
}

impl<A, C> Actor for Maintenance<A, C>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command<Reply = Result<bool, StoreError>> + Clone + Unpin,
{
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (what, period, health) = (self.what, self.period, self.health.clone());
        let (writer, chunk) = (self.writer.clone(), self.chunk.clone());
        let working = async move {
            let run = async || work_for_ever(&writer, &chunk, period).await;
            supervise(&health, what, pending(), run).await;
        };
        context.spawn(working.into_actor(self));
    }
}

async fn work_for_ever<A, C>(
    writer: &Mailbox<A>,
    chunk: &C,
    period: Duration,
) -> Result<(), ChunkError>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command<Reply = Result<bool, StoreError>> + Clone,
{
    loop {
        let has_more = ask(writer, chunk.clone()).await??;
        sleep(if has_more { PAUSE } else { period }).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::Arbiter;
    use std::io;
    use std::sync::Arc;
    use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

    const PERIOD: Duration = Duration::from_mins(1);

    /// Panics at the first chunk, fails at the second, and has three chunks then.
    struct Writer {
        chunks: usize,
        pruned: UnboundedSender<usize>,
    }

    impl Actor for Writer {
        type Context = Context<Self>;
    }

    #[derive(Clone)]
    struct Prune;

    impl Command for Prune {
        type Reply = Result<bool, StoreError>;
    }

    impl Handler<Ask<Prune>> for Writer {
        type Result = ();
        fn handle(&mut self, ask: Ask<Prune>, _: &mut Self::Context) {
            ask.answer(|Prune| {
                self.chunks += 1;
                assert!(self.chunks > 1, "as the test wants it");
                if self.chunks == 2 {
                    return Err(StoreError::Failed(Arc::new(io::Error::other("no luck"))));
                }
                self.pruned.send(self.chunks).unwrap();
                Ok(self.chunks < 5)
            });
        }
    }

    #[actix::test]
    async fn all_chunks_are_pruned_although_the_writer_panicked_and_failed() {
        let (pruned, mut chunks) = unbounded_channel();
        let health = Health::default();
        let writer = Mailbox::start(&health, 1, |_| Writer { chunks: 0, pruned });
        let thread = Arbiter::current();
        let maintenance = Maintenance::launch(&thread, ("pruning", PERIOD), writer, Prune, &health);
        for expected in 3..=5 {
            assert_eq!(chunks.recv().await, Some(expected));
        }
        assert_eq!(health.degraded(), ["pruning: the database failed: no luck"]);
        assert_eq!(maintenance.name(), "Maintenance");
    }
}
