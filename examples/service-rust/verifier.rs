//! Verifies tokens with the public keys of auth_service.

use std::cell::RefCell;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};

/// `TOKEN_ISSUER` of auth_service.
const ISSUER: &str = "lockstep";
/// `TOKEN_AUDIENCE` of auth_service.
const AUDIENCE: &str = "lockstep";
/// The list is read anew after this time: the `max-age` that it comes with.
const GOOD_FOR: Duration = Duration::from_mins(5);
/// A token with an unknown key makes us read the list again, but not more often than this.
const PAUSE: Duration = Duration::from_secs(30);

/// Why nobody was identified.
#[derive(Clone, Copy)]
pub(crate) enum Refusal {
    /// The token is none, is not ours, or has expired.
    BadToken,
    /// auth_service does not answer: that says nothing of the token.
    CannotTell,
}

/// The keys, as they were read last.
pub(crate) struct Verifier {
    url: String,
    keys: RefCell<Option<(Instant, JwkSet)>>,
}

impl Verifier {
    pub(crate) fn new(auth: &str) -> Self {
        Self { url: format!("{auth}/.well-known/jwks.json"), keys: RefCell::default() }
    }

    /// The id of the user whose token it is.
    pub(crate) async fn user_of(&self, token: &str) -> Result<i64, Refusal> {
        let header = decode_header(token).map_err(|_| Refusal::BadToken)?;
        if header.typ.as_deref() != Some("at+jwt") {
            return Err(Refusal::BadToken);
        }
        let kid = header.kid.ok_or(Refusal::BadToken)?;
        let key = self.key(&kid).await?.ok_or(Refusal::BadToken)?;
        verified_by(&key, token).ok_or(Refusal::BadToken)
    }

    async fn key(&self, kid: &str) -> Result<Option<Jwk>, Refusal> {
        if let Some((read_at, keys)) = &*self.keys.borrow() {
            let (key, age) = (keys.find(kid), read_at.elapsed());
            if age < PAUSE || (key.is_some() && age < GOOD_FOR) {
                return Ok(key.cloned());
            }
        }
        let keys = self.read().await.map_err(|_| Refusal::CannotTell)?;
        let key = keys.find(kid).cloned();
        self.keys.replace(Some((Instant::now(), keys)));
        Ok(key)
    }

    async fn read(&self) -> Result<JwkSet, Box<dyn std::error::Error>> {
        let request = awc::Client::new().get(&self.url).timeout(Duration::from_secs(3));
        Ok(request.send().await?.json().await?)
    }
}

/// The user of a token that this key has signed for us, if it is good now.
fn verified_by(key: &Jwk, token: &str) -> Option<i64> {
    // The algorithm of the key: never that of the token's own header.
    let algorithm = match key.common.key_algorithm? {
        KeyAlgorithm::EdDSA => Algorithm::EdDSA,
        KeyAlgorithm::ES256 => Algorithm::ES256,
        _ => return None,
    };
    let mut rules = Validation::new(algorithm);
    rules.set_issuer(&[ISSUER]);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
    rules.validate_nbf = true;
    rules.leeway = 5;
    let claims = decode::<serde_json::Value>(token, &DecodingKey::from_jwk(key).ok()?, &rules);
    claims.ok()?.claims["sub"].as_str()?.parse().ok()
}
