//! All figures in their order.

use crate::figures::{bus, hashing, latency, memory, overload, reads, writes};
use crate::system::System;
use crate::table::{Column, Figure, print, to_json};
use crate::wrk::Wrk;

/// Measures with each number of users, and prints.
pub(crate) async fn run(json: bool, only: Option<&str>, numbers: &[i64]) {
    let wrk = Wrk::new();
    let mut columns = Vec::new();
    for &users in numbers {
        columns.push(Column { users, figures: measure(users, only, &wrk).await });
    }
    if json {
        println!("{:#}", to_json(&columns));
    } else {
        print(&columns);
    }
}

async fn measure(users: i64, only: Option<&str>, wrk: &Wrk) -> Vec<Figure> {
    let is_asked = |group: &str| only.is_none_or(|only| group == only);
    let mut system = System::start(users).await;
    let mut figures = Vec::new();
    if is_asked("memory") {
        let (restarted, measured) = memory::measure(system, wrk).await;
        system = restarted;
        figures.extend(measured);
    }
    if is_asked("hashing") {
        figures.extend(hashing::measure(&system, wrk));
    }
    if is_asked("overload") {
        figures.extend(overload::measure(&system, wrk).await);
    }
    if is_asked("latency") {
        figures.extend(latency::measure(&system, wrk).await);
    }
    if is_asked("reads") {
        figures.extend(reads::measure(&system, wrk).await);
    }
    if is_asked("writes") {
        figures.extend(writes::measure(&system, wrk).await);
    }
    if is_asked("bus") {
        let (_, measured) = bus::measure(system, wrk).await;
        figures.extend(measured);
    }
    figures
}
