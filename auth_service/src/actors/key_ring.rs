//! **Owns** the signing keys. There is one for now, the active one; the issue on tokens adds the
//! next and the retiring ones, and `RotateKeys`.
//!
//! **Promises** that each worker signs with the active key on its own thread, by the view that the
//! ring publishes: a login waits for no other login's signature.
//!
//! **When full** refuses: 503 with `Retry-After`.
//!
//! **When it dies** workers go on with the last view. The key is in its file.

use std::sync::Arc;

use actix::{Actor, Context, Handler};
use contract::Claims;
use serde_json::{Value, json};
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::tokens::{SigningKey, SigningKeyError, TokenRules, Verifier};
use tokio::sync::watch;

/// Questions that may wait.
const MAILBOX: usize = 1024;

/// "Which keys verify tokens?" Answers with the JWK set (RFC 7517).
pub struct ListKeys;

impl Command for ListKeys {
    type Reply = Value;
}

/// The signing keys.
pub struct KeyRing {
    /// Signs every new token. Workers have a view of it.
    active: watch::Sender<Arc<SigningKey>>,
}

/// What workers sign with. Clones show the same.
#[derive(Clone)]
pub struct SigningView(watch::Receiver<Arc<SigningKey>>);

impl SigningView {
    /// The JWT with these claims, signed on this thread. The same claims give the same token.
    ///
    /// # Errors
    /// The library failed.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningKeyError> {
        let active = Arc::clone(&self.0.borrow());
        active.sign(claims)
    }
}

impl KeyRing {
    /// A ring with one key.
    pub fn new(active: SigningKey) -> Self {
        Self { active: watch::Sender::new(Arc::new(active)) }
    }

    /// What workers sign with, now and after each change.
    pub fn view(&self) -> SigningView {
        SigningView(self.active.subscribe())
    }

    /// What verifies the tokens of this ring.
    ///
    /// # Errors
    /// The library refuses a key.
    pub fn verifier(&self, rules: &TokenRules) -> Result<Verifier, SigningKeyError> {
        Verifier::new(rules, [self.active.borrow().jwk()]).map_err(SigningKeyError::Verify)
    }

    /// Starts the actor on this thread.
    pub fn launch(self, health: &Health) -> Mailbox<Self> {
        Mailbox::start(health, MAILBOX, |_| self)
    }
}

impl Actor for KeyRing {
    type Context = Context<Self>;
}

impl Handler<Ask<ListKeys>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<ListKeys>, _: &mut Self::Context) {
        ask.answer(|ListKeys| json!({ "keys": [self.active.borrow().jwk()] }));
    }
}
