//! The publisher's lease: which of the processes behind one log publishes it.
//!
//! It saves messages, and keeps nothing correct: of two that publish at once, followers drop what
//! comes twice. So it needs no fencing.

use std::time::Duration;

use contract::Position;

/// How long the lease holds without being renewed: after the holder's death nobody publishes for so
/// long. It is renewed three times as often.
pub const LEASE_LENGTH: Duration = Duration::from_secs(3);

/// "I publish, or would": takes the lease if it is free, and renews it if it is one's own.
#[derive(Clone, Copy, Debug)]
pub struct LeaseClaim {
    /// The last record that the bus has confirmed to the claimant, if it has published any. The
    /// database records it if the log has it, and never goes back.
    pub confirmed: Option<Position>,
    /// For how long the lease is wanted, [`LEASE_LENGTH`] at most. Zero offers it to whoever claims
    /// it next; until then it stays the claimant's.
    pub length: Duration,
}

/// Who has the lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The holder, for operators: `HOST/PROCESS`.
    pub holder: String,
    /// The claimant is the holder.
    pub is_ours: bool,
    /// The last record that the bus has confirmed to any holder, 0 before the first: publishing goes
    /// on after it.
    pub published: i64,
    /// How long it holds from now on.
    pub left: Duration,
}

/// What operators know this process by.
pub(super) fn own_name() -> String {
    // In a container this is its id.
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}/{}", host.trim(), std::process::id())
}
