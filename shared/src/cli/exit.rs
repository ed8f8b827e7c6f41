//! The exit codes, as `sysexits.h` has them.

/// It was not done.
pub const FAILED: u8 = 1;
/// Some of the input is wrong, or a file is damaged (`EX_DATAERR`).
pub const DATA: u8 = 65;
/// A file is missing or cannot be read (`EX_NOINPUT`).
pub const NO_INPUT: u8 = 66;
/// The service is not running (`EX_UNAVAILABLE`).
pub const UNAVAILABLE: u8 = 69;
/// A file cannot be written, or would be overwritten (`EX_CANTCREAT`).
pub const CANT_CREATE: u8 = 73;
/// The same may work later (`EX_TEMPFAIL`).
pub const TEMPORARY: u8 = 75;
/// A setting is wrong (`EX_CONFIG`).
pub const CONFIG: u8 = 78;
/// A signal asked to stop: as shells have it.
pub const INTERRUPTED: u8 = 130;
