//! Verification that remembers signatures: to check one of Ed25519 costs as much as ten requests.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use contract::token_record::{KeyId, TokenId};
use contract::{Claims, Position, UserId};
use hashlink::LruCache;

use super::liveness::TokenTimes;
use super::token_set_view::TokenSetView;
use super::verifier::{TokenRefused, TokenRules, UnverifiedToken};

/// How many tokens a worker remembers. Each takes about 1 KB.
const CAPACITY: usize = 8_192;

/// `nbf` is `iat` less the leeway of the signer, in seconds. No version of ours has a greater one.
const LEEWAY_MAX_S: i64 = 60;

/// A token whose signature, issuer and audience are good, with its names parsed. Nothing here says
/// that it is alive.
#[derive(Debug, PartialEq, Eq)]
pub struct VerifiedToken {
    /// The key that signed it.
    pub kid: KeyId,
    /// Its id.
    pub jti: TokenId,
    /// Its session.
    pub sid: TokenId,
    /// Its user.
    pub user: UserId,
    /// The user's security stamp when it was issued.
    pub stamp: Position,
    /// Everything that it says.
    pub claims: Claims,
    /// The state of the projection, by a number of the caller's, that is known to have this stamp. It
    /// says nothing of any other state.
    pub present_in: Cell<Option<u64>>,
}

impl VerifiedToken {
    fn new(kid: KeyId, claims: Claims) -> Option<Self> {
        let leeway_s = claims.iat.checked_sub(claims.nbf)?;
        (0..=LEEWAY_MAX_S).contains(&leeway_s).then_some(())?;
        Some(Self {
            kid,
            jti: TokenId::parse(&claims.jti)?,
            sid: TokenId::parse(&claims.sid)?,
            user: UserId::parse(&claims.sub)?,
            stamp: Position::decode(&claims.stamp)?,
            claims,
            present_in: Cell::new(None),
        })
    }

    /// Its times.
    pub fn times(&self) -> TokenTimes {
        let Claims { iat, nbf, exp, .. } = self.claims;
        TokenTimes { iat_s: iat, nbf_s: nbf, exp_s: exp }
    }
}

/// Why nothing can be said of the token's claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotVerified {
    /// It is no token of ours.
    NotOurs,
    /// No key of this name is published here.
    NoKey(KeyId),
}

/// The verifier of one HTTP worker. The claims of a token never change, so a token that was
/// verified is recognised by its text. Whether it is alive is asked every time; see
/// [`VerifiedToken::present_in`] for the one answer that is kept with it.
pub struct CachedVerifier {
    rules: TokenRules,
    keys: TokenSetView,
    /// Tokens whose signature is good. Others are not remembered, because they would displace these.
    known: RefCell<LruCache<Box<str>, Rc<VerifiedToken>>>,
}

impl CachedVerifier {
    /// A verifier that remembers nothing yet.
    pub fn new(rules: TokenRules, keys: TokenSetView) -> Self {
        Self { rules, keys, known: RefCell::new(LruCache::new(CAPACITY)) }
    }

    /// By how many seconds clocks may differ, and what else the rules say.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }

    /// Verifies what the token says itself, but for its times.
    ///
    /// # Errors
    /// See [`NotVerified`].
    pub fn verify(&self, token: &str) -> Result<Rc<VerifiedToken>, NotVerified> {
        let mut known = self.known.borrow_mut();
        if let Some(verified) = known.get(token) {
            return Ok(Rc::clone(verified));
        }
        let verified = Rc::new(self.verify_anew(token)?);
        known.insert(token.into(), Rc::clone(&verified));
        Ok(verified)
    }

    fn verify_anew(&self, token: &str) -> Result<VerifiedToken, NotVerified> {
        let not_ours = |_: TokenRefused| NotVerified::NotOurs;
        let unverified = UnverifiedToken::parse(token).map_err(not_ours)?;
        let kid = KeyId::parse(unverified.kid()).ok_or(NotVerified::NotOurs)?;
        let key = self.keys.verifying_key(&kid).ok_or(NotVerified::NoKey(kid))?;
        let claims = unverified.verify(&key, &self.rules).map_err(not_ours)?;
        VerifiedToken::new(kid, claims).ok_or(NotVerified::NotOurs)
    }
}

#[cfg(test)]
mod tests {
    use super::super::token_set::{BootTime, Learned, TokenSet};
    use super::super::verifier::tests::{NOW, claims, key, rules};
    use super::*;
    use crate::tokens::{SigningKey, public_bytes};
    use contract::TokenRecord;
    use contract::token_record::PublishedKey;

    /// A verifier of this key's tokens.
    fn verifier(key: &SigningKey) -> CachedVerifier {
        let (kid, algorithm, public_key) = public_bytes(key.jwk()).unwrap();
        let (until_s, signs_from_s, lifetime_s) = (NOW, 0, 900);
        let named = PublishedKey { until_s, signs_from_s, lifetime_s, kid, algorithm, public_key };
        let record = TokenRecord::KeyPublished(Box::new(named));
        let view = TokenSetView::default();
        view.apply(&TokenSet::default().insert(record, Learned::Now, BootTime(0)));
        CachedVerifier::new(rules(), view)
    }

    fn named() -> Claims {
        let id = TokenId([7; 16]).to_string();
        Claims { jti: id.clone(), sid: id, stamp: Position::default().encode(), ..claims() }
    }

    #[test]
    fn what_is_known_is_known_to_the_last_letter_and_nothing_else_is_remembered() {
        let key = key();
        let verifier = verifier(&key);
        let token = key.sign(&named()).unwrap();
        for _ in 0..2 {
            assert_eq!(verifier.verify(&token).unwrap().claims, named());
        }
        for bad in [format!("{token}A"), token[1..].to_owned(), token.to_lowercase()] {
            for _ in 0..2 {
                assert_eq!(verifier.verify(&bad), Err(NotVerified::NotOurs), "{bad}");
            }
        }
        assert_eq!(verifier.known.borrow().len(), 1);
    }

    #[test]
    fn a_token_whose_names_cannot_be_ours_is_refused() {
        let key = key();
        let verifier = verifier(&key);
        for claims in [
            Claims { jti: "short".into(), ..named() },
            Claims { sid: String::new(), ..named() },
            Claims { sub: "0x1".into(), ..named() },
            Claims { stamp: "place".into(), ..named() },
            Claims { nbf: NOW + 1, ..named() },
            Claims { nbf: NOW - 61, ..named() },
            Claims { iat: i64::MIN, nbf: i64::MAX, ..named() },
        ] {
            let refused = verifier.verify(&key.sign(&claims).unwrap());
            assert_eq!(refused, Err(NotVerified::NotOurs), "{claims:?}");
        }
    }

    #[test]
    fn a_key_that_nobody_has_published_is_named() {
        let (ours, theirs) = (key(), key());
        let token = theirs.sign(&named()).unwrap();
        let kid = KeyId::parse(theirs.kid()).unwrap();
        assert_eq!(verifier(&ours).verify(&token), Err(NotVerified::NoKey(kid)));
    }
}
