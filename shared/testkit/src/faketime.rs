//! A wall clock that is wrong, by Debian's faketime.

use std::path::Path;

/// Without its program: `faketime` would be the process that is killed.
const LIBRARY: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

/// The library that a process preloads (`LD_PRELOAD`).
///
/// # Panics
/// It is not installed.
pub fn library() -> &'static str {
    assert!(Path::new(LIBRARY).exists(), "{LIBRARY} is missing: scripts/install.sh faketime");
    LIBRARY
}
