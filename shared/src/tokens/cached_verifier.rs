//! A verifier that remembers: checking an Ed25519 signature costs as much as ten requests.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hashlink::LruCache;

use super::verifier::{TokenRefused, Verifier};
use contract::Claims;

/// How many tokens a worker remembers. Each takes about 1 KB.
const CAPACITY: usize = 8_192;

/// The verifier of one HTTP worker. The claims of a token never change, so a token that was
/// verified is recognised by its text. Its expiry is checked each time; whether it was revoked is
/// decided elsewhere.
pub struct CachedVerifier {
    verifier: Arc<Verifier>,
    /// Tokens whose signature is valid. Others are not remembered, because they would displace these.
    known: RefCell<LruCache<Box<str>, Rc<Claims>>>,
}

impl CachedVerifier {
    /// A verifier that remembers nothing yet.
    pub fn new(verifier: Arc<Verifier>) -> Self {
        Self { verifier, known: RefCell::new(LruCache::new(CAPACITY)) }
    }

    /// As [`Verifier::verify`].
    ///
    /// # Errors
    /// See [`TokenRefused`].
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Rc<Claims>, TokenRefused> {
        let mut known = self.known.borrow_mut();
        if let Some(claims) = known.get(token) {
            self.verifier.check_time(claims, now_s)?;
            return Ok(Rc::clone(claims));
        }
        let claims = Rc::new(self.verifier.verify(token, now_s)?);
        known.insert(token.into(), Rc::clone(&claims));
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    use super::super::verifier::tests::{NOW, claims, key, rules};
    use super::*;

    #[test]
    fn a_token_that_is_known_expires_like_any_other() {
        let key = key();
        let verifier = CachedVerifier::new(Arc::new(Verifier::new(&rules(), [key.jwk()]).unwrap()));
        let token = key.sign(&claims()).unwrap();
        let refused = Err(TokenRefused::OutOfTime);
        assert_eq!(verifier.verify(&token, NOW - 6), refused, "not good yet");
        for _ in 0..2 {
            assert_eq!(verifier.verify(&token, NOW).as_deref(), Ok(&claims()));
        }
        assert_eq!(verifier.verify(&token, NOW + 905), refused);
    }

    #[test]
    fn what_was_never_right_is_not_remembered_and_what_is_known_is_known_to_the_last_letter() {
        let key = key();
        let verifier = CachedVerifier::new(Arc::new(Verifier::new(&rules(), [key.jwk()]).unwrap()));
        let token = key.sign(&claims()).unwrap();
        verifier.verify(&token, NOW).unwrap();
        for bad in [format!("{token}A"), token[1..].to_owned(), token.to_lowercase()] {
            for _ in 0..2 {
                assert_eq!(verifier.verify(&bad, NOW), Err(TokenRefused::NotOurs), "{bad}");
            }
        }
        assert_eq!(verifier.known.borrow().len(), 1);
    }
}
