//! A model of the sync protocol, checked by stateright over the very state machine that runs in
//! production.
//!
//! The world: one log, one follower, and a bus that may lose, double and reorder everything, or come
//! back wiped. Either side may crash, also half way through what it does, restart, and be restored
//! from an older copy; questions may be open beside each other. In every state that can be reached
//! the projection is a prefix of the log of its incarnation, no record was applied twice or out of
//! order, and catching up is still possible: from there on a bus that loses nothing more brings both
//! into agreement. Four mutants of the protocol each break one of these.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a panic here is a failed test, and a mutant's history is worth seeing"
)]

mod action;
mod mutant;
mod world;

use std::num::NonZeroUsize;

use stateright::{Checker, HasDiscoveries, Model, Property};

use action::{Action, Bounds};
use mutant::Mutant;
use world::World;

const REPLACES: &str = "a snapshot replaces a log that diverged";
const REPLAYS: &str = "records are replayed";

/// The model, with the mutation under test.
struct Protocol {
    mutant: Option<Mutant>,
    bounds: Bounds,
}

impl Model for Protocol {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(), World::settled(), World::diverged()]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        world.possible(&self.bounds, actions);
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        next.act(&action, self.mutant);
        (next != *world).then_some(next)
    }

    /// Deliveries make followers ask: without a bound two that talk to each other never end.
    fn within_boundary(&self, world: &World) -> bool {
        world.questions <= self.bounds.questions
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(
                "the projection is a prefix of its incarnation's log",
                |_, world: &World| world.is_prefix(),
            ),
            Property::always(
                "the cursor never goes back within an incarnation",
                |_, world: &World| !world.went_back,
            ),
            Property::always("catching up stays possible", |model: &Self, world: &World| {
                world.can_catch_up(model.mutant)
            }),
            Property::sometimes(REPLACES, |_, world: &World| {
                world.has_replaced && world.restores > 0 && world.is_agreed()
            }),
            Property::sometimes(REPLAYS, |_, world: &World| {
                world.has_replayed && world.is_agreed() && world.log_len() > 1
            }),
        ]
    }
}

/// Breadth first, so that a failure comes with one of its shortest histories.
fn check(mutant: Option<Mutant>, bounds: Bounds, max_depth: usize) -> impl Checker<Protocol> {
    let threads = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let model = Protocol { mutant, bounds };
    model
        .checker()
        .threads(threads)
        .finish_when(HasDiscoveries::AnyFailures)
        .target_max_depth(max_depth)
        .spawn_bfs()
        .join()
}

#[test]
fn the_protocol_keeps_its_promises_in_every_state_within_the_bounds() {
    let checker = check(None, Bounds::WIDE, 8);
    println!(
        "{} states, {} of them different, up to {} steps deep",
        checker.state_count(),
        checker.unique_state_count(),
        checker.max_depth()
    );
    checker.assert_properties();
}

fn assert_caught(mutant: Mutant, bounds: Bounds) {
    let caught = check(Some(mutant), bounds, 12).discoveries();
    let failure = caught.into_iter().find(|(name, _)| !is_wanted(name));
    let (name, path) = failure.unwrap_or_else(|| panic!("the mutant {mutant:?} survives"));
    println!("{mutant:?} breaks \"{name}\": {:?}", path.into_actions());
}

/// The two properties that are meant to be discovered.
fn is_wanted(name: &&'static str) -> bool {
    [REPLAYS, REPLACES].contains(name)
}

#[test]
fn a_source_that_keeps_its_incarnation_over_a_restart_is_caught() {
    assert_caught(Mutant::IncarnationNotRenewed, Bounds::NARROW);
}

#[test]
fn a_follower_that_takes_any_answer_is_caught() {
    // An answer to a question of long ago can only harm a follower that asks once more.
    assert_caught(Mutant::NoNonce, Bounds { follower_faults: 1, questions: 3, ..Bounds::NARROW });
}

#[test]
fn a_continue_that_is_not_bound_to_the_cursor_is_caught() {
    assert_caught(Mutant::ContinueNotBound, Bounds::NARROW);
}

#[test]
fn a_hash_that_nobody_checks_is_caught() {
    assert_caught(Mutant::HashNotChecked, Bounds::NARROW);
}
