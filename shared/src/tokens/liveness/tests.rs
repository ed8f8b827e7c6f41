use super::*;

const NOW: BootTime = BootTime(100_000);
const TOKEN: TokenTimes = TokenTimes { iat_s: 1_000, nbf_s: 995, exp_s: 1_900 };
const GOOD: KeyStanding = KeyStanding::Good { lifetime_s: 900, horizon_s: None };
const AT: Moment = Moment { wall_s: 1_100, leeway_s: 5, boot: NOW, arrived: BootTime(NOW.0 - 10) };

fn ago(ms: i64) -> BootTime {
    BootTime(NOW.0 - ms)
}

fn fresh() -> Freshness {
    Freshness {
        users_asked_at: Some(ago(1_000)),
        log_end_seq: 9,
        set_marked_at: Some(ago(1_000)),
        is_anybody_missing: false,
        users_cut_off_since: None,
        set_cut_off_since: None,
        refuse_after_ms: None,
    }
}

/// A proof whose question was asked after the request arrived.
fn proved_since() -> Freshness {
    Freshness { users_asked_at: Some(ago(5)), ..fresh() }
}

fn other(stamp_seq: i64, applied_seq: i64) -> StampAnswer {
    StampAnswer::Other { stamp_seq, applied_seq }
}

fn verdict(token: TokenTimes, key: KeyStanding) -> Verdict {
    judge(&token, &fresh(), false, key, StampAnswer::Present, &AT)
}

fn verdict_on(stamp: StampAnswer, freshness: Freshness) -> Verdict {
    judge(&TOKEN, &freshness, false, GOOD, stamp, &AT)
}

#[test]
fn a_token_is_alive_if_everything_is_good() {
    assert_eq!(verdict(TOKEN, GOOD), Verdict::Alive);
}

#[test]
fn each_thing_that_is_certainly_wrong_kills_it() {
    let dead = |token, key, reason| assert_eq!(verdict(token, key), Verdict::Dead(reason));
    dead(TOKEN, KeyStanding::Killed, DeadReason::KeyKilled);
    dead(TOKEN, KeyStanding::Unknown, DeadReason::UnknownKey);
    dead(TokenTimes { exp_s: 1_095, ..TOKEN }, GOOD, DeadReason::Expired);
    assert_eq!(verdict(TokenTimes { exp_s: 1_096, ..TOKEN }, GOOD), Verdict::Alive);
    dead(TokenTimes { exp_s: 1_901, ..TOKEN }, GOOD, DeadReason::LivesTooLong);
    dead(TokenTimes { exp_s: i64::MAX, iat_s: i64::MIN, ..TOKEN }, GOOD, DeadReason::LivesTooLong);
    let forgotten = KeyStanding::Good { lifetime_s: 900, horizon_s: Some(1_900) };
    dead(TOKEN, forgotten, DeadReason::BehindHorizon);
    let forgotten = KeyStanding::Good { lifetime_s: 900, horizon_s: Some(1_899) };
    assert_eq!(verdict(TOKEN, forgotten), Verdict::Alive);
    let ended = judge(&TOKEN, &fresh(), true, GOOD, StampAnswer::Present, &AT);
    assert_eq!(ended, Verdict::Dead(DeadReason::SessionEnded));
    let replaced = verdict_on(StampAnswer::Replaced, fresh());
    assert_eq!(replaced, Verdict::Dead(DeadReason::StampReplaced));
}

#[test]
fn what_is_certain_is_said_even_by_a_replica_that_is_cut_off_or_stale() {
    let cut_off = Freshness { users_cut_off_since: Some(ago(9)), ..fresh() };
    let stale = Freshness { users_asked_at: None, ..fresh() };
    for freshness in [cut_off, stale] {
        let ended = judge(&TOKEN, &freshness, true, GOOD, StampAnswer::Present, &AT);
        assert_eq!(ended, Verdict::Dead(DeadReason::SessionEnded));
    }
}

#[test]
fn an_unknown_key_is_in_doubt_at_once_while_the_replica_is_not_fresh() {
    let stale = Freshness { set_marked_at: Some(ago(3_001)), ..fresh() };
    let cut_off = Freshness { set_cut_off_since: Some(ago(1)), ..fresh() };
    let missing = Freshness { is_anybody_missing: true, ..fresh() };
    for freshness in [stale, cut_off, missing] {
        let verdict = check_key(KeyStanding::Unknown, &freshness, NOW);
        assert_eq!(verdict, Err(Verdict::Unknown(Doubt::KeyMayExist)));
    }
    assert!(!Doubt::KeyMayExist.is_worth_waiting());
    let verdict = check_key(KeyStanding::NotTrustedYet, &fresh(), NOW);
    assert_eq!(verdict, Err(Verdict::Unknown(Doubt::KeyNotTrustedYet)));
}

#[test]
fn a_token_of_ours_that_is_not_good_yet_is_in_doubt() {
    let token = TokenTimes { nbf_s: 1_106, ..TOKEN };
    assert_eq!(verdict(token, GOOD), Verdict::Unknown(Doubt::NotGoodYet));
    assert_eq!(verdict(TokenTimes { nbf_s: 1_105, ..TOKEN }, GOOD), Verdict::Alive);
}

#[test]
fn a_paused_replica_waits_for_a_proof_and_one_that_is_cut_off_goes_on() {
    let stale = Freshness { users_asked_at: Some(ago(3_001)), ..fresh() };
    let waits = Verdict::Unknown(Doubt::AwaitsProof);
    assert_eq!(verdict_on(StampAnswer::Present, stale), waits);
    let edge = Freshness { users_asked_at: Some(ago(3_000)), ..fresh() };
    assert_eq!(verdict_on(StampAnswer::Present, edge), Verdict::Alive);
    let cut_off =
        Freshness { users_cut_off_since: Some(ago(1_000)), refuse_after_ms: Some(1_000), ..stale };
    assert_eq!(verdict_on(StampAnswer::Present, cut_off), Verdict::Alive);
    let too_long = Freshness { refuse_after_ms: Some(999), ..cut_off };
    assert_eq!(verdict_on(StampAnswer::Present, too_long), Verdict::Unknown(Doubt::CutOff));
    assert!(!cut_off.allows_trades(NOW) && !stale.allows_trades(NOW) && edge.allows_trades(NOW));
}

#[test]
fn a_stamp_that_is_not_here_is_dead_only_by_an_answer_newer_than_the_request() {
    let waits = Verdict::Unknown(Doubt::AwaitsProof);
    let dead = Verdict::Dead(DeadReason::StampUnheardOf);
    for stamp in [other(9, 8), other(12, 8), other(5, 8)] {
        assert_eq!(verdict_on(stamp, fresh()), waits, "{stamp:?}");
    }
    assert_eq!(verdict_on(other(10, 9), proved_since()), dead, "the log does not reach that far");
    assert_eq!(verdict_on(other(5, 8), proved_since()), dead, "another record is there");
    let on_its_way = verdict_on(other(9, 8), proved_since());
    assert_eq!(on_its_way, Verdict::Unknown(Doubt::AwaitsLog));
    let cut_off = Freshness { users_cut_off_since: Some(ago(1)), ..proved_since() };
    assert_eq!(verdict_on(other(5, 8), cut_off), Verdict::Unknown(Doubt::CutOff));
}

#[test]
fn without_the_other_replicas_news_of_the_users_count_as_ever() {
    let fresh = Freshness { set_cut_off_since: Some(ago(9_000)), ..proved_since() };
    assert_eq!(fresh.state(NOW), FreshnessState::CutOff);
    assert_eq!(verdict_on(StampAnswer::Present, fresh), Verdict::Alive);
    let dead = Verdict::Dead(DeadReason::StampUnheardOf);
    assert_eq!(verdict_on(other(5, 8), fresh), dead, "a new password, or a deletion");
    let paused = Freshness { users_asked_at: Some(ago(3_001)), ..fresh };
    let waits = Verdict::Unknown(Doubt::AwaitsProof);
    assert_eq!(verdict_on(StampAnswer::Present, paused), waits);
}
