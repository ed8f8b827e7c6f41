use super::forgetting::FADING_S;
use super::merging::AgedRecord;
use super::*;
use contract::token_record::{SigningAlgorithm, Trade};
use proptest::prelude::*;

const START: BootTime = BootTime(5_000_000);
const LIFETIME_S: i64 = 900;
const KEEP_MS: i64 = (LIFETIME_S + SLACK_S) * 1000;

fn later(ms: i64) -> BootTime {
    BootTime(START.0 + ms)
}

fn kid(n: u8) -> KeyId {
    KeyId([n; 32])
}

fn token(n: u8) -> TokenId {
    TokenId([n; 16])
}

fn life(key: u8, exp_s: i64) -> TokenLife {
    TokenLife { kid: kid(key), exp_s }
}

fn revoked(sid: u8, key: u8, exp_s: i64) -> TokenRecord {
    TokenRecord::SessionRevoked { sid: token(sid), ended_with: life(key, exp_s) }
}

fn traded(sid: u8, jti: u8, hash: Option<u8>, old: TokenLife, new: TokenLife) -> TokenRecord {
    let (sid, jti, idempotency_hash) = (token(sid), token(jti), hash.map(|byte| [byte; 16]));
    TokenRecord::TokenTraded(Box::new(Trade { jti, sid, idempotency_hash, old, new }))
}

fn published_for(key: u8, until_s: i64, lifetime_s: i64) -> TokenRecord {
    statement(PublishedKey {
        until_s,
        signs_from_s: 0,
        lifetime_s,
        kid: kid(key),
        algorithm: SigningAlgorithm::EdDsa,
        public_key: vec![key; 32],
    })
}

fn published(key: u8, until_s: i64) -> TokenRecord {
    published_for(key, until_s, LIFETIME_S)
}

fn set_of(records: &[TokenRecord]) -> TokenSet {
    let mut set = TokenSet::default();
    for record in records {
        set.insert(record.clone(), Learned::Now, START);
    }
    set
}

#[test]
fn a_record_that_is_known_changes_nothing_not_even_its_age() {
    let records =
        [published(1, 100), revoked(1, 1, 50), traded(2, 3, None, life(1, 40), life(1, 60))];
    let mut set = set_of(&records);
    let before = set.clone();
    for record in records {
        assert_eq!(set.insert(record, Learned::Now, later(60_000)), Change::default());
    }
    assert_eq!(set, before);
}

#[test]
fn a_killed_key_stays_killed_in_whatever_order_it_is_told() {
    let (killed, said) = (TokenRecord::KeyKilled { kid: kid(1) }, published(1, 100));
    for records in [[killed.clone(), said.clone()], [said.clone(), killed.clone()]] {
        let mut set = set_of(&records);
        assert_eq!(set.key(&kid(1)), Some(&KeyEntry::Killed));
        set.insert(published(1, 9_999), Learned::Now, later(1));
        set.forget(BootTime(i64::MAX / 2));
        assert_eq!(set.key(&kid(1)), Some(&KeyEntry::Killed));
        assert!(set.records().eq([killed.clone()]));
    }
}

#[test]
fn the_later_statement_about_a_key_counts() {
    let set = set_of(&[published(1, 200), published(1, 100), published(1, 300)]);
    assert_eq!(set.published_keys().map(|key| key.until_s).collect::<Vec<_>>(), [300]);
}

#[test]
fn a_revocation_is_kept_for_a_token_s_life_and_its_horizon_for_good() {
    let mut set = set_of(&[published(1, 1_000), revoked(1, 1, 50)]);
    assert!(set.forget(later(KEEP_MS - 1)).is_empty());
    assert!(set.is_revoked(&token(1)));
    let change = set.forget(later(KEEP_MS));
    assert_eq!(change.removed, [revoked(1, 1, 50)]);
    assert_eq!(change.raised, [life(1, 50)]);
    assert!(!set.is_revoked(&token(1)));
    assert!(set.horizons().covers(&life(1, 50)));
    assert!(!set.horizons().covers(&life(1, 51)));
}

#[test]
fn it_is_kept_for_the_longest_lifetime_of_all_known_keys_not_for_today_s() {
    let day_ms = LONGEST_LIFETIME_S * 1000;
    let mut set = set_of(&[published(1, 1_000), revoked(1, 1, 50)]);
    set.insert(published_for(2, 1_000, 7_200), Learned::Now, START);
    assert!(set.forget(later(KEEP_MS)).is_empty());
    assert!(!set.forget(later((7_200 + SLACK_S) * 1000)).is_empty());
    // A key that nobody has told of may sign for longer than those that are known.
    let mut set = set_of(&[published(1, 1_000), revoked(1, 9, 50)]);
    assert!(set.forget(later(day_ms)).is_empty());
    assert!(!set.forget(later(day_ms + SLACK_S * 1000)).is_empty());
}

#[test]
fn what_the_bus_has_not_confirmed_does_not_age() {
    let mut set = set_of(&[published(1, 1_000)]);
    set.insert(revoked(1, 1, 50), Learned::Here, START);
    assert!(set.forget(later(KEEP_MS * 10)).is_empty());
    assert!(set.unconfirmed().eq([revoked(1, 1, 50)]));
    let confirmed = KEEP_MS * 10;
    set.confirm(record_id(&revoked(1, 1, 50)), later(confirmed));
    assert_eq!(set.unconfirmed().count(), 0);
    assert!(set.forget(later(confirmed + KEEP_MS - 1)).is_empty());
    assert!(!set.forget(later(confirmed + KEEP_MS)).is_empty());
}

#[test]
fn a_record_about_a_key_is_published_again_until_the_bus_has_confirmed_it() {
    let mut set = TokenSet::default();
    set.insert(published(1, 100), Learned::Here, START);
    assert!(set.unconfirmed().eq([published(1, 100)]));
    let killed = TokenRecord::KeyKilled { kid: kid(1) };
    set.insert(killed.clone(), Learned::Here, START);
    assert!(set.unconfirmed().eq([killed.clone()]));
    set.confirm(record_id(&killed), START);
    assert_eq!(set.unconfirmed().count(), 0);
}

#[test]
fn with_a_session_the_horizons_of_all_its_tokens_are_raised() {
    let mut set = set_of(&[published(1, 1_000), published(2, 1_000), revoked(1, 1, 50)]);
    let trade = traded(1, 1, None, life(1, 50), life(2, 90));
    set.insert(trade.clone(), Learned::Now, later(5));
    let change = set.forget(later(KEEP_MS));
    assert_eq!(change.removed, [revoked(1, 1, 50)]);
    assert!(set.horizons().covers(&life(2, 90)));
    assert_eq!(set.forget(later(KEEP_MS + 5)).removed, [trade]);
}

#[test]
fn a_key_that_its_owner_no_longer_states_is_forgotten_with_all_that_it_can_have_signed() {
    let mut set = set_of(&[published(1, 1_000)]);
    let day_ms = KEY_STATEMENT_S * 1000;
    assert!(set.forget(later(day_ms + KEEP_MS - 1)).is_empty());
    let change = set.forget(later(day_ms + KEEP_MS));
    assert_eq!(change.raised, [life(1, 1_000 + LIFETIME_S)]);
    assert_eq!(set.key(&kid(1)), None);
    assert!(set.insert(published(1, 1_000), Learned::Now, later(day_ms * 2)).is_empty());
    assert!(!set.insert(published(1, 9_000), Learned::Now, later(day_ms * 2)).is_empty());
}

#[test]
fn a_token_is_traded_once_but_a_request_may_come_again() {
    let (sid, jti) = (token(1), token(2));
    let mut set = set_of(&[traded(1, 2, Some(7), life(1, 50), life(1, 90))]);
    let judge = |set: &TokenSet, hash, ms| set.judge_trade(sid, jti, hash, later(ms));
    assert_eq!(judge(&set, Some([7; 16]), 500_000), TradeVerdict::Allowed);
    assert_eq!(judge(&set, None, 9_999), TradeVerdict::Allowed);
    assert_eq!(judge(&set, None, 10_000), TradeVerdict::Stolen);
    assert_eq!(judge(&set, Some([8; 16]), 10_000), TradeVerdict::Stolen);
    assert_eq!(set.judge_trade(sid, token(3), None, later(10_000)), TradeVerdict::Allowed);
    set.insert(revoked(1, 1, 50), Learned::Now, START);
    assert_eq!(judge(&set, Some([7; 16]), 1), TradeVerdict::SessionEnded);
}

#[test]
fn two_replicas_that_traded_one_token_find_out() {
    let one = traded(1, 2, None, life(1, 50), life(1, 90));
    let other = traded(1, 2, None, life(1, 50), life(2, 95));
    for (ms, is_theft) in [(9_999, false), (10_000, true)] {
        let mut set = set_of(std::slice::from_ref(&one));
        let change = set.insert(other.clone(), Learned::Now, later(ms));
        assert_eq!(change.stolen == [(token(1), life(2, 95))], is_theft, "{ms}");
    }
}

#[test]
fn what_is_about_to_be_forgotten_is_handed_to_nobody() {
    let record = revoked(1, 1, 50);
    let mut set = set_of(&[published(1, 1_000), record.clone()]);
    let part = record_id(&record).part();
    let keys_only = set_of(&[published(1, 1_000)]);
    let fading = later(KEEP_MS - FADING_S * 1000);
    set.forget(later(KEEP_MS - FADING_S * 1000 - 1));
    assert_eq!(set.records_of(part, fading)[0].record, record);
    set.forget(fading);
    assert!(set.is_revoked(&token(1)));
    assert!(set.records_of(part, fading).iter().all(|aged| aged.record != record));
    assert!(set.differing_parts(&keys_only.summary(fading), fading).is_empty());
    // A key with a longer lifetime makes it young again.
    set.insert(published_for(2, 1_000, 7_200), Learned::Now, fading);
    set.forget(fading);
    assert!(set.records_of(part, fading).iter().any(|aged| aged.record == record));
}

#[test]
fn a_record_is_not_handed_to_and_fro_for_ever() {
    let mut sets =
        [set_of(&[published(1, 1_000), revoked(1, 1, 50)]), set_of(&[published(1, 1_000)])];
    for second in 0..(LIFETIME_S + SLACK_S + 120) {
        let now = later(second * 1000);
        for side in 0..2 {
            sets[side].forget(now);
            // The other answers some milliseconds later.
            let then = BootTime(now.0 + 7);
            let summary = sets[side].summary(now);
            for part in sets[1 - side].differing_parts(&summary, then) {
                let records = sets[side].records_of(part, now);
                sets[1 - side].merge(records, then);
            }
        }
    }
    assert!(sets.iter().all(|set| !set.is_revoked(&token(1))));
}

/// Few enough ids that records meet, contradict and kill each other.
fn any_record() -> impl Strategy<Value = TokenRecord> {
    let small = 0..4_u8;
    prop_oneof![
        (small.clone(), small.clone(), 0..200_i64)
            .prop_map(|(sid, key, exp_s)| revoked(sid, key, exp_s)),
        (
            small.clone(),
            small.clone(),
            proptest::option::of(small.clone()),
            small.clone(),
            0..200_i64
        )
            .prop_map(|(sid, jti, hash, key, exp_s)| {
                traded(sid, jti, hash, life(key, exp_s), life(3 - key, exp_s + 1))
            }),
        (small.clone(), 0..9_i64, 0..2_000_i64)
            .prop_map(|(key, until_s, lifetime_s)| published_for(key, until_s, lifetime_s)),
        small.prop_map(|key| TokenRecord::KeyKilled { kid: kid(key) }),
    ]
}

fn records() -> impl Strategy<Value = Vec<TokenRecord>> {
    proptest::collection::vec(any_record(), 0..12)
}

/// Everything that a set holds, without its ages.
fn content(set: &TokenSet) -> (BTreeSet<TokenRecord>, Horizons) {
    (set.records().collect(), set.horizons().clone())
}

/// What `from` hands to `to`, part by part.
fn exchange(to: &mut TokenSet, from: &TokenSet, now: BootTime) {
    to.merge_horizons(from.horizons());
    for part in to.differing_parts(&from.summary(now), now) {
        to.merge(from.records_of(part, now), now);
    }
}

proptest! {
    #[test]
    fn merging_depends_neither_on_order_nor_on_repetition(
        one in records(), two in records(), three in records(),
    ) {
        let merged = |orders: [&[TokenRecord]; 3]| {
            let mut set = TokenSet::default();
            for records in orders {
                exchange(&mut set, &set_of(records), START);
            }
            content(&set)
        };
        let expected = merged([&one, &two, &three]);
        prop_assert_eq!(&merged([&three, &one, &two]), &expected);
        prop_assert_eq!(&merged([&two, &three, &one]), &expected);
        // Two and three first, then all of it again.
        let mut grouped = set_of(&two);
        exchange(&mut grouped, &set_of(&three), START);
        let mut set = set_of(&one);
        for _ in 0..2 {
            exchange(&mut set, &grouped, START);
        }
        prop_assert_eq!(&content(&set), &expected);
        let before = set.clone();
        exchange(&mut set, &before.clone(), START);
        prop_assert_eq!(set, before);
    }

    #[test]
    fn a_replay_changes_nothing(records in records(), age_ms in 0..500_000_i64) {
        let mut set = set_of(&records);
        let before = set.clone();
        for record in records {
            let change = set.merge([AgedRecord { record, age_ms }], later(3));
            prop_assert!(change.is_empty());
        }
        prop_assert_eq!(set, before);
    }

    #[test]
    fn a_change_that_is_taken_back_leaves_nothing(first in records(), more in records()) {
        let mut set = set_of(&first);
        let before = set.clone();
        let insert = |record| set.insert(record, Learned::Now, START);
        let changes: Vec<_> = more.into_iter().map(insert).collect();
        changes.iter().rev().for_each(|change| set.undo(change, START));
        prop_assert_eq!(set, before);
    }

    #[test]
    fn checksums_are_equal_just_when_the_records_are(one in records(), other in records()) {
        let (one, other) = (set_of(&one), set_of(&other));
        let same = one.records().collect::<BTreeSet<_>>() == other.records().collect();
        prop_assert_eq!(one.differing_parts(&other.summary(START), START).is_empty(), same);
    }

    /// Whatever is inserted and forgotten when: a token that was dead is dead for good, if it is
    /// asked about before its lifetime is over by the clock that nobody sets, and after it by the
    /// horizon alone.
    #[test]
    fn forgetting_never_revives(
        steps in proptest::collection::vec((any_record(), 0..400_000_i64), 1..30),
    ) {
        let mut set = TokenSet::default();
        let mut dead: BTreeSet<(TokenId, TokenLife)> = BTreeSet::new();
        let mut now = START;
        for (record, wait_ms) in steps {
            if let TokenRecord::SessionRevoked { sid, ended_with } = &record {
                dead.insert((*sid, *ended_with));
            }
            set.insert(record, Learned::Now, now);
            now = BootTime(now.0 + wait_ms);
            let change = set.forget(now);
            for record in &change.removed {
                for life in lives(record) {
                    prop_assert!(set.horizons().covers(&life));
                }
            }
            for (sid, life) in &dead {
                prop_assert!(set.is_revoked(sid) || set.horizons().covers(life));
            }
        }
    }
}
