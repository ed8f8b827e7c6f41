//! What is done to the system, each from its beginning to its end.

use std::time::Duration;

use testkit::wait::until_holds;

use super::fleet::{Fleet, USERS};
use super::round::Round;

/// Longer than a lease.
const SUSPENDED_FOR: Duration = Duration::from_secs(4);
/// How long other things last.
const A_WHILE: Duration = Duration::from_millis(700);
/// A standby has received everything by then.
const PATIENCE: Duration = Duration::from_secs(20);

/// What is done to the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ScaledFault {
    /// Nothing but the load.
    Nothing,
    /// `kill -9` of this user_service, in the middle of a group, and a restart.
    UsersKilled(usize),
    /// The same for the one that publishes.
    HolderKilled,
    /// SIGSTOP of the one that publishes, and SIGCONT.
    HolderSuspended,
    /// `pg_ctl stop -m immediate`, and a restart.
    DatabaseCrashed,
    /// A synchronous standby takes over from a primary that crashes: nothing is lost.
    StandbyTakesOver,
    /// A standby takes over that has not received the last writes: they are lost on both sides alike.
    NeverSent,
    /// This user_service loses its connections to the database, which believes that they live.
    HalfOpen(usize),
    /// Nothing travels between this user_service and the database for a while.
    Stalled(usize),
    /// PgBouncer is killed, and started again.
    PoolerKilled,
    /// `kill -9` of a node of RabbitMQ, and a restart.
    BrokerKilled(usize),
    /// The same for two of three at once.
    TwoBrokersKilled,
    /// A node loses its disk, and joins the cluster anew.
    BrokerWiped(usize),
    /// SIGSTOP of a node, and SIGCONT: the others do not reach it.
    BrokerSuspended(usize),
    /// A node and the two others do not reach each other, while clients reach all of them.
    BrokerParted(usize),
}

use ScaledFault::{
    BrokerKilled, BrokerParted, BrokerSuspended, BrokerWiped, DatabaseCrashed, HalfOpen,
    HolderKilled, HolderSuspended, NeverSent, Nothing, PoolerKilled, Stalled, StandbyTakesOver,
    TwoBrokersKilled, UsersKilled,
};

/// The faults of the default run: about five seconds each.
pub(crate) const BY_DEFAULT: [ScaledFault; 2] = [StandbyTakesOver, NeverSent];

/// Each fault that is possible with so many nodes of RabbitMQ.
pub(crate) fn all(brokers: usize) -> Vec<ScaledFault> {
    let mut all = vec![
        Nothing,
        UsersKilled(0),
        UsersKilled(1),
        HolderKilled,
        HolderSuspended,
        DatabaseCrashed,
        StandbyTakesOver,
        NeverSent,
        HalfOpen(0),
        HalfOpen(1),
        Stalled(0),
        PoolerKilled,
        BrokerKilled(0),
    ];
    if brokers == 3 {
        let of_cluster = [
            BrokerKilled(1),
            TwoBrokersKilled,
            BrokerWiped(1),
            BrokerWiped(2),
            BrokerSuspended(0),
            BrokerParted(0),
            BrokerParted(2),
        ];
        all.extend(of_cluster);
    }
    all
}

impl ScaledFault {
    /// Begins it under load, and ends it. The fault has ended when this returns.
    pub(crate) async fn happen(self, fleet: &mut Fleet, round: &mut Round) {
        match self {
            Nothing => last(A_WHILE).await,
            UsersKilled(number) => kill(fleet, number % USERS).await,
            HolderKilled => {
                let holder = fleet.holder().await;
                kill(fleet, holder).await;
            }
            HolderSuspended => {
                let holder = fleet.holder().await;
                fleet.process(holder).suspend();
                last(SUSPENDED_FOR).await;
                fleet.process(holder).resume();
            }
            DatabaseCrashed => {
                fleet.database.kill().await;
                last(A_WHILE).await;
                fleet.database.restart().await;
            }
            StandbyTakesOver => take_over(fleet).await,
            NeverSent => lose_what_was_never_sent(fleet, round).await,
            HalfOpen(number) => {
                fleet.way(number).half_open();
                last(SUSPENDED_FOR).await;
                fleet.way(number).heal();
            }
            Stalled(number) => {
                fleet.way(number).stall();
                last(SUSPENDED_FOR).await;
                fleet.way(number).heal();
            }
            PoolerKilled => {
                fleet.pooler.kill();
                last(A_WHILE).await;
                fleet.pooler.restart().await;
            }
            BrokerKilled(_) | TwoBrokersKilled | BrokerWiped(_) | BrokerSuspended(_)
            | BrokerParted(_) => self.happen_to_brokers(fleet).await,
        }
    }

    async fn happen_to_brokers(self, fleet: &mut Fleet) {
        let brokers = &mut fleet.brokers[..];
        match self {
            BrokerKilled(node) => {
                brokers[node].kill().await;
                last(A_WHILE).await;
                brokers[node].restart().await;
            }
            TwoBrokersKilled => {
                brokers[0].kill().await;
                brokers[1].kill().await;
                last(SUSPENDED_FOR).await;
                brokers[1].restart().await;
                brokers[0].restart().await;
            }
            BrokerWiped(node) => {
                brokers[node].kill().await;
                let (before, rest) = brokers.split_at_mut(node);
                rest[0].join_again(&before[0]).await;
            }
            BrokerSuspended(node) => {
                brokers[node].suspend();
                last(SUSPENDED_FOR).await;
                brokers[node].resume();
            }
            BrokerParted(node) => {
                brokers.swap(0, node);
                if let [parted, others @ ..] = brokers {
                    let others: Vec<_> = others.iter().collect();
                    parted.part_from(&others);
                    last(SUSPENDED_FOR).await;
                    parted.reunite(&others).await;
                }
                brokers.swap(0, node);
            }
            other => panic!("{other:?} is nothing that happens to a broker"),
        }
    }
}

/// The fault lasts so long: that is what is tested.
async fn last(time: Duration) {
    tokio::time::sleep(time).await;
}

async fn kill(fleet: &mut Fleet, number: usize) {
    fleet.kill(number);
    last(A_WHILE).await;
    fleet.launch(number);
}

async fn take_over(fleet: &mut Fleet) {
    let standby = fleet.database.start_standby().await;
    fleet.database.wait_for_standby();
    last(A_WHILE).await;
    fleet.database.kill().await;
    fleet.hand_over_to(standby);
}

async fn lose_what_was_never_sent(fleet: &mut Fleet, round: &mut Round) {
    let standby = fleet.database.start_standby().await;
    // What is acknowledged from here on may be lost, and is not to be counted.
    round.stop_load();
    until_holds("the standby has it all", PATIENCE, || standby.is_level_with(&fleet.database))
        .await;
    standby.stop_receiving();
    round.write_for_nothing(fleet, A_WHILE).await;
    fleet.database.kill().await;
    fleet.hand_over_to(standby);
}
