//! The kit that both services are built with. Nothing here knows either service.
//!
//! The wire types are in the crate `contract`, the core of Argon2id in `argon2id`.

pub mod actors;
pub mod admin;
pub mod audit;
pub mod backup;
pub mod bus;
pub mod capacity;
pub mod checking;
pub mod cli;
pub mod clock;
pub mod config;
pub mod fail_point;
pub mod file_mark;
pub mod file_place;
pub mod full_disk;
pub mod hashing;
pub mod http;
pub mod idempotency;
pub mod identity;
pub mod log_sync;
pub mod postgres;
pub mod regular_file;
pub mod secrets;
pub mod sqlite;
pub mod store_error;
pub mod telemetry;
pub mod tokens;
pub mod traces;
