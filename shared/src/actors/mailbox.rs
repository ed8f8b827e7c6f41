//! The handle of an actor: address, name, capacity, and the number of waiting commands.

use std::any::type_name;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix::{Actor, Addr, ArbiterHandle, Context, Handler};

use super::ask::{Ask, AskError, Command, tell};
use super::health::{Health, Watched};

/// A handle of one actor. Clones send to the same actor; it stops when the last clone is dropped.
///
/// actix bounds a mailbox loosely and for each address separately, and `do_send` ignores the bound.
/// This mailbox counts the waiting commands itself and never exceeds its capacity.
pub struct Mailbox<A: Actor>(Arc<Inner<A>>);

struct Inner<A: Actor> {
    address: Addr<A>,
    name: &'static str,
    /// How many commands may wait.
    capacity: usize,
    /// How many commands wait. Each holds a [`Place`].
    waiting: Arc<AtomicUsize>,
}

/// The place of one waiting command; dropping it frees the place.
pub(super) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl<A: Actor<Context = Context<A>>> Mailbox<A> {
    /// Starts the actor on this thread, watched by `health`, with room for `capacity` commands.
    pub fn start(
        health: &Health,
        capacity: usize,
        actor: impl FnOnce(&mut Context<A>) -> A,
    ) -> Self {
        Self::watch(A::create(|context| unbounded(context, actor)), health, capacity)
    }

    /// [`Mailbox::start`] on another thread, which the actor may block.
    pub fn start_on(
        thread: &ArbiterHandle,
        health: &Health,
        capacity: usize,
        actor: impl FnOnce(&mut Context<A>) -> A + Send + 'static,
    ) -> Self {
        let address = A::start_in_arbiter(thread, |context| unbounded(context, actor));
        Self::watch(address, health, capacity)
    }

    fn watch(address: Addr<A>, health: &Health, capacity: usize) -> Self {
        let inner = Inner { address, name: short_name::<A>(), capacity, waiting: Arc::default() };
        let inner = Arc::new(inner);
        let watched: Arc<dyn Watched> = inner.clone();
        health.watch(&watched);
        Self(inner)
    }

    /// Sends a command without waiting for an answer.
    ///
    /// # Errors
    /// The mailbox is full, or the actor has stopped: nothing will be done. The actor may also stop
    /// before it handles the command.
    pub fn tell<C: Command<Reply = ()>>(&self, command: C) -> Result<(), AskError>
    where
        A: Handler<Ask<C>>,
    {
        tell(self, command)
    }

    /// Name of the actor's type.
    pub fn name(&self) -> &'static str {
        self.0.name
    }

    /// How many commands wait.
    pub fn waiting(&self) -> usize {
        self.0.waiting.load(Ordering::Relaxed)
    }

    /// Whether the actor still accepts commands.
    pub fn is_alive(&self) -> bool {
        self.0.address.connected()
    }

    pub(super) fn reserve(&self) -> Result<Place, AskError> {
        let place = Place(Arc::clone(&self.0.waiting));
        // Incremented before it is checked, so that no two callers take the last place.
        let is_full = self.0.waiting.fetch_add(1, Ordering::Relaxed) >= self.0.capacity;
        match (is_full, self.is_alive()) {
            (_, false) => Err(AskError::Gone(self.0.name)),
            (true, _) => Err(AskError::Full(self.0.name)),
            (false, true) => Ok(place),
        }
    }

    #[expect(clippy::disallowed_methods, reason = "the bound was kept when the place was reserved")]
    pub(super) fn send<C: Command>(&self, ask: Ask<C>)
    where
        A: Handler<Ask<C>>,
    {
        self.0.address.do_send(ask);
    }
}

/// Lifts actix's own bound: this mailbox counts instead.
fn unbounded<A: Actor<Context = Context<A>>>(
    context: &mut Context<A>,
    actor: impl FnOnce(&mut Context<A>) -> A,
) -> A {
    context.set_mailbox_capacity(0);
    actor(context)
}

impl<A: Actor> Clone for Mailbox<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor<Context = Context<A>>> Watched for Inner<A> {
    fn name(&self) -> &'static str {
        self.name
    }
    fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }
    fn is_alive(&self) -> bool {
        self.address.connected()
    }
}

/// `UserReader` rather than `user_service::actors::user_reader::UserReader`, without parameters.
pub(super) fn short_name<A>() -> &'static str {
    let name = type_name::<A>();
    let name = name.split('<').next().unwrap_or(name);
    name.rsplit("::").next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::super::ask;
    use super::*;
    use crate::telemetry::test_log::logged_by;
    use actix::ActorContext;
    use futures_util::future::join_all;
    use tokio::sync::oneshot;

    struct Divider;

    impl Actor for Divider {
        type Context = Context<Self>;
    }

    fn start() -> Mailbox<Divider> {
        Mailbox::start(&Health::default(), 3, |_| Divider)
    }

    struct Divide(u32, u32);

    impl Command for Divide {
        type Reply = u32;
    }

    impl Handler<Ask<Divide>> for Divider {
        type Result = ();
        fn handle(&mut self, ask: Ask<Divide>, _: &mut Self::Context) {
            ask.answer(|Divide(a, b)| {
                tracing::info!("dividing");
                a / b
            });
        }
    }

    /// Divides on request.
    struct DivideLater(Divide, oneshot::Receiver<()>);

    impl Command for DivideLater {
        type Reply = u32;
    }

    impl Handler<Ask<DivideLater>> for Divider {
        type Result = ();
        fn handle(&mut self, ask: Ask<DivideLater>, _: &mut Self::Context) {
            ask.answer_later(async |DivideLater(Divide(a, b), go)| {
                let _ = go.await;
                tracing::info!("dividing later");
                a / b
            });
        }
    }

    struct Stop;

    impl Command for Stop {
        type Reply = ();
    }

    impl Handler<Ask<Stop>> for Divider {
        type Result = ();
        fn handle(&mut self, ask: Ask<Stop>, context: &mut Self::Context) {
            context.stop();
            ask.answer(|Stop| ());
        }
    }

    #[actix::test]
    async fn a_panic_fails_one_command_and_not_the_actor() {
        let divider = start();
        let gone = Err(AskError::Gone("Divider"));
        assert_eq!(ask(&divider, Divide(1, 0)).await, gone);
        assert_eq!(ask(&divider, Divide(6, 2)).await, Ok(3));
        let later = |a, b| {
            let (go, told) = oneshot::channel();
            let asking = ask(&divider, DivideLater(Divide(a, b), told));
            async { tokio::join!(asking, async { go.send(()).unwrap() }).0 }
        };
        assert_eq!(later(1, 0).await, gone);
        assert_eq!(later(6, 2).await, Ok(3));
        assert!(divider.is_alive());
        assert_eq!(divider.waiting(), 0);
    }

    #[actix::test]
    async fn a_full_mailbox_refuses_at_once_and_holds_as_many_as_it_says() {
        let divider = start();
        let all = join_all((0..50).map(|_| ask(&divider, Divide(1, 1)))).await;
        assert_eq!(all.iter().filter(|answer| **answer == Ok(1)).count(), 3, "{all:?}");
        let full = Err(AskError::Full("Divider"));
        assert_eq!(all.iter().filter(|answer| **answer == full).count(), 47);
        assert_eq!(divider.waiting(), 0);
    }

    #[actix::test]
    async fn what_is_answered_later_counts_until_then() {
        let divider = start();
        let (gos, tolds): (Vec<_>, Vec<_>) = (0..3).map(|_| oneshot::channel::<()>()).unzip();
        let asking =
            join_all(tolds.into_iter().map(|told| ask(&divider, DivideLater(Divide(6, 2), told))));
        let meanwhile = async {
            assert_eq!(ask(&divider, Divide(1, 1)).await, Err(AskError::Full("Divider")));
            drop(gos);
        };
        assert_eq!(tokio::join!(asking, meanwhile).0, [Ok(3); 3]);
        assert_eq!((divider.waiting(), ask(&divider, Divide(1, 1)).await), (0, Ok(1)));
    }

    #[actix::test]
    async fn an_actor_that_has_stopped_is_gone_for_all_who_ask() {
        let divider = start();
        let (stopped, answer) = tokio::join!(ask(&divider, Stop), ask(&divider, Divide(6, 2)));
        assert_eq!((stopped, answer), (Ok(()), Err(AskError::Gone("Divider"))));
        assert!(!divider.is_alive());
        assert_eq!(ask(&divider, Divide(6, 2)).await, Err(AskError::Gone("Divider")));
        assert_eq!(divider.tell(Stop), Err(AskError::Gone("Divider")));
    }

    #[actix::test]
    async fn what_the_actor_logs_belongs_to_the_request_of_its_caller() {
        let divider = start();
        let log = logged_by(async {
            let span = tracing::info_span!("request", id = 7);
            let (go, told) = oneshot::channel();
            let later = DivideLater(Divide(1, 1), told);
            let asking = async { tokio::join!(ask(&divider, Divide(1, 1)), ask(&divider, later)) };
            let asking = tracing::Instrument::instrument(asking, span);
            let told = async {
                tokio::task::yield_now().await;
                go.send(()).unwrap();
            };
            assert_eq!(tokio::join!(asking, told).0, (Ok(1), Ok(1)));
        })
        .await;
        for line in ["dividing", "dividing later"] {
            let in_span = format!("request{{id=7}}: shared::actors::mailbox::tests: {line}\n");
            assert!(log.contains(&in_span), "{log}");
        }
    }
}
