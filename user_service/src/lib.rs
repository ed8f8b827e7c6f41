//! `user_service`: creates, reads, renames and deletes users.
//!
//! Its log is the source of truth that auth_service follows. [`start`] starts the whole service;
//! both `main.rs` and the standalone binary call it.

pub mod actors;
mod admin;
mod auth_service_client;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod metrics;
mod service;
pub mod store;

pub use auth_service_client::AuthServiceAddress;
pub use service::{DATA, Deps, Running, StartError, claim, start};
