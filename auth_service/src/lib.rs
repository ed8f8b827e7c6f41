//! `auth_service`: a login returns a JWT, a logout revokes it.
//!
//! It learns of the users by following the log of user_service. [`start`] is the whole service;
//! `main.rs` and the standalone binary call it alike.

pub mod actors;
mod admin;
pub mod cli;
pub mod config;
pub mod domain;
pub mod http;
pub mod metrics;
mod readiness;
mod service;
pub mod store;

pub use service::{DATA, Deps, Running, StartError, start};
