//! Argon2id (RFC 9106) on threads of its own.

mod argon2id;
mod password_hasher;

pub use argon2id::{HashFault, HashParams, Hasher, Verification};
pub use password_hasher::{
    HashPassword, HashRefused, HashingConfig, HashingMetrics, PasswordHasher, VerifyPassword,
};
