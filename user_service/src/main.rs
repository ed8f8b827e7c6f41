//! The binary.

use std::process::ExitCode;

use user_service::cli::UserServiceBinary;

fn main() -> ExitCode {
    shared::cli::run::<UserServiceBinary>()
}
