//! **Owns** the signing keys. There is one for now, the active one; the issue on tokens adds the
//! next and the retiring ones, and `RotateKeys`.
//!
//! **Promises** that the private half never leaves it, and that the same claims give the same
//! token.
//!
//! **When full** refuses: 503 with `Retry-After`.
//!
//! **When it dies**: a signature that panics fails alone. The key is in its file.

use actix::{Actor, Context, Handler};
use contract::Claims;
use serde_json::{Value, json};
use shared::actors::{Ask, Command, Health, Mailbox};
use shared::tokens::{SigningKey, SigningKeyError, TokenRules, Verifier};

/// Signatures that may wait; each takes some 20 µs.
const MAILBOX: usize = 1024;

/// "Sign these claims": answers with the JWT.
pub struct SignToken(pub Claims);

impl Command for SignToken {
    type Reply = Result<String, SigningKeyError>;
}

/// "Which keys verify tokens?" Answers with the JWK set (RFC 7517).
pub struct ListKeys;

impl Command for ListKeys {
    type Reply = Value;
}

/// The signing keys.
pub struct KeyRing {
    /// Signs every new token.
    active: SigningKey,
}

impl KeyRing {
    /// A ring with one key.
    pub fn new(active: SigningKey) -> Self {
        Self { active }
    }

    /// What verifies the tokens of this ring.
    ///
    /// # Errors
    /// The library refuses a key.
    pub fn verifier(&self, rules: &TokenRules) -> Result<Verifier, SigningKeyError> {
        Verifier::new(rules, [self.active.jwk()]).map_err(SigningKeyError::Verify)
    }

    /// Starts the actor on this thread.
    pub fn launch(self, health: &Health) -> Mailbox<Self> {
        Mailbox::start(health, MAILBOX, |_| self)
    }
}

impl Actor for KeyRing {
    type Context = Context<Self>;
}

impl Handler<Ask<SignToken>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<SignToken>, _: &mut Self::Context) {
        ask.answer(|SignToken(claims)| self.active.sign(&claims));
    }
}

impl Handler<Ask<ListKeys>> for KeyRing {
    type Result = ();

    fn handle(&mut self, ask: Ask<ListKeys>, _: &mut Self::Context) {
        ask.answer(|ListKeys| json!({ "keys": [self.active.jwk()] }));
    }
}
