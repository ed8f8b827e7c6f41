//! The signing keys, as every HTTP worker uses them on its own thread: no login waits for another
//! login's signature.
//!
//! There is one key, and it does not change while the service runs. So this is plain data and no
//! actor.

use contract::Claims;
use serde_json::{Value, json};
use shared::tokens::{SigningKey, SigningKeyError, TokenRules, Verifier};

/// The signing keys.
pub struct KeyRing {
    /// Signs every new token.
    active: SigningKey,
    /// The public halves (RFC 7517).
    jwk_set: Value,
}

impl KeyRing {
    /// A ring with one key.
    pub fn new(active: SigningKey) -> Self {
        let jwk_set = json!({ "keys": [active.jwk()] });
        Self { active, jwk_set }
    }

    /// The JWT with these claims. The same claims give the same token.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningKeyError> {
        self.active.sign(claims)
    }

    /// The JWK set that others verify tokens with.
    pub fn jwk_set(&self) -> &Value {
        &self.jwk_set
    }

    /// Verifies the tokens of this ring.
    ///
    /// # Errors
    /// The library refuses a key.
    pub fn verifier(&self, rules: &TokenRules) -> Result<Verifier, SigningKeyError> {
        Verifier::new(rules, [self.active.jwk()]).map_err(SigningKeyError::Verify)
    }
}
