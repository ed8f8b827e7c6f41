//! Durable changes, beside one commit for each.

use std::time::Duration;

use testkit::sample::{Sample, median};

use super::ROUNDS;
use crate::floors::commits::{Commits, fdatasync};
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk};

const FLOOR_TIME: Duration = Duration::from_secs(2);
const LOAD: Load = Load(64, Duration::from_secs(4));

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let directory = system.directory.path();
    let mut commits = Commits::prepare(directory, system.users);
    let (mut floors, mut ours, mut syncs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        syncs.push(fdatasync(directory));
        floors.push(commits.per_s(FLOOR_TIME));
        let at = system.user_service.address;
        ours.push(wrk.run(at, Script::Rename, LOAD, system.users).good_per_s());
        // auth_service must have caught up before the floor is measured.
        system.level().await;
    }
    vec![Figure {
        name: "PUT /users/{id} at 64 clients / one commit for each write",
        value: median(ours.iter().zip(&floors).map(|(ours, floor)| ours / floor)),
        unit: "",
        wanted: Wanted::AtLeast(10.0),
        detail: format!(
            "{:.0}/s, one by one {:.0}/s; fdatasync {:.2} ms",
            median(ours),
            median(floors),
            median(syncs.iter().map(Sample::median))
        ),
    }]
}
