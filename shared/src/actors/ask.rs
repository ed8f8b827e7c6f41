//! A question to an actor, with a channel for its answer.
//!
//! The mailbox is the admission limit: it refuses commands when it is full, and the refusal reaches
//! the client as 503 with `Retry-After`. The answer travels through a separate channel, so an actor
//! may take a question apart and answer it later, as group commit does. The caller's tracing span
//! travels with the question: log lines that the actor writes for it belong to the caller's
//! request.

use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::{Actor, Context, Handler, Message};
use futures_util::FutureExt;
use tokio::sync::oneshot;
use tracing::{Instrument, Span};

use super::mailbox::{Mailbox, Place, short_name};
use crate::traces::Step;

/// A command or a question to an actor.
pub trait Command: Send + 'static {
    /// The answer.
    type Reply: Send + 'static;
}

/// A command on its way to the actor.
///
/// It counts as waiting until the actor opens it, by [`Ask::answer`], [`Ask::answer_later`] or
/// [`Ask::into_parts`].
pub struct Ask<C: Command> {
    command: C,
    reply: Reply<C::Reply>,
    place: Place,
}

/// The channel for one answer. Dropping it tells the caller that there will be no answer.
pub struct Reply<T> {
    /// `None` if the caller wants no answer.
    to: Option<oneshot::Sender<T>>,
    /// The caller's span.
    span: Span,
}

/// Why there is no answer. The client may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The mailbox is full: nothing was done.
    #[error("the mailbox of {0} is full")]
    Full(&'static str),
    /// The actor has stopped, or it failed on this command: whether it was done is unknown.
    #[error("{0} gave no answer")]
    Gone(&'static str),
}

/// Sends the command and waits for the reply: a step of the request's trace, if there is one.
///
/// # Errors
/// See [`AskError`].
pub async fn ask<A, C>(mailbox: &Mailbox<A>, command: C) -> Result<C::Reply, AskError>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command,
{
    let step = Step::ask(mailbox.name(), short_name::<C>);
    let answered = put_and_wait(mailbox, command).await;
    if let (Some(step), Err(error)) = (step, &answered) {
        step.fail(error.kind());
    }
    answered
}

async fn put_and_wait<A, C>(mailbox: &Mailbox<A>, command: C) -> Result<C::Reply, AskError>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command,
{
    let (reply, answer) = Reply::channel();
    let place = mailbox.reserve()?;
    mailbox.send(Ask { command, reply, place });
    answer.await.map_err(|_| AskError::Gone(mailbox.name()))
}

impl AskError {
    /// One word for traces.
    fn kind(self) -> &'static str {
        match self {
            Self::Full(_) => "full",
            Self::Gone(_) => "gone",
        }
    }
}

/// [`Mailbox::tell`].
pub(super) fn tell<A, C>(mailbox: &Mailbox<A>, command: C) -> Result<(), AskError>
where
    A: Actor<Context = Context<A>> + Handler<Ask<C>>,
    C: Command<Reply = ()>,
{
    let reply = Reply { to: None, span: Span::current() };
    let place = mailbox.reserve()?;
    mailbox.send(Ask { command, reply, place });
    Ok(())
}

impl<C: Command> Message for Ask<C> {
    type Result = ();
}

impl<C: Command> Ask<C> {
    /// Answers with the result of `work`. If `work` panics, this command alone fails; the panic
    /// hook has already logged it.
    pub fn answer(self, work: impl FnOnce(C) -> C::Reply) {
        let (command, reply) = self.into_parts();
        reply.answer(|| work(command));
    }

    /// [`Ask::answer`] for work that waits for something else, such as a database over the network.
    /// An answer that needs no waiting is sent at once. Otherwise the work continues in a task on
    /// the actor's thread, beside the commands that follow. The command counts as waiting until the
    /// work is done, so the mailbox's capacity also bounds the work in progress.
    pub fn answer_later<F>(self, work: impl FnOnce(C) -> F + 'static)
    where
        F: Future<Output = C::Reply> + 'static,
    {
        let Self { command, reply, place } = self;
        let working = async move { work(command).await }.instrument(reply.span.clone());
        let mut working = Box::pin(AssertUnwindSafe(working).catch_unwind());
        match (&mut working).now_or_never() {
            Some(outcome) => reply.send_outcome(outcome.ok()),
            None => {
                actix::spawn(async move {
                    let outcome = working.await;
                    drop(place);
                    reply.send_outcome(outcome.ok());
                });
            }
        }
    }

    /// Takes the question apart, to be answered later.
    pub fn into_parts(self) -> (C, Reply<C::Reply>) {
        (self.command, self.reply)
    }
}

impl<T> Reply<T> {
    /// A reply channel and its receiver.
    pub fn channel() -> (Self, oneshot::Receiver<T>) {
        let (to, answer) = oneshot::channel();
        (Self { to: Some(to), span: Span::current() }, answer)
    }

    /// Sends the answer. It does not matter to the actor if the caller has gone away.
    pub fn send(self, answer: T) {
        if let Some(to) = self.to {
            let _ = to.send(answer);
        }
    }

    /// Sends the result of `work`; sends nothing if it panics.
    pub fn answer(self, work: impl FnOnce() -> T) {
        let outcome = self.run(work);
        self.send_outcome(outcome);
    }

    /// Does a part of the work inside the caller's span; returns `None` if it panics.
    pub fn run<R>(&self, work: impl FnOnce() -> R) -> Option<R> {
        self.span.in_scope(|| catch_unwind(AssertUnwindSafe(work)).ok())
    }

    /// Nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.to.as_ref().is_some_and(oneshot::Sender::is_closed)
    }

    fn send_outcome(self, outcome: Option<T>) {
        if let Some(answer) = outcome {
            self.send(answer);
        }
    }
}
