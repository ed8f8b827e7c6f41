//! Measures Lockstep against the floors of the machine that it runs on. `scripts/bench.sh` builds
//! everything and calls it; `docs/performance.md` explains the output.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::cast_precision_loss,
    reason = "a measurement: a panic ends it, what it prints is its purpose, and counts are small"
)]

mod cold_start;
mod figures;
mod fleet;
mod flood;
mod floors;
mod gate;
mod hot_paths;
mod probe;
mod raw_http;
mod suite;
mod system;
mod table;
mod user_processes;
mod wrk;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use hot_paths::HotPath;
use shared::telemetry::{LogFormat, init_logging};
use suite::Group;

/// Ratios of Lockstep's speed to the floors of this machine
#[derive(Parser)]
#[command(name = "bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure everything and print one table
    Ratios {
        /// Print JSON instead
        #[arg(long)]
        json: bool,
        /// Measure only one group
        #[arg(long, value_name = "GROUP")]
        only: Option<Group>,
        /// Numbers of users to measure with
        #[arg(long, value_name = "N", value_delimiter = ',', default_value = "1000,1000000")]
        users: Vec<i64>,
    },
    /// Count the instructions of the hot paths and compare them with the recorded counts
    Gate {
        /// Record the counts instead
        #[arg(long)]
        record: bool,
        /// The file with the recorded counts
        #[arg(long, default_value = "bench/instructions.json", value_name = "FILE")]
        file: PathBuf,
    },
    /// Let an empty auth_service load all users, and print how long that takes and how much memory
    ColdStart {
        /// How many users
        #[arg(long, value_name = "N", default_value = "100000")]
        users: i64,
    },
    /// Run one of the hot paths this many times, under valgrind
    #[command(hide = true)]
    HotPath {
        /// Which path
        path: HotPath,
        /// How often
        times: u64,
    },
    /// The bare handler that is the floor of reads; runs until it is killed
    #[command(hide = true)]
    BareHandler {
        /// The address where it listens
        listen: SocketAddr,
    },
    /// The handler with one SELECT that is the floor of reads on PostgreSQL; runs until it is killed
    #[command(hide = true)]
    SelectHandler {
        /// The address where it listens
        listen: SocketAddr,
        /// Where the users are
        #[arg(long, env)]
        database_url: String,
        /// Prepare the statement once for each connection
        #[arg(long)]
        prepared: bool,
    },
}

#[actix_web::main]
async fn main() -> ExitCode {
    match Cli::parse().command {
        Command::Ratios { json, only, users } => suite::run(json, only, &users).await,
        Command::ColdStart { users } => cold_start::run(users).await,
        Command::Gate { record, file } => return gate::run(&file, record),
        Command::HotPath { path, times } => {
            // A request's line in the access log is part of its path.
            let _log = init_logging("info", LogFormat::Text).unwrap();
            path.go(times).await;
        }
        Command::BareHandler { listen } => floors::bare_handler::serve(listen).await,
        Command::SelectHandler { listen, database_url, prepared } => {
            floors::select_handler::serve(listen, database_url, prepared).await;
        }
    }
    ExitCode::SUCCESS
}
