//! Hashing threads run at a lower priority than all other threads.

/// How much lower, of 40 levels.
///
/// Measured with two hashing threads on two cores that other programs used too. In the quietest of
/// three runs, a thread that wakes for a cheap request waited 2.0 ms at the same priority, and 0.1
/// ms at any lower priority, the same as without hashing (medians). One wait in a hundred was
/// longer than 12 ms at the same priority, 7 ms at 10 levels, and 4 ms without hashing. The other
/// runs were too noisy to compare waits. Against two threads that never sleep, hashing got half of
/// the processor time at the same priority, 25 to 40 % at 5 levels, 6 to 11 % at 10, and as little
/// as 2 % at 19 and 0.5 % with `SCHED_IDLE`. So we use 10 levels: cheap requests go first, and a
/// flood of them does not stop logins.
#[cfg(target_os = "linux")]
const LEVELS: i32 = 10;

/// Lowers the priority of the calling thread. Only on Linux: elsewhere it would affect the whole
/// process.
pub(super) fn lower() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::nice(LEVELS) {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "cannot lower the priority of a hashing thread"
        );
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
