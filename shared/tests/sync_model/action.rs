//! What can happen in the world, and how often.

use crate::world::{Wire, World};

/// What may happen next.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// A change is committed; its event goes out, or the source dies before it does.
    Write {
        publish: bool,
    },
    Beacon,
    RestartSource,
    BackUpSource,
    RestoreSource,
    CrashFollower,
    BackUpFollower,
    RestoreFollower,
    /// The follower is killed when it has carried out the first effect of this message, which was
    /// not acknowledged.
    CrashFollowerAt(usize),
    /// The broker comes back with nothing, and the follower subscribes anew.
    WipeBroker,
    /// Any message may come next: the bus reorders.
    Deliver(usize),
    /// And come again later.
    DeliverAndKeep(usize),
    Lose(usize),
    Waited,
    /// No heads came for a while: the follower asks beside the question that is open.
    Quiet,
    /// Nothing comes through the broker: the follower asks, unless a question is open.
    Silence,
    /// The projection was found to be wrong.
    Distrust,
}

/// How far the model looks.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) writes: usize,
    pub(crate) restarts: usize,
    pub(crate) restores: usize,
    pub(crate) follower_faults: usize,
    pub(crate) wipes: usize,
    pub(crate) distrusts: usize,
    pub(crate) in_flight: usize,
    pub(crate) questions: usize,
}

impl Bounds {
    /// For the protocol as it is.
    pub(crate) const WIDE: Self = Self {
        writes: 3,
        restarts: 2,
        restores: 1,
        follower_faults: 1,
        wipes: 1,
        distrusts: 1,
        in_flight: 3,
        questions: 3,
    };
    /// For mutants: enough for most to fall.
    pub(crate) const NARROW: Self = Self {
        writes: 3,
        restarts: 1,
        restores: 1,
        follower_faults: 0,
        wipes: 0,
        distrusts: 0,
        in_flight: 2,
        questions: 2,
    };
}

impl World {
    pub(crate) fn possible(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        let has_room = self.wire.len() < bounds.in_flight;
        if self.writes < bounds.writes {
            actions.push(Action::Write { publish: false });
            if has_room {
                actions.push(Action::Write { publish: true });
            }
        }
        if has_room {
            actions.push(Action::Beacon);
        }
        if self.wipes < bounds.wipes {
            actions.push(Action::WipeBroker);
        }
        self.faults_of_the_source(bounds, actions);
        self.faults_of_the_follower(bounds, actions);
        if self.questions < bounds.questions {
            self.questions(bounds, actions);
        }
        for n in 0..self.wire.len() {
            // What is never delivered is lost; losing it matters only where it makes room.
            if !has_room {
                actions.push(Action::Lose(n));
            }
            actions.extend([Action::Deliver(n), Action::DeliverAndKeep(n)]);
        }
    }

    fn faults_of_the_source(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.histories.len() <= bounds.restarts {
            actions.push(Action::RestartSource);
            if self.log_copy.is_some() && self.restores < bounds.restores {
                actions.push(Action::RestoreSource);
            }
        }
        if self.log_copy.is_none() && bounds.restores > 0 {
            actions.push(Action::BackUpSource);
        }
    }

    fn faults_of_the_follower(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.follower_faults >= bounds.follower_faults {
            return;
        }
        let has_copy = self.projection_copy.is_some();
        let restore = if has_copy { Action::RestoreFollower } else { Action::BackUpFollower };
        actions.extend([Action::CrashFollower, restore]);
        for (n, message) in self.wire.iter().enumerate() {
            if !matches!(message, Wire::Ask(_)) {
                actions.push(Action::CrashFollowerAt(n));
            }
        }
    }

    fn questions(&self, bounds: &Bounds, actions: &mut Vec<Action>) {
        if self.follower.awaited_nonce().is_some() {
            actions.extend([Action::Waited, Action::Quiet]);
        } else {
            actions.push(Action::Silence);
        }
        if self.distrusts < bounds.distrusts {
            actions.push(Action::Distrust);
        }
    }
}
