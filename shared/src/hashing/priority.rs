//! Whoever hashes lets everybody else go first.

/// How much lower, of 40 levels.
///
/// Measured with two hashing threads on two cores, all busy. A thread that wakes to a cheap request
/// waits 2 ms at the same priority (12 ms in one case of a hundred), and 0.1 ms, as if nothing were
/// hashed, at any of these. Two threads that never sleep leave to hashing 25 % of the processor at
/// 5 levels, 10 % at 10, 2 % at 19 and next to nothing with `SCHED_IDLE`. So 10 levels: cheap
/// requests do not notice hashing, and a flood of them does not stop logins.
#[cfg(target_os = "linux")]
const LEVELS: i32 = 10;

/// Lowers the priority of the calling thread. On Linux alone: elsewhere it would be the process's.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(LEVELS) {
        tracing::debug!(%error, "hashing keeps its priority");
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn one_thread_is_lowered_and_the_others_are_not() {
        let before = getpriority_process(None).unwrap();
        let lowered = std::thread::spawn(|| {
            lower();
            getpriority_process(None).unwrap()
        });
        assert_eq!(lowered.join().unwrap(), (before + LEVELS).min(19));
        assert_eq!(getpriority_process(None).unwrap(), before);
    }
}
