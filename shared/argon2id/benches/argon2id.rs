//! Our Argon2id against a bare loop of the `argon2` crate: `cargo bench -p argon2id --bench argon2id`.
//!
//! Other load on the machine disturbs both equally, because they alternate in short slices. The
//! result is the median of the ratios of neighbouring slices.

#![expect(clippy::print_stdout, reason = "a measurement is printed")]
#![expect(clippy::unwrap_used, reason = "a failed measurement may stop")]

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use argon2::{Algorithm, Argon2, Version};
use argon2id::{Engine, Inputs, Memory, Params, hash_into};

const HASHES_OF_A_SLICE: u32 = 4;
const PASSWORD: &[u8] = b"testpassword";
const SALT: &[u8] = b"0123456789abcdef";

fn main() {
    // `cargo test --all-targets` also runs benches, to check that they work.
    let rounds = if std::env::args().any(|arg| arg == "--bench") { 41 } else { 1 };
    let cores = thread::available_parallelism().unwrap().get();
    for threads in if cores > 1 { vec![1, cores] } else { vec![1] } {
        println!("{threads} threads, 19456 KiB, 2 passes");
        report(&measure(threads, rounds));
    }
}

/// A contender that computes the same hash repeatedly, in its own memory.
type Hashing = Box<dyn FnMut()>;

fn the_crate() -> Hashing {
    let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params());
    let mut memory = vec![argon2::Block::new(); params().block_count()];
    Box::new(move || {
        let mut output = [0; 32];
        argon2.hash_password_into_with_memory(PASSWORD, SALT, &mut output, &mut memory).unwrap();
    })
}

fn ours(engine: Engine) -> Hashing {
    let params = params();
    let mut memory = Memory::new(params.block_count()).unwrap();
    let inputs = Inputs { password: PASSWORD, salt: SALT, secret: &[] };
    Box::new(move || {
        hash_into(engine, memory.blocks(), &params, &inputs, &mut [0; 32]).unwrap();
    })
}

fn params() -> Params {
    Params::new(19456, 2, 1, Some(32)).unwrap()
}

/// The duration of a hash in each slice, in milliseconds: by thread, round and contender, the crate
/// first.
fn measure(threads: usize, rounds: usize) -> Vec<Vec<f64>> {
    let barrier = Barrier::new(threads);
    thread::scope(|scope| {
        let run = || scope.spawn(|| run_rounds(&barrier, rounds));
        let all: Vec<_> = (0..threads).map(|_| run()).collect();
        all.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    })
}

fn run_rounds(barrier: &Barrier, rounds: usize) -> Vec<Vec<f64>> {
    let mut contenders = vec![the_crate()];
    contenders.extend(Engine::available().into_iter().map(ours));
    // The first use touches the memory.
    for hash in &mut contenders {
        hash();
    }
    let mut round = || {
        let slices = contenders.iter_mut().map(|hash| {
            barrier.wait();
            let started_at = Instant::now();
            (0..HASHES_OF_A_SLICE).for_each(|_| hash());
            started_at.elapsed().as_secs_f64() * 1000.0 / f64::from(HASHES_OF_A_SLICE)
        });
        slices.collect()
    };
    (0..rounds).map(|_| round()).collect()
}

fn report(rounds: &[Vec<f64>]) {
    let crate_ms = median(rounds.iter().map(|slices| slices[0]));
    println!("  argon2 crate {crate_ms:6.2} ms");
    for (n, engine) in (1..).zip(Engine::available()) {
        let ms = median(rounds.iter().map(|slices| slices[n]));
        let ratio = median(rounds.iter().map(|slices| slices[0] / slices[n]));
        println!("  {:12} {ms:6.2} ms, {ratio:.2} x the crate", engine.to_string());
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut values: Vec<_> = values.collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
