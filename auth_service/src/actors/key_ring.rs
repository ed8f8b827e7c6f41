//! **Owns** when which signing key of this replica is next, signing, retired and gone.
//!
//! **Promises** that a key is published before it signs, that nothing which its schedule depends on
//! is only in memory, and that a private key which signs no more is deleted. The schedule itself,
//! with its reasons, is `shared::tokens::key_schedule`.
//!
//! **When full** it cannot be asked to rotate; logins that find a key that fits do not ask it.
//!
//! **When it dies**: a command that panics fails alone. What was stored counts.

mod private_files;
mod ring;
mod signer;

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use actix::{Actor, ArbiterHandle, AsyncContext, Context, Handler, WrapFuture};
use contract::token_record::KeyId;
use shared::actors::{Ask, Command, Health, Mailbox, supervise};
use shared::tokens::key_schedule::OwnKey;
use shared::tokens::token_set_view::TokenSetView;
use tokio::sync::Mutex;
use tokio::time::sleep;

pub use self::private_files::PREFIX as PRIVATE_KEY_PREFIX;
use self::ring::Ring;
pub use self::ring::{KeyRingConfig, KeyRingError, StoredKeys};
pub use self::signer::{SignError, TokenSigner};
use crate::actors::{Replicas, TokenRevocations};

/// How long the JWK set may be cached, in seconds. By schedule a key is shown for longer than that
/// before it signs.
pub const JWKS_MAX_AGE_S: i64 = 300;
/// Commands that may wait. Logins ask when a clock was set.
const MAILBOX: usize = 256;
/// How often the plan is made.
const PERIOD: Duration = Duration::from_secs(1);

/// "Do what the schedule wants now."
pub struct CarryOutPlan;

impl Command for CarryOutPlan {
    type Reply = Result<(), KeyRingError>;
}

/// "The next key signs as soon as it may." Answers with the key that signs then.
pub struct RotateKeys;

impl Command for RotateKeys {
    type Reply = Result<Option<KeyId>, KeyRingError>;
}

/// "Which keys of this replica are where?"
pub struct ListOwnKeys;

impl Command for ListOwnKeys {
    type Reply = Vec<OwnKey>;
}

/// "Every token of this key is dead."
pub struct KillKey(pub KeyId);

impl Command for KillKey {
    type Reply = Result<(), KeyRingError>;
}

/// The owner of the signing keys.
pub struct KeyRing {
    /// Commands wait for files and for the token set, one after the other.
    ring: Arc<Mutex<Ring>>,
    /// Shows failures of the loop.
    health: Health,
}

impl KeyRing {
    /// Starts the actor on this thread, with the keys that were stored. The second is for the workers.
    pub fn launch(
        stored: StoredKeys,
        with: KeyRingConfig,
        (view, revocations, replicas): (TokenSetView, Mailbox<TokenRevocations>, Replicas),
        thread: &ArbiterHandle,
        health: &Health,
    ) -> (Mailbox<Self>, TokenSigner) {
        let (clock, boot_id) = (with.clock.clone(), with.boot_id);
        let ring = Ring::new(stored, with, view.clone(), (revocations, replicas));
        let keys = ring.watch();
        let actor = Self { ring: Arc::new(Mutex::new(ring)), health: health.clone() };
        let key_ring = Mailbox::start_on(thread, health, MAILBOX, |_| actor);
        let signer = TokenSigner { keys, view, clock, boot_id, key_ring: key_ring.clone() };
        (key_ring, signer)
    }
}

impl Actor for KeyRing {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        let (ring, health) = (Arc::clone(&self.ring), self.health.clone());
        let keeping = async move {
            let run = async || keep_for_ever(&ring).await;
            supervise(&health, "keeping the signing keys", pending(), run).await;
        };
        context.spawn(keeping.into_actor(self));
    }
}

async fn keep_for_ever(ring: &Mutex<Ring>) -> Result<(), KeyRingError> {
    loop {
        ring.lock().await.carry_out_plan().await?;
        sleep(PERIOD).await;
    }
}

impl Handler<Ask<CarryOutPlan>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<CarryOutPlan>, _: &mut Self::Context) {
        let ring = Arc::clone(&self.ring);
        ask.answer_later(async move |CarryOutPlan| ring.lock().await.carry_out_plan().await);
    }
}

impl Handler<Ask<RotateKeys>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<RotateKeys>, _: &mut Self::Context) {
        let ring = Arc::clone(&self.ring);
        ask.answer_later(async move |RotateKeys| ring.lock().await.rotate().await);
    }
}

impl Handler<Ask<KillKey>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<KillKey>, _: &mut Self::Context) {
        let ring = Arc::clone(&self.ring);
        ask.answer_later(async move |KillKey(kid)| ring.lock().await.kill(kid).await);
    }
}

impl Handler<Ask<ListOwnKeys>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<ListOwnKeys>, _: &mut Self::Context) {
        let ring = Arc::clone(&self.ring);
        ask.answer_later(async move |ListOwnKeys| ring.lock().await.own());
    }
}
