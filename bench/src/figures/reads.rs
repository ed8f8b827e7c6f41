//! Reads and verifications, beside a handler that answers a constant.

use std::time::Duration;

use testkit::sample::median;

use super::ROUNDS;
use crate::floors::bare_handler;
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk};

/// As many clients as for the logins.
const LOAD: Load = Load(32, Duration::from_secs(3));

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let bare = bare_handler::start();
    let token = system.token().await;
    let run = |at, script| wrk.run(at, script, LOAD, system.users).good_per_s();
    let read = |at| run(at, Script::Read);
    let verify = |at| run(at, Script::Verify { token: &token });
    // Each with the same requests as its floor, because `wrk` itself also uses the cores.
    let (mut reads, mut verifications) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        reads.push((read(system.user_service.address), read(bare.address)));
        verifications.push((verify(system.auth_service.address), verify(bare.address)));
    }
    vec![
        figure("GET /users/{id} / bare handler", &reads),
        figure("GET /verify / bare handler", &verifications),
    ]
}

fn figure(name: &'static str, pairs: &[(f64, f64)]) -> Figure {
    let (ours, bare) =
        (median(pairs.iter().map(|pair| pair.0)), median(pairs.iter().map(|pair| pair.1)));
    Figure {
        name,
        value: median(pairs.iter().map(|(ours, bare)| ours / bare)),
        unit: "",
        wanted: Wanted::AtLeast(0.7),
        detail: format!("{ours:.0}/s, bare {bare:.0}/s"),
    }
}
