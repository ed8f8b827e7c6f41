use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicI64, Ordering};

use futures_util::FutureExt;

use super::*;
use crate::actors::KnownReplicas;
use crate::store::{Damage, ProjectionStore};
use contract::token_record::{PublishedKey, SigningAlgorithm, TokenId};
use contract::{
    Claims, Cursor, Incarnation, Position, RecordHash, TokenRecord, UserChange, UserId, UserState,
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
    let (data, sealed_hash, traceparent) = (Some(data), None, None);
    ReceivedRecord { position, prev_hash, data, sealed_hash, traceparent }
}

fn created(user: i64) -> ReceivedRecord {
    let username = format!("user{user}");
    let (username_key, version, password_version) = (username.clone(), 1, 1);
    let (stamp, is_admin) = (None, false);
    let left = UserState { username, username_key, version, password_version, stamp, is_admin };
    record(user, user, Some(left))
}

/// As `CredentialRepository` does.
fn apply(store: &mut ProjectionStore, applied: &watch::Sender<Applied>, record: ReceivedRecord) {
    let ReceivedRecord { position, prev_hash, data, sealed_hash, traceparent } = record;
    let data = data.unwrap();
    let next = NextChange { position, prev_hash, data, sealed_hash, traceparent };
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
    let fresh = UsersFreshness::proved(clock.clone());
    let known = watch::Sender::new(KnownReplicas::new(true, []));
    let replicas = (Replicas::new(known.subscribe()), None);
    TokenChecker::new(rules(), set, ended.clone(), (reader, applied), fresh, replicas, clock)
}

/// Whether the token is accepted at once.
fn is_accepted(checker: &TokenChecker, token: &str) -> bool {
    matches!(checker.check(token).now_or_never(), Some(Ok(_)))
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
                assert!(tokens.iter().all(|token| is_accepted(&checker, token)));
                all_are_cached.wait();
                let mut known = 0;
                while known < USERS {
                    known = deleted.load(Ordering::SeqCst);
                    for (user, token) in (1..=USERS).zip(&tokens) {
                        let is_alive = is_accepted(&checker, token);
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
