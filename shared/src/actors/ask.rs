//! A question to an actor, with its answer's way back.
//!
//! The actor's mailbox is the admission limit: `try_send` refuses when it is full, and the refusal
//! reaches the client as 503 with `Retry-After`. (`Addr::send` would wait without bound instead,
//! and `do_send` ignores the bound.) The reply travels by a channel of its own, so an actor may keep
//! the question and answer it later, as group commit does.

use std::any::type_name;
use std::panic::{AssertUnwindSafe, catch_unwind};

use actix::dev::ToEnvelope;
use actix::prelude::SendError;
use actix::{Actor, Addr, Handler, Message};
use tokio::sync::oneshot;

/// Something that an actor is asked to do or to tell.
pub trait Command: Send + 'static {
    /// What comes back.
    type Reply: Send + 'static;
}

/// A command on its way to the actor.
pub struct Ask<C: Command> {
    /// What is asked.
    pub command: C,
    reply: oneshot::Sender<C::Reply>,
}

impl<C: Command> Message for Ask<C> {
    type Result = ();
}

/// Why there is no answer. The client may try again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The mailbox is full: nothing was done.
    #[error("{0} has no room for more work")]
    Full(&'static str),
    /// The actor has stopped or failed on this command: whether it was done is unknown.
    #[error("{0} gave no answer")]
    Gone(&'static str),
}

/// Sends the command and waits for the reply.
///
/// # Errors
/// See [`AskError`].
pub async fn ask<A, C>(actor: &Addr<A>, command: C) -> Result<C::Reply, AskError>
where
    A: Actor + Handler<Ask<C>>,
    A::Context: ToEnvelope<A, Ask<C>>,
    C: Command,
{
    let (reply, answer) = oneshot::channel();
    actor.try_send(Ask { command, reply }).map_err(|error| match error {
        SendError::Full(_) => AskError::Full(short_name::<A>()),
        SendError::Closed(_) => AskError::Gone(short_name::<A>()),
    })?;
    answer.await.map_err(|_| AskError::Gone(short_name::<A>()))
}

impl<C: Command> Ask<C> {
    /// Answers with what `work` makes of the command. If it panics, this command alone fails, and
    /// the panic hook has told the log.
    pub fn answer(self, work: impl FnOnce(C) -> C::Reply) {
        let Self { command, reply } = self;
        if let Ok(answer) = catch_unwind(AssertUnwindSafe(|| work(command))) {
            // A caller that went away must not matter to the actor.
            let _ = reply.send(answer);
        }
    }

    /// Takes the question apart, to be answered later.
    pub fn into_parts(self) -> (C, oneshot::Sender<C::Reply>) {
        (self.command, self.reply)
    }

    /// Nobody waits for the answer any more.
    pub fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

/// `UserReader` rather than `user_service::actors::user_reader::UserReader`.
fn short_name<A>() -> &'static str {
    let name = type_name::<A>();
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix::Context;

    struct Divider;

    impl Actor for Divider {
        type Context = Context<Self>;
        fn started(&mut self, context: &mut Self::Context) {
            context.set_mailbox_capacity(1);
        }
    }

    struct Divide(u32, u32);

    impl Command for Divide {
        type Reply = u32;
    }

    impl Handler<Ask<Divide>> for Divider {
        type Result = ();
        fn handle(&mut self, ask: Ask<Divide>, _: &mut Self::Context) {
            ask.answer(|Divide(a, b)| a / b);
        }
    }

    #[actix::test]
    async fn a_panic_fails_one_command_and_not_the_actor() {
        let divider = Divider.start();
        assert_eq!(ask(&divider, Divide(1, 0)).await, Err(AskError::Gone("Divider")));
        assert_eq!(ask(&divider, Divide(6, 2)).await, Ok(3));
    }

    #[actix::test]
    async fn a_full_mailbox_refuses_at_once() {
        let divider = Divider.start();
        tokio::task::yield_now().await;
        let all =
            futures_util::future::join_all((0..50).map(|_| ask(&divider, Divide(1, 1)))).await;
        assert!(all.contains(&Err(AskError::Full("Divider"))), "{all:?}");
        assert!(all.contains(&Ok(1)), "{all:?}");
    }
}
