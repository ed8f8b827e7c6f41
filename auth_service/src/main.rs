//! The binary.

use std::process::ExitCode;

use auth_service::cli::AuthServiceBinary;

fn main() -> ExitCode {
    shared::cli::run::<AuthServiceBinary>()
}
