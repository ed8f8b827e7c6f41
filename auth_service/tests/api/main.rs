//! The whole service over HTTP, on the in-process bus, with a user_service that the tests drive.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a panic here is a failed test")]

mod attacks;
mod bad_input;
mod cors;
mod direct_way;
mod earlier_versions;
mod faults;
mod following;
mod forge;
mod forged_claims;
mod forged_tokens;
mod freshness;
mod guessing;
mod idempotency;
mod introspection;
mod key_commands;
mod later_versions;
mod login;
mod logout_all;
mod old_heads;
mod poison;
mod random_tokens;
mod refresh;
mod repair;
mod replicas;
mod signing_keys;
mod stamps;
mod stand_ins;
mod test_app;
mod tokens;
mod under_attack;
mod user_service;
