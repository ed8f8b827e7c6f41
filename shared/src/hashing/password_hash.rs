//! A password's hash as a value.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::HEXLOWER;
use secrecy::{ExposeSecret, SecretString};

use super::stored_hash::{NotTakenOver, StoredHash};

/// The prefix of a hash that this version makes.
const ARGON2ID_PREFIX: &str = "$argon2id$";

/// The hash of a user's password, not encrypted: an Argon2id hash in PHC form, or for a user who has
/// moved here and not logged in since, what another system made. It is never printed: with it, an
/// attacker can guess the password offline. On the bus it travels sealed.
#[derive(Clone)]
pub struct PasswordHash(SecretString);

impl PasswordHash {
    /// A hash that was stored or just made. Its form is checked when a password is verified against
    /// it.
    pub fn from_phc(text: impl Into<String>) -> Self {
        Self(text.into().into())
    }

    /// A hash of another system, or of ours: checked, bounded in its cost, and brought into the form that
    /// is stored.
    ///
    /// # Errors
    /// It is none that passwords can be compared with, or comparing would cost too much.
    pub fn take_over(text: &str) -> Result<Self, NotTakenOver> {
        let hash = StoredHash::parse(text)?;
        hash.check_cost()?;
        Ok(Self::from_phc(hash.to_text()))
    }

    /// The text, to be stored, sealed or verified.
    pub fn expose_phc(&self) -> &str {
        self.0.expose_secret()
    }

    /// Names it, without telling anything about the password to those who do not know the salt: the
    /// first 16 bytes of the SHA-256 of its text, in hex.
    pub fn name(&self) -> String {
        HEXLOWER.encode(&digest(&SHA256, self.expose_phc().as_bytes()).as_ref()[..16])
    }

    /// Whether its text claims to be an Argon2id hash.
    pub fn is_argon2id(&self) -> bool {
        self.expose_phc().starts_with(ARGON2ID_PREFIX)
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// For tests and to see whether the hash has changed. A hash is not a password, so the duration of
/// a comparison reveals nothing useful.
impl PartialEq for PasswordHash {
    fn eq(&self, other: &Self) -> bool {
        self.expose_phc() == other.expose_phc()
    }
}

impl Eq for PasswordHash {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_does_not_print() {
        let hash = PasswordHash::from_phc("$argon2id$secret");
        assert_eq!(format!("{hash:?}"), "PasswordHash");
    }

    #[test]
    fn only_argon2id_hashes_say_that_they_are() {
        assert!(PasswordHash::from_phc("$argon2id$v=19$x").is_argon2id());
        assert!(!PasswordHash::from_phc("$argon2i$v=19$x").is_argon2id());
        assert!(!PasswordHash::from_phc("argon2id").is_argon2id());
    }
}
