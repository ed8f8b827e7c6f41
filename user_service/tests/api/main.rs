//! The service from outside: the production `start` on port 0, asked over HTTP.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod administration;
mod bad_input;
mod broken_requests;
mod changing_users;
mod concurrency;
mod connections;
mod console;
mod cors;
mod creating_users;
mod cutting_off;
mod direct_way;
mod idempotency;
mod listing_users;
mod log_and_bus;
mod operations;
mod outside_database;
mod owners;
mod passwords;
mod raw_socket;
mod reading_users;
mod restarting;
mod test_app;
