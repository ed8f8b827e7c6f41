//! What is done to a fleet, each from its beginning to its end.

use std::time::Duration;

use contract::topology::TOKENS_EXCHANGE;
use testkit::rabbitmq::RabbitMq;

use super::fleet::{Fleet, PROJECTION, TOKENS};
use super::recorder::Recorder;
use super::sites::HASTY;
use crate::bus_faults::delete_exchange;
use crate::random::Random;

/// How long a replica is without its network: longer than it takes to say that it is cut off.
const CUT_FOR: Duration = Duration::from_secs(7);
/// How long a process stands still: longer than a proof of freshness holds.
const SUSPENDED_FOR: Duration = Duration::from_secs(4);
/// How long other things last.
const A_WHILE: Duration = Duration::from_millis(700);

/// What is done to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplicaFault {
    /// Nothing but the load.
    Nothing,
    /// `kill -9`, and a restart after a while.
    Killed(usize),
    /// SIGSTOP, and SIGCONT after a while.
    Suspended(usize),
    /// Killed, and started again with an empty disk.
    Wiped(usize),
    /// An older copy of its `tokens.db` comes back.
    TokensRestored(usize),
    /// An older copy of its `projection.db` comes back.
    ProjectionRestored(usize),
    /// Older copies of both come back.
    AllRestored(usize),
    /// All its connections to the broker are closed, and none can be opened.
    Cut(usize),
    /// Nothing travels to or from the broker, and it is not told.
    Stalled(usize),
    /// It loses its connections to the broker, which believes that they live.
    HalfOpen(usize),
    BrokerKilled,
    /// Stopped, and started again with nothing of what it had.
    BrokerWiped,
    /// The exchange of the replicas goes, and every binding with it.
    ExchangeDeleted,
    /// Everything that the replicas sent each other for a while comes again, twice and in another order.
    Replayed,
    UsersKilled,
}

use ReplicaFault::{
    AllRestored, BrokerKilled, BrokerWiped, Cut, ExchangeDeleted, HalfOpen, Killed, Nothing,
    ProjectionRestored, Replayed, Stalled, Suspended, TokensRestored, UsersKilled, Wiped,
};

/// Those that all replicas can have.
const OF_ANY: [fn(usize) -> ReplicaFault; 6] =
    [Killed, Suspended, ProjectionRestored, Cut, Stalled, HalfOpen];
/// Those that lose what one disk has. One that answers a logout without waiting for the bus is not
/// among the replicas that have them: an unconfirmed logout and the loss of the disk that has it are
/// the two faults at once that docs/security.md names.
const OF_CAREFUL: [fn(usize) -> ReplicaFault; 3] = [Wiped, TokensRestored, AllRestored];
const OF_ALL: [ReplicaFault; 6] =
    [Nothing, BrokerKilled, BrokerWiped, ExchangeDeleted, Replayed, UsersKilled];

/// The faults of the default run: each takes about ten seconds.
pub(crate) const BY_DEFAULT: [ReplicaFault; 3] = [AllRestored(0), Wiped(1), HalfOpen(2)];

/// Each fault once, at a replica that can have it.
pub(crate) fn each_once() -> Vec<ReplicaFault> {
    let of_any = OF_ANY.iter().enumerate().map(|(number, fault)| fault(number % 3));
    let of_careful = OF_CAREFUL.iter().enumerate().map(|(number, fault)| fault(number % HASTY));
    of_any.chain(of_careful).chain(OF_ALL).collect()
}

impl ReplicaFault {
    /// One of them at random.
    pub(crate) fn pick(random: &mut Random) -> Self {
        let kinds = OF_ANY.len() + OF_CAREFUL.len() + OF_ALL.len();
        let kind = random.below(kinds);
        if kind < OF_ANY.len() {
            OF_ANY[kind](random.below(3))
        } else if kind < OF_ANY.len() + OF_CAREFUL.len() {
            OF_CAREFUL[kind - OF_ANY.len()](random.below(HASTY))
        } else {
            OF_ALL[kind - OF_ANY.len() - OF_CAREFUL.len()]
        }
    }

    /// Begins it under load, and ends it. The fault has ended when this returns.
    pub(crate) async fn happen(self, fleet: &mut Fleet, random: &mut Random) {
        match self {
            Nothing => last(A_WHILE).await,
            Killed(replica) => {
                fleet.kill(replica);
                last(A_WHILE).await;
                fleet.launch(replica);
            }
            Suspended(replica) => {
                fleet.process(replica).suspend();
                last(SUSPENDED_FOR).await;
                fleet.process(replica).resume();
            }
            Wiped(replica) => {
                fleet.kill(replica);
                fleet.wipe(replica);
                fleet.launch(replica);
            }
            TokensRestored(replica) => restore(fleet, random, replica, &[TOKENS]).await,
            ProjectionRestored(replica) => restore(fleet, random, replica, &[PROJECTION]).await,
            AllRestored(replica) => restore(fleet, random, replica, &[TOKENS, PROJECTION]).await,
            Cut(replica) | Stalled(replica) | HalfOpen(replica) => {
                let network = fleet.network(replica);
                match self {
                    Cut(_) => network.cut(),
                    Stalled(_) => network.stall(),
                    _ => network.half_open(),
                }
                last(CUT_FOR).await;
                network.heal();
            }
            BrokerKilled => {
                fleet.broker.kill().await;
                last(A_WHILE).await;
                fleet.broker.restart().await;
            }
            BrokerWiped => wipe(&mut fleet.broker).await,
            ExchangeDeleted => delete_exchange(&fleet.broker, TOKENS_EXCHANGE),
            Replayed => {
                let recorder = Recorder::start(&fleet.broker).await;
                last(A_WHILE).await;
                recorder.replay(random).await;
            }
            UsersKilled => {
                fleet.kill_users();
                last(A_WHILE).await;
                fleet.start_users();
            }
        }
    }
}

/// The fault lasts so long: that is what is tested.
async fn last(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn wipe(broker: &mut RabbitMq) {
    broker.stop().await;
    broker.wipe();
    last(A_WHILE).await;
    broker.restart().await;
}

async fn restore(fleet: &mut Fleet, random: &mut Random, replica: usize, files: &[&str]) {
    for file in files {
        fleet.back_up(replica, file);
    }
    last(A_WHILE).await;
    fleet.kill(replica);
    for file in files {
        fleet.put_back(replica, file, random.below(2) == 0);
    }
    fleet.launch(replica);
}
