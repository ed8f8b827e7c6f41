use super::*;

const RULES: KeyRules = KeyRules {
    rotation_s: 30 * 86_400,
    max_age_s: 300,
    warmup_s: 0,
    lifetime_s: 900,
    leeway_s: 5,
    algorithm: SigningAlgorithm::EdDsa,
};
const BOOT: [u8; 16] = [1; 16];
const WALL_S: i64 = 1_000_000;

fn clocks(elapsed_s: i64) -> Clocks {
    Clocks { boot_id: BOOT, boot: BootTime(elapsed_s * 1000), wall_s: WALL_S + elapsed_s }
}

fn kid(n: u8) -> KeyId {
    KeyId([n; 32])
}

fn plan(schedule: &KeySchedule, clocks: &Clocks) -> Vec<KeyAction> {
    schedule.plan(clocks, |_| None, |_| true)
}

fn signer(schedule: &KeySchedule, clocks: &Clocks) -> Signer {
    schedule.signer(clocks, |_| None)
}

/// One key that signs and one that is ready, at time zero.
fn settled() -> KeySchedule {
    let mut schedule = KeySchedule::new(RULES, vec![]);
    schedule.add(kid(1), &clocks(0));
    schedule.promote(kid(1), &clocks(0));
    schedule.add(kid(2), &clocks(0));
    if let Signer::Raise(kid, ceiling_s) = signer(&schedule, &clocks(0)) {
        schedule.raise_ceiling(kid, ceiling_s);
    }
    schedule
}

#[test]
fn the_first_key_signs_as_soon_as_the_other_replicas_have_it() {
    let mut schedule = KeySchedule::new(RULES, vec![]);
    assert_eq!(plan(&schedule, &clocks(0)), [KeyAction::Make(KeyReason::First)]);
    schedule.add(kid(1), &clocks(0));
    assert!(schedule.plan(&clocks(9), |_| None, |_| false).is_empty());
    assert_eq!(signer(&schedule, &clocks(9)), Signer::None);
    assert_eq!(plan(&schedule, &clocks(0)), [KeyAction::Sign(kid(1), KeyReason::First)]);
    let mut careful = KeySchedule::new(KeyRules { warmup_s: 1_200, ..RULES }, vec![]);
    careful.add(kid(1), &clocks(0));
    assert!(plan(&careful, &clocks(1_199)).is_empty());
    assert_eq!(plan(&careful, &clocks(1_200)), [KeyAction::Sign(kid(1), KeyReason::First)]);
}

#[test]
fn a_key_is_ready_before_it_is_needed() {
    let mut schedule = KeySchedule::new(RULES, vec![]);
    schedule.add(kid(1), &clocks(0));
    schedule.promote(kid(1), &clocks(0));
    assert_eq!(plan(&schedule, &clocks(0)), [KeyAction::Make(KeyReason::Ahead)]);
    assert!(plan(&settled(), &clocks(1)).is_empty());
}

#[test]
fn by_schedule_the_next_key_signs_when_no_cache_can_lack_it() {
    let rules = KeyRules { rotation_s: 100, ..RULES };
    let mut schedule = KeySchedule::new(rules, settled().own);
    assert!(plan(&schedule, &clocks(900)).is_empty());
    let sign = KeyAction::Sign(kid(2), KeyReason::Rotation);
    assert_eq!(plan(&schedule, &clocks(901)), [sign]);
    assert!(schedule.plan(&clocks(901), |_| None, |_| false).is_empty(), "a replica lacks it");
    schedule.promote(kid(2), &clocks(901));
    assert_eq!(schedule.own()[0].stage, Stage::Retired(clocks(901).boot));
    assert_eq!(schedule.signing().map(|key| key.kid), Some(kid(2)));
    // Its tokens live on; then nobody speaks of it any more.
    let has_forgotten = |s| plan(&schedule, &clocks(s)).contains(&KeyAction::Forget(kid(1)));
    assert!(!has_forgotten(901 + 964) && has_forgotten(901 + 965));
}

#[test]
fn by_command_it_signs_at_once_and_the_command_is_done() {
    let mut schedule = settled();
    schedule.command_rotation();
    let actions = plan(&schedule, &clocks(1));
    assert_eq!(actions, [KeyAction::Sign(kid(2), KeyReason::Command)]);
    schedule.promote(kid(2), &clocks(1));
    assert_eq!(plan(&schedule, &clocks(1)), [KeyAction::Make(KeyReason::Ahead)]);
}

#[test]
fn a_killed_key_is_followed_by_the_next_one() {
    let mut schedule = settled();
    schedule.remove(kid(1));
    assert_eq!(signer(&schedule, &clocks(1)), Signer::None);
    assert_eq!(plan(&schedule, &clocks(1)), [KeyAction::Sign(kid(2), KeyReason::First)]);
}

#[test]
fn a_longer_lifetime_begins_with_a_new_key_and_a_shorter_one_does_not() {
    for (lifetime_s, has_new_key) in [(901, true), (900, false), (60, false)] {
        let schedule = KeySchedule::new(KeyRules { lifetime_s, ..RULES }, settled().own);
        let actions = plan(&schedule, &clocks(1));
        let expected = KeyAction::Make(KeyReason::LongerLifetime);
        assert_eq!(actions.contains(&expected), has_new_key, "{lifetime_s}");
        // Nothing could sign for so long: the key that is ready was made for less, too.
        assert_eq!(actions.contains(&KeyAction::Discard(kid(2))), has_new_key);
        assert_eq!(signer(&schedule, &clocks(1)) == Signer::None, has_new_key);
    }
}

#[test]
fn another_algorithm_begins_with_a_new_key() {
    let rules = KeyRules { algorithm: SigningAlgorithm::Es256, ..RULES };
    let actions = plan(&KeySchedule::new(rules, settled().own), &clocks(1));
    assert!(actions.contains(&KeyAction::Make(KeyReason::OtherAlgorithm)));
}

#[test]
fn a_clock_that_is_set_back_further_than_a_step_begins_with_a_new_key() {
    let schedule = settled();
    let set_back = |s| Clocks { wall_s: WALL_S + 50 - s, ..clocks(50) };
    assert_eq!(signer(&schedule, &set_back(15)), Signer::Key(kid(1)));
    assert_eq!(signer(&schedule, &set_back(16)), Signer::None);
    let actions = plan(&schedule, &set_back(3_600));
    assert_eq!(actions, [KeyAction::Sign(kid(2), KeyReason::ClockSetBack)]);
}

#[test]
fn a_clock_that_is_set_forward_is_written_down_before_it_is_signed_by() {
    let mut schedule = settled();
    let ahead = Clocks { wall_s: WALL_S + 3_600, ..clocks(1) };
    let Signer::Raise(key, ceiling_s) = signer(&schedule, &ahead) else { panic!("no ceiling") };
    schedule.raise_ceiling(key, ceiling_s);
    assert_eq!(signer(&schedule, &ahead), Signer::Key(kid(1)));
    assert_eq!(signer(&schedule, &clocks(2)), Signer::None, "back again");
}

#[test]
fn a_machine_that_was_started_again_begins_with_a_new_key() {
    let restarted = Clocks { boot_id: [2; 16], ..clocks(1) };
    let actions = plan(&settled(), &restarted);
    assert!(actions.contains(&KeyAction::Discard(kid(2))));
    assert!(actions.contains(&KeyAction::Make(KeyReason::MachineRestarted)));
}

#[test]
fn no_token_is_signed_that_its_key_s_horizon_refuses() {
    let schedule = settled();
    let exp_s = WALL_S + 900;
    for (horizon_s, expected) in [(exp_s - 1, Signer::Key(kid(1))), (exp_s, Signer::None)] {
        assert_eq!(schedule.signer(&clocks(0), |_| Some(horizon_s)), expected);
    }
    let horizon_of = |key: &KeyId| (*key == kid(1)).then_some(exp_s);
    let actions = schedule.plan(&clocks(0), horizon_of, |_| true);
    assert_eq!(actions, [KeyAction::Sign(kid(2), KeyReason::BehindHorizon)]);
}

#[test]
fn keys_are_stated_again_every_hour() {
    let mut schedule = settled();
    assert!(plan(&schedule, &clocks(RESTATE_S - 1)).is_empty());
    let both = [KeyAction::State(kid(1)), KeyAction::State(kid(2))];
    assert_eq!(plan(&schedule, &clocks(RESTATE_S)), both);
    schedule.stated(kid(1), clocks(RESTATE_S).boot);
    assert_eq!(plan(&schedule, &clocks(RESTATE_S)), [KeyAction::State(kid(2))]);
}
