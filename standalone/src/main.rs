//! The binary: both services in one process.

use std::process::ExitCode;

use standalone::cli::StandaloneBinary;

fn main() -> ExitCode {
    shared::cli::run::<StandaloneBinary>()
}
