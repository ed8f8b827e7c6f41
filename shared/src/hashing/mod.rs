//! Argon2id (RFC 9106) on threads of its own.

pub mod argon2id;
mod hasher;
mod password_hasher;
mod priority;

pub use hasher::{HashFault, HashParams, Hasher, Verification};
pub use password_hasher::{
    HashPassword, HashRefused, HashingConfig, HashingMetrics, PasswordHasher, VerifyPassword,
};
