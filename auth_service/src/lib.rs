//! Login gives a JWT, logout kills it; the users are known from following the log of user_service.

pub mod actors;
pub mod config;
pub mod domain;
pub mod metrics;
pub mod store;
