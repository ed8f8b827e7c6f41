//! Helpers for the tests of several crates: a private broker, faults, and waiting for a state.
//!
//! A crate adds this crate to its dev-dependencies by the feature `testkit`. Panics are intended
//! here: a panic fails the test that called.
#![expect(clippy::panic, clippy::expect_used, reason = "a panic here is a failed test")]

pub mod certificates;
pub mod faketime;
pub mod mute_server;
pub mod pgbouncer;
pub mod postgres;
pub mod rabbitmq;
pub mod raw_amqp;
pub mod sample;
pub mod service_process;
pub mod tcp_proxy;
pub mod wait;
