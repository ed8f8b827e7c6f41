//! What tests of several crates need: a broker of their own, faults, and waiting for a state.
//!
//! A crate asks for it by the feature `testkit` among its dev-dependencies. Here a panic is the
//! point: it fails the test that asked.
#![expect(clippy::panic, clippy::expect_used, reason = "a panic here is a failed test")]

pub mod mute_server;
pub mod rabbitmq;
pub mod raw_amqp;
pub mod service_process;
pub mod tcp_proxy;
pub mod wait;
