//! All figures in order.

use clap::ValueEnum;

use crate::figures::{bus, hashing, latency, memory, overload, reads, timing, writes};
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
    Timing,
}

/// Measures with each number of users, and prints.
pub(crate) async fn run(json: bool, only: Option<Group>, numbers: &[i64]) {
    let mut groups = only.map_or_else(|| Group::value_variants().to_vec(), |group| vec![group]);
    let mut columns = Vec::new();
    // It creates its own users.
    if let Some(place) = groups.iter().position(|group| *group == Group::Timing) {
        groups.remove(place);
        columns.push(Column { users: timing::USERS, figures: timing::measure().await });
    }
    if !groups.is_empty() {
        columns.extend(measure_with(&groups, numbers).await);
    }
    if json {
        println!("{:#}", to_json(&columns));
    } else {
        print(&columns);
    }
}

async fn measure_with(groups: &[Group], numbers: &[i64]) -> Vec<Column> {
    let wrk = Wrk::new();
    let mut columns = Vec::new();
    for &users in numbers {
        let mut system = System::start(users).await;
        let loaded_after = system.auth_service.ready_after;
        eprintln!("{users} users: auth_service had them after {loaded_after:.2?}");
        let mut figures = Vec::new();
        for &group in groups {
            figures.extend(measure(group, &mut system, &wrk).await);
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
        Group::Timing => Vec::new(),
    }
}
