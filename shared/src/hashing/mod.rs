//! Argon2id (RFC 9106) on dedicated threads, and the hashes of other systems until the next login.

mod hasher;
mod password_hash;
mod password_hasher;
mod priority;
mod stored_hash;

pub use hasher::{HashFault, HashParams, Hasher, Stored, Verification};
pub use password_hash::PasswordHash;
pub use password_hasher::{
    CheckCapacity, HashPassword, HashRefused, HashingConfig, HashingMetrics, HashingStartError,
    HashingThreads, PasswordHasher, VerifyPassword,
};
pub use stored_hash::NotTakenOver;
