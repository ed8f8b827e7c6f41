//! Argon2id (RFC 9106) on dedicated threads.

mod hasher;
mod password_hash;
mod password_hasher;
mod priority;

pub use hasher::{HashFault, HashParams, Hasher, Stored, Verification};
pub use password_hash::PasswordHash;
pub use password_hasher::{
    CheckCapacity, HashPassword, HashRefused, HashingConfig, HashingMetrics, HashingStartError,
    HashingThreads, PasswordHasher, VerifyPassword,
};
