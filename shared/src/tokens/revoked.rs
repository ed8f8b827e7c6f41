//! The dead tokens, as every HTTP worker reads them.

use std::sync::Arc;

use dashmap::DashMap;

use contract::{Claims, UserId};

/// A view of the revocations that any thread may ask. One actor alone writes to it, after it has
/// made the revocation durable; clones show the same.
#[derive(Clone, Default)]
pub struct RevokedView(Arc<Maps>);

#[derive(Default)]
struct Maps {
    /// Dead tokens: `jti` → when they would have expired (seconds since 1970).
    tokens: DashMap<String, i64>,
    /// Users with dead tokens.
    users: DashMap<UserId, UserRevocation>,
}

#[derive(Clone, Copy)]
struct UserRevocation {
    /// Tokens of an older password version are dead.
    min_password_version: i64,
    /// All of them have expired by then (seconds since 1970).
    until_s: i64,
}

impl RevokedView {
    /// Whether a token that is otherwise good was revoked.
    pub fn contains(&self, claims: &Claims) -> bool {
        if self.0.tokens.contains_key(&claims.jti) {
            return true;
        }
        let Some(id) = UserId::parse(&claims.sub) else { return true };
        self.0.users.get(&id).is_some_and(|user| claims.pv < user.min_password_version)
    }

    /// For the owner: this token is dead; remember it until `exp_s`.
    pub fn insert_token(&self, jti: String, exp_s: i64) {
        self.0.tokens.insert(jti, exp_s);
    }

    /// For the owner: the user's tokens of versions before `min_password_version` are dead, and
    /// all have expired at `until_s`. A later call never makes a dead token live again.
    pub fn insert_user(&self, id: UserId, min_password_version: i64, until_s: i64) {
        let new = UserRevocation { min_password_version, until_s };
        self.0
            .users
            .entry(id)
            .and_modify(|old| {
                old.min_password_version = old.min_password_version.max(min_password_version);
                old.until_s = old.until_s.max(until_s);
            })
            .or_insert(new);
    }

    /// For the owner: forgets what has expired before `now_s`.
    pub fn forget_expired(&self, now_s: i64) {
        self.0.tokens.retain(|_, exp_s| *exp_s > now_s);
        self.0.users.retain(|_, user| user.until_s > now_s);
    }

    /// How many tokens and users are remembered.
    pub fn len(&self) -> (usize, usize) {
        (self.0.tokens.len(), self.0.users.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims(jti: &str, sub: &str, pv: i64) -> Claims {
        let (iss, aud, client_id, username) = Default::default();
        let (jti, sub) = (jti.to_owned(), sub.to_owned());
        Claims {
            iss,
            sub,
            aud,
            exp: 9,
            iat: 0,
            nbf: 0,
            jti,
            client_id,
            username,
            pv,
            sid: None,
            stamp: None,
        }
    }

    #[test]
    fn a_revoked_token_is_dead_until_it_would_have_expired() {
        let view = RevokedView::default();
        view.insert_token("a".into(), 9);
        assert!(view.contains(&claims("a", "1", 1)));
        assert!(!view.contains(&claims("b", "1", 1)));
        view.forget_expired(8);
        assert!(view.contains(&claims("a", "1", 1)));
        view.forget_expired(9);
        assert_eq!(view.len(), (0, 0));
    }

    #[test]
    fn tokens_of_an_older_password_are_dead_and_stay_so() {
        let view = RevokedView::default();
        view.insert_user(UserId(1), 3, 9);
        view.insert_user(UserId(1), 2, 9);
        assert!(view.contains(&claims("a", "1", 2)));
        assert!(!view.contains(&claims("a", "1", 3)));
        assert!(!view.contains(&claims("a", "2", 1)));
    }
}
