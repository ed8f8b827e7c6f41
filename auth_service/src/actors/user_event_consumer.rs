//! **Owns** the order in which events are applied: the follower of user_service's log, and the two
//! subscriptions that feed it.
//!
//! **Promises** that what it acknowledges has been applied or is not needed, that a
//! record which ends tokens counts at once, that a gap is always asked for, and that the projection
//! counts as fresh only if an answer has proved it.
//!
//! **When full**: it takes no delivery while the effects of the last ones are being carried out;
//! what waits stays in the queues, whose prefetch is the bound.
//!
//! **When it dies**, at any point, it goes back to the stored cursor: whatever it had in hand comes
//! again or is asked for.

mod agreement;
mod direct_way;
mod follow_loop;
mod progress;
mod proofs;
mod repair_pacing;
mod session_error;
mod subscriptions;
mod sync_session;
mod users_freshness;
mod vigil;

use actix::{Actor, ActorContext, ArbiterHandle, AsyncContext, Context, Handler, WrapFuture};
use shared::actors::{Ask, Command, Health, Mailbox};

pub use self::direct_way::direct_way;
pub use self::follow_loop::FollowLoop;
pub use self::progress::Progress;
pub use self::users_freshness::UsersFreshness;

/// Commands that may wait: there is only one.
const MAILBOX: usize = 1;

/// "Take no more deliveries."
pub struct StopFollowing;

impl Command for StopFollowing {
    type Reply = ();
}

/// Follows the log of user_service for as long as it lives.
pub struct UserEventConsumer {
    /// Until the actor has started; then its loop has it, and nobody else.
    following: Option<FollowLoop>,
}

impl UserEventConsumer {
    /// Starts the actor on that thread, which decodes and nothing else.
    pub fn launch(thread: &ArbiterHandle, following: FollowLoop, health: &Health) -> Mailbox<Self> {
        Mailbox::start_on(thread, health, MAILBOX, |_| Self { following: Some(following) })
    }
}

impl Actor for UserEventConsumer {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        if let Some(following) = self.following.take() {
            context.spawn(following.run().into_actor(self));
        }
    }
}

impl Handler<Ask<StopFollowing>> for UserEventConsumer {
    type Result = ();

    /// The loop is dropped where it waits: to be cut off anywhere is what it is made for.
    fn handle(&mut self, ask: Ask<StopFollowing>, context: &mut Self::Context) {
        context.stop();
        ask.answer(|StopFollowing| ());
    }
}
