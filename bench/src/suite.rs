//! All figures in order.

use clap::ValueEnum;

use crate::figures::{
    bus, hashing, latency, memory, overload, postgres, reads, replicas, timing, writes,
};
use crate::system::System;
use crate::table::{Column, Figure, print, to_json};
use crate::wrk::Wrk;

/// Figures that are measured together.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Group {
    Memory,
    Hashing,
    Overload,
    Latency,
    Reads,
    Writes,
    Bus,
    Replicas,
    Timing,
    /// Takes minutes, so it is measured only if it is asked for.
    Postgres,
}

impl Group {
    /// It starts a system of its own, whatever the number of users.
    fn has_own_system(self) -> bool {
        matches!(self, Self::Replicas | Self::Timing | Self::Postgres)
    }

    /// What is measured if nobody asks for one group.
    fn usual() -> Vec<Self> {
        let all = Self::value_variants().iter().copied();
        all.filter(|group| *group != Self::Postgres).collect()
    }
}

/// Measures with each number of users, and prints.
pub(crate) async fn run(json: bool, only: Option<Group>, numbers: &[i64]) {
    let groups = only.map_or_else(Group::usual, |group| vec![group]);
    let (own, common): (Vec<Group>, Vec<Group>) =
        groups.into_iter().partition(|group| group.has_own_system());
    let wrk = Wrk::new();
    let mut columns = Vec::new();
    for group in own {
        columns.push(measure_alone(group, &wrk).await);
    }
    if !common.is_empty() {
        columns.extend(measure_with(&common, numbers, &wrk).await);
    }
    if json {
        println!("{:#}", to_json(&columns));
    } else {
        print(&columns);
    }
}

async fn measure_alone(group: Group, wrk: &Wrk) -> Column {
    match group {
        Group::Replicas => Column { users: replicas::USERS, figures: replicas::measure(wrk).await },
        Group::Postgres => Column { users: postgres::USERS, figures: postgres::measure(wrk).await },
        _ => Column { users: timing::USERS, figures: timing::measure().await },
    }
}

async fn measure_with(groups: &[Group], numbers: &[i64], wrk: &Wrk) -> Vec<Column> {
    let mut columns = Vec::new();
    for &users in numbers {
        let mut system = System::start(users).await;
        let loaded_after = system.auth_service.ready_after;
        eprintln!("{users} users: auth_service had them after {loaded_after:.2?}");
        let mut figures = Vec::new();
        for &group in groups {
            figures.extend(measure(group, &mut system, wrk).await);
        }
        columns.push(Column { users, figures });
    }
    columns
}

async fn measure(group: Group, system: &mut System, wrk: &Wrk) -> Vec<Figure> {
    match group {
        Group::Memory => memory::measure(system, wrk).await,
        Group::Hashing => hashing::measure(system, wrk),
        Group::Overload => overload::measure(system, wrk).await,
        Group::Latency => latency::measure(system, wrk).await,
        Group::Reads => reads::measure(system, wrk).await,
        Group::Writes => writes::measure(system, wrk).await,
        Group::Bus => bus::measure(system, wrk).await,
        // Measured before, without this system.
        Group::Replicas | Group::Timing | Group::Postgres => Vec::new(),
    }
}
