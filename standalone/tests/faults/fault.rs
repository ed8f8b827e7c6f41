//! The faults, each from its beginning to its end.

use std::time::Duration;

use contract::topology::USERS_EXCHANGE;
use testkit::wait::until_holds;

use crate::bus_faults::{delete_exchange, delete_queue, replay};
use crate::check::read_seqs;
use crate::rig::{BusBetween, REPLAY_LIMIT, Rig, Side};
use crate::round::Round;

/// How long a fail point may take to be reached under load.
const FAIL_POINT_BOUND: Duration = Duration::from_secs(20);

/// What is done to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing but the load.
    Nothing,
    /// `kill -9`, and a restart after a while.
    Killed(Side),
    BothKilled,
    BrokerKilled,
    BrokerStopped,
    /// Stopped, and started again with nothing of what it had.
    BrokerWiped,
    QueueDeleted,
    ExchangeDeleted,
    /// The broker has no memory left for those who publish.
    MemoryAlarm,
    /// All connections of the side are closed, and none can be opened.
    Cut(Side),
    /// Nothing travels, and nobody is told.
    Stalled(Side),
    /// The side loses its connections; the broker believes that they live.
    HalfOpen(Side),
    /// Events come again, in another order, garbled and forged.
    Replayed,
    DatabaseRemoved,
    ProjectionRestored,
    UsersRestored,
    DiskFull(Side),
    /// The process ends at the fail point of this name.
    Crash(Side, &'static str),
}

use Fault::{
    BothKilled, BrokerKilled, BrokerStopped, BrokerWiped, Crash, Cut, DatabaseRemoved, DiskFull,
    ExchangeDeleted, HalfOpen, Killed, MemoryAlarm, Nothing, ProjectionRestored, QueueDeleted,
    Replayed, Stalled, UsersRestored,
};
use Side::{Auth, User};

pub(crate) const PROCESSES: [Fault; 3] = [Killed(User), Killed(Auth), BothKilled];
pub(crate) const BROKER: [Fault; 7] = [
    BrokerKilled,
    BrokerStopped,
    BrokerWiped,
    QueueDeleted,
    ExchangeDeleted,
    MemoryAlarm,
    Replayed,
];
pub(crate) const NETWORK: [Fault; 6] =
    [Cut(User), Cut(Auth), Stalled(User), Stalled(Auth), HalfOpen(User), HalfOpen(Auth)];
pub(crate) const FILES: [Fault; 5] =
    [DatabaseRemoved, ProjectionRestored, UsersRestored, DiskFull(User), DiskFull(Auth)];
/// Every step between the commit and the acknowledgement.
pub(crate) const CRASHES: [Fault; 5] = [
    Crash(User, "committed"),
    Crash(User, "log_read"),
    Crash(User, "published"),
    Crash(Auth, "applied"),
    Crash(Auth, "staged"),
];
/// Those that one process has as well.
pub(crate) const IN_ONE_PROCESS: [Fault; 8] = [
    Killed(User),
    DatabaseRemoved,
    ProjectionRestored,
    DiskFull(User),
    Crash(User, "committed"),
    Crash(User, "published"),
    Crash(User, "applied"),
    Crash(User, "staged"),
];

impl Fault {
    /// Begins it under load, and ends it. The fault has ended when this returns.
    pub(crate) async fn happen(self, rig: &mut Rig, round: &mut Round) {
        match self {
            Nothing => {}
            Killed(side) => kill_and_start(rig, round, &[side]).await,
            BothKilled => kill_and_start(rig, round, &[User, Auth]).await,
            BrokerKilled | BrokerStopped | BrokerWiped => self.restart_broker(rig, round).await,
            QueueDeleted => delete_queue(&bus(rig).broker),
            ExchangeDeleted => delete_exchange(&bus(rig).broker, USERS_EXCHANGE),
            MemoryAlarm => {
                bus(rig).broker.control(&["set_vm_memory_high_watermark", "0.0000001"]);
                round.go_on(1_500).await;
                bus(rig).broker.control(&["set_vm_memory_high_watermark", "0.8"]);
            }
            Cut(side) | Stalled(side) | HalfOpen(side) => self.disturb(side, rig, round).await,
            Replayed => replay(&bus(rig).broker, round).await,
            DatabaseRemoved => {
                rig.kill(Auth);
                rig.remove_database(Auth);
                rig.start(User, None);
                rig.start(Auth, None);
            }
            ProjectionRestored => restore_projection(rig, round).await,
            UsersRestored => restore_users(rig, round).await,
            DiskFull(side) => {
                rig.disk(side).fill();
                round.go_on(1_500).await;
                rig.disk(side).make_room();
            }
            Crash(side, name) => crash(rig, round, side, name).await,
        }
    }

    async fn restart_broker(self, rig: &mut Rig, round: &mut Round) {
        let broker = &mut rig.bus.as_mut().unwrap().broker;
        if self == BrokerKilled {
            broker.kill().await;
        } else {
            broker.stop().await;
        }
        if self == BrokerWiped {
            broker.wipe();
        }
        round.go_on(500).await;
        broker.restart().await;
    }

    async fn disturb(self, side: Side, rig: &Rig, round: &mut Round) {
        let network = bus(rig).network(side);
        match self {
            Cut(_) => network.cut(),
            Stalled(_) => network.stall(),
            _ => network.half_open(),
        }
        round.go_on(2_000).await;
        network.heal();
    }
}

fn bus(rig: &Rig) -> &BusBetween {
    rig.bus.as_ref().unwrap_or_else(|| panic!("this fault needs a broker"))
}

async fn kill_and_start(rig: &mut Rig, round: &mut Round, sides: &[Side]) {
    for side in sides {
        rig.kill(*side);
    }
    round.go_on(300).await;
    for side in sides {
        rig.start(*side, None);
    }
}

/// An older copy comes back; the rest of the history has to be applied again.
async fn restore_projection(rig: &mut Rig, round: &mut Round) {
    rig.back_up(Auth);
    round.go_on(700).await;
    rig.kill(Auth);
    rig.restore(Auth);
    rig.start(User, None);
    rig.start(Auth, None);
}

/// An older copy comes back, and with it an older truth: what was acknowledged since is gone, by
/// the will of whoever restored it, and must be gone from both sides.
async fn restore_users(rig: &mut Rig, round: &mut Round) {
    rig.back_up(User);
    round.go_on(700).await;
    round.stop_load();
    rig.kill(User);
    rig.restore(User);
    rig.start(User, None);
    round.start_load_anew(rig);
    round.go_on(300).await;
}

async fn crash(rig: &mut Rig, round: &mut Round, side: Side, name: &str) {
    if name == "staged" {
        // So long that whoever has nothing gets a snapshot.
        let (users, projection) = (rig.database(User), rig.database(Auth));
        let is_long = || read_seqs(&users, &projection).is_ok_and(|(head, _)| head > REPLAY_LIMIT);
        until_holds("the log is long", FAIL_POINT_BOUND, is_long).await;
    }
    rig.kill(side);
    if name == "staged" {
        rig.remove_database(Auth);
    }
    let passes = if name == "staged" { 1 } else { 1 + round.random.below(8) };
    rig.start(side, Some(&format!("{name}:{passes}")));
    let what = format!("the process ends at {name}");
    until_holds(&what, FAIL_POINT_BOUND, || rig.has_died(side)).await;
    rig.kill(side);
    rig.start(side, None);
}
