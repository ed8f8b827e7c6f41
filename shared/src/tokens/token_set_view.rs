//! The token set as HTTP workers read it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use contract::TokenRecord;
use contract::token_record::{KeyId, PublishedKey, TokenId, TokenLife};
use dashmap::DashMap;
use jsonwebtoken::jwk::Jwk;

use super::key_trust::{KeyTrust, Trust};
use super::liveness::KeyStanding;
use super::token_set::Change;
use super::verifying_key::{VerifyingKey, VerifyingKeyError, jwk_of};

/// A view that any thread may ask. One actor alone writes to it, after its commit and before its
/// answer; clones show the same.
#[derive(Clone, Default)]
pub struct TokenSetView(Arc<Maps>);

#[derive(Default)]
struct Maps {
    /// How many records end a session.
    ended: DashMap<TokenId, u32>,
    keys: DashMap<KeyId, KeyFacts>,
    /// The keys that were published and not killed.
    published: DashMap<KeyId, Arc<Published>>,
    /// [`Trust`] in keys that were not made since.
    trust_in_older: AtomicU8,
}

#[derive(Clone, Copy, Default)]
struct KeyFacts {
    /// The lifetime of its tokens, if it was published.
    lifetime_s: Option<i64>,
    is_killed: bool,
    horizon_s: Option<i64>,
    /// It was made after this replica's set was lost or put back ([`KeyTrust::MadeSince`]).
    is_made_since: bool,
}

/// A public key, ready to be used.
struct Published {
    verifying: VerifyingKey,
    jwk: Jwk,
}

impl Published {
    fn new(key: &PublishedKey) -> Result<Self, VerifyingKeyError> {
        Ok(Self { verifying: VerifyingKey::from_published(key)?, jwk: jwk_of(key)? })
    }
}

impl TokenSetView {
    /// What the view says of a token's session and key.
    ///
    /// The session is read first: a record is forgotten by raising the key's horizon first and
    /// ending its keeping second, so one of the two is always seen.
    pub fn look_up(&self, sid: &TokenId, kid: &KeyId) -> (bool, KeyStanding) {
        let is_ended = self.0.ended.contains_key(sid);
        (is_ended, self.key(kid))
    }

    /// What the view says of a key.
    pub fn key(&self, kid: &KeyId) -> KeyStanding {
        let Some(facts) = self.0.keys.get(kid).map(|facts| *facts) else {
            return KeyStanding::Unknown;
        };
        match facts.lifetime_s {
            _ if facts.is_killed => KeyStanding::Killed,
            Some(lifetime_s) => match self.trust(facts.is_made_since) {
                Trust::Yes => KeyStanding::Good { lifetime_s, horizon_s: facts.horizon_s },
                Trust::NotYet => KeyStanding::NotTrustedYet,
                Trust::No => KeyStanding::Unknown,
            },
            None => KeyStanding::Unknown,
        }
    }

    /// The key's horizon: its tokens that expire at or before it may have been forgotten.
    pub fn horizon_s(&self, kid: &KeyId) -> Option<i64> {
        self.0.keys.get(kid).and_then(|facts| facts.horizon_s)
    }

    /// The public half of a key that was published and not killed.
    pub fn verifying_key(&self, kid: &KeyId) -> Option<VerifyingKey> {
        self.0.published.get(kid).map(|published| published.verifying.clone())
    }

    /// The keys whose tokens are taken, by name: what `/.well-known/jwks.json` shows.
    pub fn jwks(&self) -> Vec<Jwk> {
        let published = self.0.published.iter();
        let mut found: Vec<_> =
            published.map(|entry| (*entry.key(), entry.value().jwk.clone())).collect();
        found.retain(|(kid, _)| matches!(self.key(kid), KeyStanding::Good { .. }));
        found.sort_unstable_by_key(|(kid, _)| *kid);
        found.into_iter().map(|(_, jwk)| jwk).collect()
    }

    /// How many sessions are ended.
    pub fn ended_sessions(&self) -> usize {
        self.0.ended.len()
    }

    /// For the owner: shows a change that is on the disk.
    pub fn apply(&self, change: &Change) {
        for TokenLife { kid, exp_s } in &change.raised {
            let mut facts = self.0.keys.entry(*kid).or_default();
            facts.horizon_s = facts.horizon_s.max(Some(*exp_s));
        }
        for record in &change.added {
            self.add(record);
        }
        for record in &change.removed {
            self.remove(record, change);
        }
    }

    /// For the owner: shows which keys are trusted.
    pub fn trust_keys(&self, trust: &KeyTrust) {
        if let KeyTrust::MadeSince { made_since, is_alone } = trust {
            for kid in made_since {
                self.0.keys.entry(*kid).or_default().is_made_since = true;
            }
            let older = if *is_alone { Trust::No } else { Trust::NotYet };
            self.0.trust_in_older.store(older as u8, Ordering::Release);
        } else {
            self.0.trust_in_older.store(Trust::Yes as u8, Ordering::Release);
        }
    }

    fn trust(&self, is_made_since: bool) -> Trust {
        let older = self.0.trust_in_older.load(Ordering::Acquire);
        if is_made_since || older == Trust::Yes as u8 {
            Trust::Yes
        } else if older == Trust::NotYet as u8 {
            Trust::NotYet
        } else {
            Trust::No
        }
    }

    fn add(&self, record: &TokenRecord) {
        match record {
            TokenRecord::SessionRevoked { sid, .. } => *self.0.ended.entry(*sid).or_default() += 1,
            TokenRecord::KeyPublished(key) => {
                // Bytes that are no key verify nothing: its tokens are refused.
                if let Ok(published) = Published::new(key) {
                    self.0.published.insert(key.kid, Arc::new(published));
                }
                self.0.keys.entry(key.kid).or_default().lifetime_s = Some(key.lifetime_s);
            }
            TokenRecord::KeyKilled { kid } => {
                self.0.keys.entry(*kid).or_default().is_killed = true;
                self.0.published.remove(kid);
            }
            TokenRecord::TokenTraded(_) => {}
        }
    }

    fn remove(&self, record: &TokenRecord, change: &Change) {
        match record {
            TokenRecord::SessionRevoked { sid, .. } => {
                self.0.ended.remove_if_mut(sid, |_, count| {
                    *count = count.saturating_sub(1);
                    *count == 0
                });
            }
            // A later statement takes the place of the one that is removed.
            TokenRecord::KeyPublished(key) if !is_stated(key.kid, &change.added) => {
                self.0.keys.entry(key.kid).or_default().lifetime_s = None;
                self.0.published.remove(&key.kid);
            }
            _ => {}
        }
    }
}

fn is_stated(kid: KeyId, added: &[TokenRecord]) -> bool {
    added.iter().any(|record| matches!(record, TokenRecord::KeyPublished(key) if key.kid == kid))
}

#[cfg(test)]
mod tests {
    use super::super::token_set::{BootTime, Learned, SLACK_S, TokenSet};
    use super::*;
    use crate::tokens::{SigningKey, public_bytes};
    use contract::token_record::SigningAlgorithm;

    const KID: KeyId = KeyId([1; 32]);
    const SID: TokenId = TokenId([2; 16]);
    const START: BootTime = BootTime(0);

    fn published(until_s: i64) -> TokenRecord {
        TokenRecord::KeyPublished(Box::new(PublishedKey {
            until_s,
            signs_from_s: 0,
            lifetime_s: 900,
            kid: KID,
            algorithm: SigningAlgorithm::EdDsa,
            public_key: vec![0; 32],
        }))
    }

    fn revoked(sid: TokenId, exp_s: i64) -> TokenRecord {
        TokenRecord::SessionRevoked { sid, ended_with: TokenLife { kid: KID, exp_s } }
    }

    fn good(horizon_s: Option<i64>) -> KeyStanding {
        KeyStanding::Good { lifetime_s: 900, horizon_s }
    }

    #[test]
    fn the_view_shows_what_the_set_holds() {
        let (mut set, view) = (TokenSet::default(), TokenSetView::default());
        assert_eq!(view.look_up(&SID, &KID), (false, KeyStanding::Unknown));
        for record in [published(5), published(9), revoked(SID, 50), revoked(SID, 60)] {
            view.apply(&set.insert(record, Learned::Now, START));
        }
        assert_eq!(view.look_up(&SID, &KID), (true, good(None)));
        view.apply(&set.forget(BootTime((900 + SLACK_S) * 1000)));
        assert_eq!(view.look_up(&SID, &KID), (false, good(Some(60))));
        view.apply(&set.insert(TokenRecord::KeyKilled { kid: KID }, Learned::Now, START));
        assert_eq!(view.key(&KID), KeyStanding::Killed);
    }

    #[test]
    fn a_key_that_was_published_verifies_and_is_listed_until_it_is_killed() {
        let key = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::Es256)).unwrap();
        let (kid, algorithm, public_key) = public_bytes(key.jwk()).unwrap();
        let (until_s, signs_from_s, lifetime_s) = (9, 0, 900);
        let named = PublishedKey { until_s, signs_from_s, lifetime_s, kid, algorithm, public_key };
        let (mut set, view) = (TokenSet::default(), TokenSetView::default());
        for until_s in [9, 10] {
            let record =
                TokenRecord::KeyPublished(Box::new(PublishedKey { until_s, ..named.clone() }));
            view.apply(&set.insert(record, Learned::Now, START));
            assert_eq!(view.jwks(), [key.jwk().clone()]);
            assert!(view.verifying_key(&kid).is_some());
        }
        view.apply(&set.insert(TokenRecord::KeyKilled { kid }, Learned::Now, START));
        assert!(view.jwks().is_empty() && view.verifying_key(&kid).is_none());
    }

    #[test]
    fn a_key_that_is_not_trusted_is_shown_as_such() {
        let (mut set, view) = (TokenSet::default(), TokenSetView::default());
        let mut trust = KeyTrust::of_a_set_with_gaps();
        view.trust_keys(&trust);
        view.apply(&set.insert(published(5), Learned::Now, START));
        assert_eq!(view.key(&KID), KeyStanding::NotTrustedYet);
        trust.found_nobody();
        view.trust_keys(&trust);
        assert_eq!(view.key(&KID), KeyStanding::Unknown);
        trust.made(KID);
        view.trust_keys(&trust);
        assert_eq!(view.key(&KID), good(None));
    }

    /// A worker asks without end while the owner ends sessions and forgets them: a token that was
    /// seen dead is never seen alive.
    #[test]
    fn what_a_worker_has_seen_dead_it_never_sees_alive() {
        let view = TokenSetView::default();
        let is_alive = |view: &TokenSetView, n: i64| {
            let sid = TokenId([u8::try_from(n % 200).unwrap(); 16]);
            match view.look_up(&sid, &KID) {
                (false, KeyStanding::Good { horizon_s, .. }) => horizon_s.is_none_or(|h| n > h),
                _ => false,
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let mut n = 0;
                    while n < 200 {
                        if !is_alive(&view, n) && view.key(&KID) != KeyStanding::Unknown {
                            assert!((0..50).all(|_| !is_alive(&view, n)), "token {n} lives again");
                            n += 1;
                        }
                    }
                });
            }
            let mut set = TokenSet::default();
            view.apply(&set.insert(published(5), Learned::Now, START));
            for n in 0..200 {
                let sid = TokenId([u8::try_from(n).unwrap(); 16]);
                let now = BootTime(n * 2_000_000);
                view.apply(&set.insert(revoked(sid, n), Learned::Now, now));
                view.apply(&set.forget(BootTime(now.0 + 1_000_000)));
                // The key's owner goes on stating it.
                view.apply(&set.insert(published(6 + n), Learned::Now, now));
            }
        });
    }
}
