//! Reads and verifications, beside a handler that answers a constant.

use std::time::Duration;

use super::ROUNDS;
use crate::floors::bare_handler::BareHandler;
use crate::sample::median;
use crate::system::System;
use crate::table::{Figure, Wanted};
use crate::wrk::{Script, Wrk};

/// As many clients as with the logins.
const LOAD: (u32, Duration) = (32, Duration::from_secs(3));

pub(crate) async fn measure(system: &System, wrk: &Wrk) -> Vec<Figure> {
    let bare = BareHandler::start();
    let header = format!("Authorization: Bearer {}", system.token().await);
    let mut floors = Vec::new();
    let (mut reads, mut verifications) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        floors.push(wrk.script(bare.address, Script::Read, LOAD, system.users).good_per_s);
        let at = system.user_service.address;
        reads.push(wrk.script(at, Script::Read, LOAD, system.users).good_per_s);
        let at = system.auth_service.address;
        verifications.push(wrk.get(at, "/verify", Some(header.clone()), LOAD).good_per_s);
    }
    let figure = |name, of: &[f64]| Figure {
        name,
        value: median(of.iter().zip(&floors).map(|(ours, floor)| ours / floor)),
        unit: "",
        wanted: Wanted::AtLeast(0.7),
        detail: format!("{:.0}/s, bare {:.0}/s", median(of.to_vec()), median(floors.clone())),
    };
    vec![
        figure("GET /users/{id} / bare handler", &reads),
        figure("GET /verify / bare handler", &verifications),
    ]
}
