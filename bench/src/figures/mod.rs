//! The figures, each measured in the same rounds as its floor.

pub(crate) mod bus;
pub(crate) mod ended_sessions;
pub(crate) mod hashing;
pub(crate) mod latency;
pub(crate) mod memory;
pub(crate) mod overload;
pub(crate) mod postgres;
pub(crate) mod reads;
pub(crate) mod replicas;
pub(crate) mod timing;
pub(crate) mod writes;

/// How often each pair is measured in alternation; the median of the ratios counts.
const ROUNDS: usize = 3;

/// The number of cores, as both the services and the floors count it.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
