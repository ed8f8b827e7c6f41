//! Argon2id (RFC 9106) on threads of its own.

pub mod argon2id;
mod hasher;
mod password_hasher;
mod priority;

pub use hasher::{HashFault, HashParams, Hasher, Verification};
pub use password_hasher::{
    CheckRoom, HashPassword, HashRefused, HashingConfig, HashingMetrics, HashingThreads,
    PasswordHasher, VerifyPassword,
};
