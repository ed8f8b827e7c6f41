//! A model of what makes a token alive, checked by stateright over the very types that run in
//! production: the token set, the key schedule, the trust in keys, and the rule.
//!
//! The world: one log with one user, two replicas of auth_service, and a broker with a durable
//! queue for each. Replicas are cut off, started again, wiped, and get older copies of each file
//! back; the broker loses everything; recorded messages come again; clocks are set an hour or two
//! minutes wrong; keys rotate and are killed; time passes. In every state that can be reached
//! a token that was ended with success is not taken by a replica that is ready, no replica says of
//! a living token that it is dead, none is dead at birth, and when all is well again every living
//! token is taken everywhere. Nine mutants each break one of these.
#![expect(
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic here is a failed test, and a mutant's history is worth seeing"
)]

mod action;
mod keys;
mod mutant;
mod replica;
mod world;

use std::num::NonZeroUsize;

use stateright::{Checker, HasDiscoveries, Model, Property};

use action::{Action, Bounds};
use mutant::Mutant;
use world::World;

const TRADED: &str = "a session ends that was refreshed on another replica";
const FORGOTTEN: &str = "the end of a session is forgotten";

/// The model, with the mutation under test.
struct Tokens {
    mutant: Option<Mutant>,
    bounds: Bounds,
    starts: Vec<World>,
}

impl Model for Tokens {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        self.starts.clone()
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.possible(&self.bounds, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(&action, self.mutant);
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always("what was ended stays dead", |model: &Self, world: &World| {
                world.dead_stay_dead(model.mutant)
            }),
            Property::always("no living token is refused", |model: &Self, world: &World| {
                world.living_are_not_refused(model.mutant)
            }),
            Property::always(
                "every living token is taken in the end",
                |model: &Self, world: &World| world.living_are_taken_in_the_end(model.mutant),
            ),
            Property::always("no token is dead at birth", |_, world: &World| !world.was_born_dead),
            Property::always("an id is given once", |_, world: &World| world.ids_are_given_once()),
            Property::sometimes(TRADED, |_, world: &World| world.has_ended_a_refreshed_session()),
            Property::sometimes(FORGOTTEN, |_, world: &World| world.has_forgotten_an_end()),
        ]
    }
}

/// Breadth first, so that a failure comes with one of its shortest histories.
fn check(
    mutant: Option<Mutant>,
    bounds: Bounds,
    starts: Vec<World>,
    max_depth: usize,
) -> impl Checker<Tokens> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    Tokens { mutant, bounds, starts }
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_max_depth(max_depth)
        .spawn_bfs()
        .join()
}

/// Worlds in which much has happened already, so that few steps lead far.
fn starts() -> Vec<World> {
    let after = |actions: &[Action]| {
        let mut world = World::settled();
        for action in actions {
            world.act(action, None);
        }
        (world.faults, world.waits, world.changes) = (0, 0, 0);
        world
    };
    vec![
        after(&[]),
        // Ended at the one, not yet heard of by the other.
        after(&[Action::LogOut(0, 0)]),
        // Ended long ago.
        after(&[Action::LogOut(0, 0), Action::Drain(1), Action::Wait(500)]),
        // Ended by a replica that is cut off.
        after(&[Action::Disconnect(0), Action::LogOut(0, 0)]),
        // Begun at the one, refreshed at the other.
        after(&[Action::Refresh(1, 0), Action::Drain(0)]),
    ]
}

fn assert_kept(bounds: Bounds, max_depth: usize) {
    let checker = check(None, bounds, starts(), max_depth);
    println!(
        "{} states, {} of them different, {} actions deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth() - 1
    );
    checker.assert_properties();
}

#[test]
fn the_rule_keeps_its_promises_whatever_happens() {
    let everything = Bounds { faults: 2, waits: 2, changes: 1, tokens: 4, only: |_| true };
    assert_kept(everything, 4);
}

#[test]
fn the_rule_keeps_its_promises_for_longer_if_one_thing_goes_wrong() {
    let one_fault = Bounds { faults: 1, waits: 1, changes: 1, tokens: 3, only: |_| true };
    assert_kept(one_fault, 5);
}

fn assert_caught(mutant: Mutant, bounds: Bounds) {
    let caught = check(Some(mutant), bounds, vec![World::settled()], 9).discoveries();
    let failure = caught.into_iter().find(|(name, _)| ![TRADED, FORGOTTEN].contains(name));
    let (name, path) = failure.unwrap_or_else(|| panic!("the mutant {mutant:?} survives"));
    println!("{mutant:?} breaks \"{name}\": {:?}", path.into_actions());
}

/// So that the shortest history of each mutant is found at once.
const fn only(only: fn(&Action) -> bool) -> Bounds {
    Bounds { faults: 2, waits: 2, changes: 2, tokens: 4, only }
}

#[test]
fn a_counter_in_place_of_the_stamp_is_caught() {
    let put_back = only(|action| {
        use Action::{ChangePassword, Drain, LogIn, Prove, PutBackUsers};
        matches!(action, ChangePassword | PutBackUsers | Prove(0) | Drain(0) | LogIn(0))
    });
    assert_caught(Mutant::CounterForStamp, put_back);
}

#[test]
fn forgetting_without_a_horizon_is_caught() {
    let clock_goes_back = only(|action| {
        use Action::{Drain, LogOut, Prove, SetClock, Wait};
        matches!(action, LogOut(0, 0) | Wait(500) | SetClock(0, -600) | Prove(0) | Drain(0))
    });
    assert_caught(Mutant::NoHorizon, clock_goes_back);
}

#[test]
fn a_horizon_from_the_clock_is_caught() {
    let clock_goes_ahead = only(|action| {
        use Action::{LogIn, LogOut, SetClock, Wait};
        matches!(action, LogOut(0, 0) | Wait(500) | LogIn(1) | SetClock(0, 3600))
    });
    assert_caught(Mutant::HorizonFromClock, clock_goes_ahead);
}

#[test]
fn forgetting_by_today_s_lifetime_is_caught() {
    let time_passes = only(|action| {
        use Action::{LogIn, LogOut, Wait};
        matches!(action, LogOut(0, 0) | LogIn(0) | Wait(500))
    });
    assert_caught(Mutant::TodaysLifetime, time_passes);
}

#[test]
fn an_id_that_is_given_again_is_caught() {
    let put_back = only(|action| matches!(action, Action::CreateUser | Action::PutBackUsers));
    assert_caught(Mutant::IdsGivenAgain, put_back);
}

#[test]
fn a_replica_that_is_ready_without_asking_is_caught() {
    let wiped = only(|action| {
        use Action::{Drain, LogOut, Prove, StateKeys, Wipe};
        matches!(action, LogOut(1, 1) | Drain(0) | Wipe(0) | StateKeys(1) | Prove(0))
    });
    assert_caught(Mutant::ReadyWithoutAsking, wiped);
}

#[test]
fn a_killed_key_that_is_forgotten_is_caught() {
    let replayed = only(|action| {
        use Action::{Drain, KillKey, Prove, Replay, Wait};
        matches!(action, KillKey(1) | Wait(15) | Replay(0, _) | Drain(0) | Prove(0))
    });
    assert_caught(Mutant::KilledKeysForgotten, replayed);
}

#[test]
fn a_refresh_by_a_replica_that_is_not_fresh_is_caught() {
    let cut_off = only(|action| {
        use Action::{Disconnect, Drain, LogOut, Prove, Refresh, Wait};
        let on_one = matches!(action, Disconnect(1) | Refresh(1, 0));
        on_one || matches!(action, LogOut(0, 0) | Wait(500) | Prove(0) | Drain(0))
    });
    assert_caught(Mutant::RefreshWhileNotFresh, cut_off);
}

#[test]
fn a_snapshot_that_empties_others_is_caught() {
    let wiped = only(|action| {
        use Action::{Drain, Exchange, LogOut, Prove, StateKeys, Wipe};
        let on_zero = matches!(action, LogOut(0, 0) | Exchange(0) | StateKeys(0));
        on_zero || matches!(action, Wipe(1) | Prove(0) | Drain(0))
    });
    assert_caught(Mutant::SnapshotEmptiesOthers, wiped);
}
