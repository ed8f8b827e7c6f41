//! Logins and creations, which mainly compute Argon2id, beside the `argon2` crate in a loop.

use std::time::Duration;

use testkit::sample::median;

use super::{ROUNDS, cores};
use crate::floors::argon2_loop::hashes_per_s;
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk};

const FLOOR_TIME: Duration = Duration::from_secs(3);
const LOAD: Load = Load(32, Duration::from_secs(5));

/// With AVX-512, a build for every processor must be faster than the crate's default.
fn wanted_of_logins() -> f64 {
    #[cfg(target_arch = "x86_64")]
    if std::is_x86_feature_detected!("avx512f") {
        return 1.4;
    }
    0.97
}

pub(crate) fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let (auth, users) = (system.auth_service.address, system.user_service.address);
    let mut floors = Vec::new();
    let (mut logins, mut creations) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(hashes_per_s(cores(), FLOOR_TIME));
        logins.push(wrk.run(auth, Script::Login, LOAD, system.users).good_per_s());
        creations.push(wrk.run(users, Script::Create, LOAD, system.users).good_per_s());
    }
    let figure = |name, wanted, of: &[f64]| Figure {
        name,
        value: median(of.iter().zip(&floors).map(|(ours, floor)| ours / floor)),
        unit: "",
        wanted: Wanted::AtLeast(wanted),
        detail: format!("{:.1}/s, bare loop {:.1}/s", median(of.to_vec()), median(floors.clone())),
    };
    vec![
        figure("logins at 32 clients / bare argon2 loop", wanted_of_logins(), &logins),
        figure("creations at 32 clients / bare argon2 loop", 0.95, &creations),
    ]
}
