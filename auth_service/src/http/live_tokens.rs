//! Whether a token is alive, asked on the worker's own thread.

use std::rc::Rc;
use std::sync::Arc;

use contract::{Claims, Position, UserId};
use shared::clock::Clock;
use shared::http::{Problem, ProblemKind};
use shared::tokens::{CachedVerifier, EndedStamps, RevokedSessions, TokenRefused, Verifier};

use crate::store::{ProjectionReader, StoreError};

/// Tells which tokens are alive, on one worker's thread.
///
/// A token is alive if its signature, claims and times are good, its session was not logged out,
/// and the projection has its user with the same security stamp. Only the signature is remembered;
/// everything else is asked every time.
pub struct TokenChecker {
    verifier: CachedVerifier,
    revoked: RevokedSessions,
    ended: EndedStamps,
    reader: Rc<ProjectionReader>,
    clock: Clock,
}

impl TokenChecker {
    /// A checker with an empty memory.
    pub fn new(
        verifier: Arc<Verifier>,
        revoked: RevokedSessions,
        ended: EndedStamps,
        reader: Rc<ProjectionReader>,
        clock: Clock,
    ) -> Self {
        Self { verifier: CachedVerifier::new(verifier), revoked, ended, reader, clock }
    }

    /// The claims of the token, if it is alive.
    pub(super) fn check(&self, token: &str) -> Result<Rc<Claims>, TokenRejection> {
        let claims = self.verifier.verify(token, self.clock.unix_s())?;
        if self.revoked.contains(&claims.sid) {
            return Err(TokenRejection::LoggedOut);
        }
        if self.has_ended(&claims)? {
            return Err(TokenRejection::StampReplaced);
        }
        Ok(claims)
    }

    /// The claims of the token, if its signature, claims and times are good. Its session may have been
    /// logged out.
    pub(super) fn check_signed(&self, token: &str) -> Result<Rc<Claims>, TokenRejection> {
        Ok(self.verifier.verify(token, self.clock.unix_s())?)
    }

    /// Whether the user has another security stamp than these claims, or is gone.
    pub(super) fn has_ended(&self, claims: &Claims) -> Result<bool, TokenRejection> {
        let (user, stamp) = subject(claims)?;
        // In this order: see `EndedStamps::contains`.
        Ok(self.ended.contains(user, stamp) || self.reader.find_stamp(user)? != Some(stamp))
    }

    /// The claims of the token; `None` if it is dead. The same question as [`TokenChecker::check`], for
    /// those who ask about another's token.
    ///
    /// # Errors
    /// It cannot be judged at the moment.
    pub(super) fn judge(&self, token: &str) -> Result<Option<Rc<Claims>>, Problem> {
        let problem = match self.check(token) {
            Ok(claims) => return Ok(Some(claims)),
            Err(rejection) => Problem::from(rejection),
        };
        if problem.kind() == ProblemKind::InvalidToken { Ok(None) } else { Err(problem) }
    }
}

/// Whom the claims are about, and with which security stamp.
pub(super) fn subject(claims: &Claims) -> Result<(UserId, Position), TokenRefused> {
    let user = UserId::parse(&claims.sub).ok_or(TokenRefused::NotOurs)?;
    let stamp = Position::decode(&claims.stamp).ok_or(TokenRefused::NotOurs)?;
    Ok((user, stamp))
}

/// Why a token is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum TokenRejection {
    /// The token itself is not valid.
    #[error(transparent)]
    Refused(#[from] TokenRefused),
    /// A logout has ended its session.
    #[error("its session was logged out")]
    LoggedOut,
    /// A change of password, a deletion or a restore of user_service's database has ended it.
    #[error("its security stamp is not the user's")]
    StampReplaced,
    /// The projection cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl TokenRejection {
    /// The token was signed by us, and may once have been good.
    pub(super) fn is_ours(&self) -> bool {
        use TokenRejection::{LoggedOut, Refused, StampReplaced};
        matches!(self, LoggedOut | StampReplaced | Refused(TokenRefused::OutOfTime))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::store::{Damage, ProjectionStore};
    use contract::token_record::SigningAlgorithm;
    use contract::{Cursor, Incarnation, RecordHash, UserChange, UserState};
    use shared::log_sync::{NextChange, ReceivedRecord};
    use shared::tokens::{SigningKey, TokenRules};

    const USERS: i64 = 100;
    const NOW_S: i64 = 1_800_000_000;
    const RUN: Incarnation = Incarnation([7; 16]);

    fn at(seq: i64) -> Position {
        // The place before the first record is all zeros.
        let byte = u8::try_from(seq % 256).unwrap();
        Position { seq, hash: RecordHash([byte; 16]) }
    }

    fn record(seq: i64, user: i64, left: Option<UserState>) -> ReceivedRecord {
        let change = UserChange { id: UserId(user), user: left, written_by: Some(RUN) };
        let (position, prev_hash) = (at(seq), at(seq - 1).hash);
        ReceivedRecord { position, prev_hash, change: Some(change), sealed_hash: None }
    }

    fn created(user: i64) -> ReceivedRecord {
        let username = format!("user{user}");
        let (username_key, version, password_version) = (username.clone(), 1, 1);
        let left = UserState { username, username_key, version, password_version, stamp: None };
        record(user, user, Some(left))
    }

    fn apply(store: &mut ProjectionStore, record: ReceivedRecord) {
        let ReceivedRecord { position, prev_hash, change, sealed_hash } = record;
        let next = NextChange { position, prev_hash, change: change.unwrap(), sealed_hash };
        store.apply(&[next], &Cursor { incarnation: RUN, position }).unwrap();
    }

    fn rules() -> TokenRules {
        TokenRules { issuer: "i".into(), audience: "a".into(), leeway_s: 5 }
    }

    fn token(key: &SigningKey, user: i64) -> String {
        let claims = Claims {
            iss: rules().issuer,
            sub: user.to_string(),
            aud: rules().audience,
            exp: NOW_S + 900,
            iat: NOW_S,
            nbf: NOW_S,
            jti: "j".into(),
            sid: "s".into(),
            client_id: "c".into(),
            username: "u".into(),
            stamp: at(user).encode(),
            scope: None,
        };
        key.sign(&claims).unwrap()
    }

    fn checker(key: &SigningKey, ended: &EndedStamps, path: &Path) -> TokenChecker {
        let verifier = Arc::new(Verifier::new(&rules(), [key.jwk()]).unwrap());
        let reader = Rc::new(ProjectionReader::new(path.to_owned(), Damage::default()));
        let clock = Clock::manual(NOW_S * 1000);
        TokenChecker::new(verifier, RevokedSessions::default(), ended.clone(), reader, clock)
    }

    /// Two workers verify without end, from their caches, while the consumer deletes one user after
    /// the other: noted first, applied then, and forgotten in memory last.
    #[test]
    fn a_token_whose_user_is_deleted_is_refused_from_that_moment_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("projection.db");
        let mut store = ProjectionStore::open(path.clone()).unwrap();
        let key = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap();
        (1..=USERS).for_each(|user| apply(&mut store, created(user)));
        let tokens: Vec<String> = (1..=USERS).map(|user| token(&key, user)).collect();
        let (ended, deleted) = (EndedStamps::default(), AtomicI64::new(0));
        let all_are_cached = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let checker = checker(&key, &ended, &path);
                    assert!(tokens.iter().all(|token| checker.check(token).is_ok()));
                    all_are_cached.wait();
                    let mut known = 0;
                    while known < USERS {
                        known = deleted.load(Ordering::SeqCst);
                        for (user, token) in (1..=USERS).zip(&tokens) {
                            let is_alive = checker.check(token).is_ok();
                            assert!(!(is_alive && user <= known), "user {user} of {known}");
                        }
                    }
                });
            }
            all_are_cached.wait();
            for user in 1..=USERS {
                let deletion = record(USERS + user, user, None);
                ended.note(RUN, &deletion);
                deleted.store(user, Ordering::SeqCst);
                apply(&mut store, deletion);
                ended.forget([UserId(user)], RUN, at(USERS + user));
            }
        });
    }
}
