//! The `argon2` crate in a loop, on one thread per core.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use argon2::{Algorithm, Argon2, Block, Params, Version};

/// What both services hash with by default: 19 MiB, two passes, one lane.
pub(crate) const MEMORY_KIB: u32 = 19_456;
const ITERATIONS: u32 = 2;

/// Hashes per second. The memory is reused, which is the fastest way to use the crate.
pub(crate) fn hashes_per_s(threads: usize, time: Duration) -> f64 {
    let (stop, count) = (AtomicBool::new(false), AtomicU64::new(0));
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| hash_until(&stop, &count));
        }
        thread::sleep(time);
        stop.store(true, Ordering::Relaxed);
    });
    count.load(Ordering::Relaxed) as f64 / started.elapsed().as_secs_f64()
}

fn hash_until(stop: &AtomicBool, count: &AtomicU64) {
    let params = Params::new(MEMORY_KIB, ITERATIONS, 1, Some(32)).unwrap();
    let mut memory = vec![Block::new(); params.block_count()];
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let mut output = [0; 32];
    while !stop.load(Ordering::Relaxed) {
        let salt = b"sixteen bytes at";
        argon2
            .hash_password_into_with_memory(b"testpassword", salt, &mut output, &mut memory)
            .unwrap();
        count.fetch_add(1, Ordering::Relaxed);
    }
}
