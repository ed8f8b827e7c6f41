//! Memory use and start time.

use std::time::Duration;

use testkit::sample::median;

use super::cores;
use crate::floors::argon2_loop::MEMORY_KIB;
use crate::system::{Service, System};
use crate::table::{Figure, Wanted};
use crate::wrk::{Load, Script, Wrk};

/// The time after which a newly started service is idle.
const REST: Duration = Duration::from_secs(2);
const STARTS: usize = 3;
const STORM: Load = Load(256, Duration::from_secs(4));

/// Restarts both services several times.
pub(crate) async fn measure(system: &mut System, wrk: &Wrk) -> Vec<Figure> {
    let mut starts = Vec::new();
    for _ in 0..STARTS {
        system.restart().await;
        let slower = system.user_service.ready_after.max(system.auth_service.ready_after);
        starts.push(slower.as_secs_f64() * 1e3);
    }
    tokio::time::sleep(REST).await;
    let idle = [&system.user_service, &system.auth_service].map(Service::memory_mib);
    system.auth_service.forget_peak();
    wrk.run(system.auth_service.address, Script::Login, STORM, system.users);
    let peak = system.auth_service.peak_memory_mib();
    let hashing = cores() as f64 * f64::from(MEMORY_KIB) / 1024.0;
    vec![
        Figure {
            name: "start to /readyz, the slower service",
            value: median(starts),
            unit: " ms",
            wanted: Wanted::AtMost(200.0),
            detail: String::new(),
        },
        Figure {
            name: "memory idle, the larger service",
            value: idle[0].max(idle[1]),
            unit: " MiB",
            wanted: Wanted::AtMost(20.0),
            detail: format!("user_service {:.1} MiB, auth_service {:.1} MiB", idle[0], idle[1]),
        },
        Figure {
            name: "memory at 256 logging in, beyond what they hash with",
            value: peak - hashing,
            unit: " MiB",
            wanted: Wanted::AtMost(40.0),
            detail: format!("{peak:.1} MiB, of which {hashing:.1} MiB for hashing"),
        },
    ]
}
