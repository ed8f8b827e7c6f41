//! What the two services share.
//!
//! Without features this crate is the [`contract`] alone: the types that travel between the
//! services and to their clients, with no actix, tokio or rusqlite behind them. Each feature adds
//! one room of the kit that the services are built with. Nothing here knows either service.

pub mod clock;
pub mod contract;

#[cfg(feature = "actors")]
pub mod actors;
#[cfg(feature = "bus")]
pub mod bus;
#[cfg(feature = "config")]
pub mod config;
pub mod fail_point;
#[cfg(feature = "hashing")]
pub mod hashing;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "precis")]
pub mod precis;
#[cfg(feature = "process")]
pub mod process;
#[cfg(feature = "secrets")]
pub mod secrets;
#[cfg(feature = "sqlite")]
pub mod sqlite;
#[cfg(feature = "sync")]
pub mod sync;
#[cfg(feature = "telemetry")]
pub mod telemetry;
#[cfg(feature = "testkit")]
pub mod testkit;
#[cfg(feature = "tokens")]
pub mod tokens;
