//! Argon2id (RFC 9106) on dedicated threads.

mod hasher;
mod limits;
mod password_hash;
mod password_hasher;
mod priority;
mod thread_count;

pub use hasher::{HashFault, HashParams, Hasher, SeenParams, Verification};
pub use password_hash::PasswordHash;
pub use password_hasher::{
    CheckCapacity, HashPassword, HashRefused, HashingConfig, HashingMetrics, HashingThreads,
    PasswordHasher, VerifyPassword,
};
