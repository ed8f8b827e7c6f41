//! Whether a token is alive, asked on the worker's own thread.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use contract::UserId;
use shared::clock::Clock;
use shared::http::{Problem, ProblemKind};
use shared::tokens::liveness::{
    DeadReason, Doubt, Freshness, Moment, StampAnswer, Verdict, check_key, judge,
};
use shared::tokens::token_set::BootTime;
use shared::tokens::token_set_view::TokenSetView;
use shared::tokens::{CachedVerifier, EndedStamps, NotVerified, TokenRules, VerifiedToken};
use tokio::sync::watch;

use crate::actors::{Applied, Replicas};
use crate::store::{ProjectionReader, StoreError};

/// Tells which tokens are alive, on one worker's thread, by the rule of [`shared::tokens::liveness`].
/// Signatures are remembered, and what the projection said, until it changes; everything else is
/// asked every time.
pub struct TokenChecker {
    verifier: CachedVerifier,
    /// The ended sessions and the keys.
    set: TokenSetView,
    ended: EndedStamps,
    reader: Rc<ProjectionReader>,
    applied: RefCell<watch::Receiver<Applied>>,
    /// Numbers the states of the projection that this worker has seen.
    state: Cell<u64>,
    replicas: Replicas,
    /// After how long of being cut off no token is vouched for, in milliseconds.
    refuse_after_ms: Option<i64>,
    clock: Clock,
}

impl TokenChecker {
    /// A checker with an empty memory.
    pub fn new(
        rules: TokenRules,
        set: TokenSetView,
        ended: EndedStamps,
        (reader, applied): (Rc<ProjectionReader>, watch::Receiver<Applied>),
        (replicas, refuse_after_ms): (Replicas, Option<i64>),
        clock: Clock,
    ) -> Self {
        let verifier = CachedVerifier::new(rules, set.clone());
        let (applied, state) = (RefCell::new(applied), Cell::new(0));
        Self { verifier, set, ended, reader, applied, state, replicas, refuse_after_ms, clock }
    }

    /// The token, if it is alive.
    pub(super) fn check(&self, token: &str) -> Result<Rc<VerifiedToken>, TokenRejection> {
        self.apply_rule(token, |token, is_ended| Ok((is_ended, self.ask_projection(token)?)))
    }

    /// The token, if all is good but perhaps its session or its stamp: it may have been logged out.
    pub(super) fn check_signed(&self, token: &str) -> Result<Rc<VerifiedToken>, TokenRejection> {
        self.apply_rule(token, |_, _| Ok((false, StampAnswer::Present)))
    }

    /// The token; `None` if it is dead. The same question as [`TokenChecker::check`], for those who
    /// ask about another's token.
    ///
    /// # Errors
    /// It cannot be judged at the moment.
    pub(super) fn judge(&self, token: &str) -> Result<Option<Rc<VerifiedToken>>, Problem> {
        let problem = match self.check(token) {
            Ok(token) => return Ok(Some(token)),
            Err(rejection) => Problem::from(rejection),
        };
        if problem.kind() == ProblemKind::InvalidToken { Ok(None) } else { Err(problem) }
    }

    /// Whether the user is known to have another security stamp than the token, or to be gone.
    pub(super) fn has_ended(&self, token: &VerifiedToken) -> Result<bool, TokenRejection> {
        Ok(match self.ask_projection(token)? {
            StampAnswer::Present => false,
            StampAnswer::Replaced => true,
            // A stamp that the projection has not reached yet cannot have been replaced in it.
            StampAnswer::Other { stamp_seq, applied_seq } => applied_seq >= stamp_seq,
        })
    }

    /// Judges the token, with what `known` says of its session and its stamp when it is told whether a
    /// logout has ended the session.
    fn apply_rule(
        &self,
        token: &str,
        known: impl FnOnce(&VerifiedToken, bool) -> Result<(bool, StampAnswer), StoreError>,
    ) -> Result<Rc<VerifiedToken>, TokenRejection> {
        let boot = BootTime(self.clock.boot_ms());
        let at = Moment {
            wall_s: self.clock.unix_s(),
            leeway_s: self.verifier.rules().leeway_s,
            boot,
            arrived: boot,
        };
        // In this order: see the rule.
        let freshness = self.freshness(boot);
        let verified = self.verifier.verify(token).map_err(|not| match not {
            NotVerified::NotOurs => TokenRejection::NotOurs,
            NotVerified::NoKey(kid) => match check_key(self.set.key(&kid), &freshness, boot) {
                Err(verdict) => verdict.into(),
                // It was published a moment ago.
                Ok(()) => TokenRejection::Unknown(Doubt::KeyMayExist),
            },
        })?;
        let (is_ended, key) = self.set.look_up(&verified.sid, &verified.kid);
        let (is_ended, stamp) = known(&verified, is_ended)?;
        match judge(&verified.times(), &freshness, is_ended, key, stamp, &at) {
            Verdict::Alive => Ok(verified),
            verdict => Err(verdict.into()),
        }
    }

    /// Whether this replica knows that a session goes on: one that may lack its end would prolong it.
    pub(super) fn allows_trades(&self) -> bool {
        let now = BootTime(self.clock.boot_ms());
        self.freshness(now).allows_trades(now)
    }

    /// The projection counts as being on the present log.
    fn freshness(&self, now: BootTime) -> Freshness {
        let users = Freshness {
            users_asked_at: Some(now),
            log_end_seq: 0,
            set_marked_at: None,
            is_anybody_missing: true,
            cut_off_since: None,
            refuse_after_ms: self.refuse_after_ms,
        };
        self.replicas.freshness(users, now)
    }

    /// The name of the user with this id.
    pub(super) fn find_username(&self, user: UserId) -> Result<Option<String>, StoreError> {
        self.reader.find_username(user)
    }

    fn ask_projection(&self, token: &VerifiedToken) -> Result<StampAnswer, StoreError> {
        let (user, stamp) = (token.user, token.stamp);
        // In this order: see `EndedStamps::contains`.
        if self.ended.contains(user, stamp) {
            return Ok(StampAnswer::Replaced);
        }
        // Before the question: what is read is this state, or a later one.
        let state = self.state();
        if token.present_in.get() == Some(state) {
            return Ok(StampAnswer::Present);
        }
        if self.reader.find_stamp(user)? == Some(stamp) {
            token.present_in.set(Some(state));
            return Ok(StampAnswer::Present);
        }
        // How far the projection is, and what it says no earlier than that.
        let applied_seq = self.applied.borrow().borrow().seq();
        let is_present = self.reader.find_stamp(user)? == Some(stamp);
        let other = StampAnswer::Other { stamp_seq: stamp.seq, applied_seq };
        Ok(if is_present { StampAnswer::Present } else { other })
    }

    /// Another number after each change of the projection. Its writer announces a change after the
    /// commit, and before `EndedStamps` forgets what the change has ended.
    fn state(&self) -> u64 {
        let mut applied = self.applied.borrow_mut();
        if applied.has_changed().unwrap_or(true) {
            applied.mark_unchanged();
            self.state.set(self.state.get() + 1);
        }
        self.state.get()
    }
}

/// Why a token is not accepted.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum TokenRejection {
    /// It was not signed by us for our users.
    #[error("not a token of this service")]
    NotOurs,
    /// It is dead for good.
    #[error(transparent)]
    Dead(DeadReason),
    /// Nobody can tell at this moment.
    #[error(transparent)]
    Unknown(Doubt),
    /// The projection cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<Verdict> for TokenRejection {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Dead(reason) => Self::Dead(reason),
            Verdict::Unknown(doubt) => Self::Unknown(doubt),
            // Nobody rejects it.
            Verdict::Alive => Self::Unknown(Doubt::AwaitsProof),
        }
    }
}

impl TokenRejection {
    /// The token was signed by us, and may once have been good.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self, Self::Dead(reason) if *reason != DeadReason::UnknownKey)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;
    use crate::actors::KnownReplicas;
    use crate::store::{Damage, ProjectionStore};
    use contract::token_record::{PublishedKey, SigningAlgorithm, TokenId};
    use contract::{
        Claims, Cursor, Incarnation, Position, RecordHash, TokenRecord, UserChange, UserId,
        UserState,
    };
    use shared::log_sync::{NextChange, ReceivedRecord};
    use shared::tokens::token_set::{Learned, TokenSet};
    use shared::tokens::{SigningKey, Whose, public_bytes};

    const USERS: i64 = 100;
    const NOW_S: i64 = 1_800_000_000;
    const RUN: Incarnation = Incarnation([7; 16]);

    fn at(seq: i64) -> Position {
        // The place before the first record is all zeros.
        let byte = u8::try_from(seq % 256).unwrap();
        Position { seq, hash: RecordHash([byte; 16]) }
    }

    fn record(seq: i64, user: i64, left: Option<UserState>) -> ReceivedRecord {
        let data = UserChange { id: UserId(user), user: left, written_by: Some(RUN) }.into();
        let (position, prev_hash) = (at(seq), at(seq - 1).hash);
        ReceivedRecord { position, prev_hash, data: Some(data), sealed_hash: None }
    }

    fn created(user: i64) -> ReceivedRecord {
        let username = format!("user{user}");
        let (username_key, version, password_version) = (username.clone(), 1, 1);
        let left = UserState { username, username_key, version, password_version, stamp: None };
        record(user, user, Some(left))
    }

    /// As `CredentialRepository` does.
    fn apply(
        store: &mut ProjectionStore,
        applied: &watch::Sender<Applied>,
        record: ReceivedRecord,
    ) {
        let ReceivedRecord { position, prev_hash, data, sealed_hash } = record;
        let next = NextChange { position, prev_hash, data: data.unwrap(), sealed_hash };
        store.apply(&[next], &Cursor { incarnation: RUN, position }).unwrap();
        applied.send_modify(|_| ());
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
            jti: TokenId([1; 16]).to_string(),
            sid: TokenId([1; 16]).to_string(),
            auth_time: NOW_S,
            client_id: "c".into(),
            username: "u".into(),
            stamp: at(user).encode(),
            scope: None,
        };
        key.sign(&claims).unwrap()
    }

    fn checker(
        key: &SigningKey,
        ended: &EndedStamps,
        applied: watch::Receiver<Applied>,
        path: &Path,
    ) -> TokenChecker {
        let (kid, algorithm, public_key) = public_bytes(key.jwk()).unwrap();
        let (until_s, signs_from_s, lifetime_s) = (NOW_S, 0, 900);
        let named = PublishedKey { until_s, signs_from_s, lifetime_s, kid, algorithm, public_key };
        let record = TokenRecord::KeyPublished(Box::new(named));
        let set = TokenSetView::default();
        set.apply(&TokenSet::default().insert(record, Learned::Now, BootTime(0)));
        let reader = Rc::new(ProjectionReader::new(path.to_owned(), Damage::default()));
        let clock = Clock::manual(NOW_S * 1000);
        let known = watch::Sender::new(KnownReplicas::new(true, []));
        let replicas = (Replicas::new(known.subscribe()), None);
        TokenChecker::new(rules(), set, ended.clone(), (reader, applied), replicas, clock)
    }

    /// Two workers verify without end, from their caches, while the consumer deletes one user after
    /// the other: noted first, applied then, and forgotten in memory last.
    #[test]
    fn a_token_whose_user_is_deleted_is_refused_from_that_moment_on() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("projection.db");
        let mut store = ProjectionStore::open(path.clone()).unwrap();
        let key = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap();
        let applied = watch::Sender::new(Applied::default());
        (1..=USERS).for_each(|user| apply(&mut store, &applied, created(user)));
        let tokens: Vec<String> = (1..=USERS).map(|user| token(&key, user)).collect();
        let (ended, deleted) = (EndedStamps::default(), AtomicI64::new(0));
        let all_are_cached = Barrier::new(3);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| {
                    let checker = checker(&key, &ended, applied.subscribe(), &path);
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
                apply(&mut store, &applied, deletion);
                ended.forget([Whose::Of(UserId(user))], RUN, at(USERS + user));
            }
        });
    }
}
