//! Password hashes on their way from user_service to auth_service.
//!
//! AES-256-GCM (NIST SP 800-38D) under a key that the two services share: who reads the bus, the
//! projection reads no hash. The user's id and password version are associated data, so a sealed hash
//! opens for one password of one user, whatever else changes about them. The form is
//! `v2.<key id>.<base64url(nonce, sealed)>`; `v1.` of earlier versions was bound to the user's
//! version, and is sent anew.

use std::fmt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

use super::key_file::{KeyFileError, load_or_create};
use super::random::random_bytes;
use crate::hashing::PasswordHash;
use contract::{SealedHash, UserId};

/// Bytes of the key.
const KEY_LEN: usize = 32;
/// Names the form of a sealed hash.
const FORM: &str = "v2";

/// The key that the two services share.
pub struct SealingKey {
    key: RandomizedNonceKey,
    id: String,
    fingerprints: hmac::Key,
}

/// The sealed hash cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed with another key.
    #[error("sealed with another key: the two services must share one sealing key")]
    OtherKey,
    /// It was changed, sealed for another password, or has another form.
    #[error("not a hash that was sealed for this user and password")]
    NotGenuine,
}

/// The key is not 32 bytes in base64url.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the sealing key must be 32 bytes in base64url without padding")]
pub struct NotAKey;

impl SealingKey {
    /// A new random key, in the form of the file and of [`SealingKey::parse`].
    pub fn generate() -> String {
        BASE64URL_NOPAD.encode(&random_bytes::<KEY_LEN>())
    }

    /// Reads a key in text form.
    ///
    /// # Errors
    /// It is not one.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let bytes = BASE64URL_NOPAD.decode(text.trim().as_bytes()).map_err(|_| NotAKey)?;
        if bytes.len() != KEY_LEN {
            return Err(NotAKey);
        }
        let key = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| NotAKey)?;
        let derived = |purpose: &[u8]| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
            hmac::sign(&key, purpose)
        };
        let id =
            HEXLOWER.encode(&digest(&SHA256, derived(b"lockstep key id").as_ref()).as_ref()[..4]);
        let fingerprints =
            hmac::Key::new(hmac::HMAC_SHA256, derived(b"lockstep request fingerprint").as_ref());
        Ok(Self { key, id, fingerprints })
    }

    /// Reads the key file, or makes it.
    ///
    /// # Errors
    /// The file cannot be used, or holds no key.
    pub fn load_or_create(path: &Path) -> Result<Self, SealingKeyError> {
        let content = load_or_create(path, || Self::generate().into_bytes())?;
        Ok(Self::parse(&String::from_utf8_lossy(&content))?)
    }

    /// The key that the settings name: given itself, or in a file that is made if it is not there.
    ///
    /// # Errors
    /// It cannot be had, or is none.
    pub fn from_config(
        config: &crate::config::SealingKeyConfig,
        data_dir: &Path,
    ) -> Result<Self, SealingKeyError> {
        use secrecy::ExposeSecret;
        match (&config.sealing_key, &config.sealing_key_file) {
            (Some(key), _) => Ok(Self::parse(key.expose_secret())?),
            (None, Some(path)) => Self::load_or_create(path),
            (None, None) => Self::load_or_create(&data_dir.join("sealing.key")),
        }
    }

    /// Seals the hash of one password of one user.
    pub fn seal(&self, hash: &PasswordHash, user: UserId, password_version: i64) -> SealedHash {
        let mut sealed = hash.expose_phc().as_bytes().to_vec();
        let nonce = seal_in_place(&self.key, &associated_data(user, password_version), &mut sealed);
        let payload = [nonce.as_ref().as_slice(), &sealed].concat();
        SealedHash::new(format!("{FORM}.{}.{}", self.id, BASE64URL_NOPAD.encode(&payload)))
    }

    /// Opens what [`SealingKey::seal`] made for the same password of the same user.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn unseal(
        &self,
        sealed: &SealedHash,
        user: UserId,
        password_version: i64,
    ) -> Result<PasswordHash, UnsealError> {
        let mut parts = sealed.as_str().splitn(3, '.');
        let (Some(FORM), Some(key_id), Some(payload)) = (parts.next(), parts.next(), parts.next())
        else {
            return Err(UnsealError::NotGenuine);
        };
        if key_id != self.id {
            return Err(UnsealError::OtherKey);
        }
        self.open(payload, user, password_version).ok_or(UnsealError::NotGenuine)
    }

    /// Whether a sealed hash names this key, as far as it can be told without opening it.
    pub fn is_key_of(&self, sealed: &SealedHash) -> bool {
        let mut parts = sealed.as_str().split('.');
        parts.next() == Some(FORM) && parts.next() == Some(&self.id)
    }

    /// A fingerprint of a request for `Idempotency-Key`: equal for equal parts, and of no use
    /// without the key to somebody who wants to guess a password from a stolen database.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        let mut context = hmac::Context::with_key(&self.fingerprints);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        BASE64URL_NOPAD.encode(context.sign().as_ref())
    }

    fn open(&self, payload: &str, user: UserId, password_version: i64) -> Option<PasswordHash> {
        let mut bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(associated_data(user, password_version));
        let opened = self.key.open_in_place(nonce, aad, sealed).ok()?;
        std::str::from_utf8(opened).ok().map(PasswordHash::from_phc)
    }
}

/// The key file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// As a file.
    #[error("the sealing key's file is of no use")]
    File(#[from] KeyFileError),
    /// As a key.
    #[error(transparent)]
    Content(#[from] NotAKey),
}

impl fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKey({})", self.id)
    }
}

#[expect(clippy::expect_used, reason = "sealing fails only without randomness or beyond 64 GiB")]
fn seal_in_place(key: &RandomizedNonceKey, aad: &[u8], bytes: &mut Vec<u8>) -> Nonce {
    key.seal_in_place_append_tag(Aad::from(aad), bytes).expect("AES-GCM seals a short text")
}

fn associated_data(user: UserId, password_version: i64) -> [u8; 16] {
    let mut data = [0; 16];
    data[..8].copy_from_slice(&user.0.to_be_bytes());
    data[8..].copy_from_slice(&password_version.to_be_bytes());
    data
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SealingKey {
        SealingKey::parse(&SealingKey::generate()).unwrap()
    }

    #[test]
    fn a_sealed_hash_opens_for_its_user_and_password_alone() {
        let (key, hash) = (key(), PasswordHash::from_phc("$argon2id$x"));
        let sealed = key.seal(&hash, UserId(7), 3);
        assert!(!sealed.as_str().contains("argon2id"));
        assert_eq!(key.unseal(&sealed, UserId(7), 3), Ok(hash.clone()));
        assert_eq!(key.unseal(&sealed, UserId(8), 3), Err(UnsealError::NotGenuine));
        assert_eq!(key.unseal(&sealed, UserId(7), 4), Err(UnsealError::NotGenuine));
        assert_ne!(key.seal(&hash, UserId(7), 3), sealed, "the nonce is new each time");
    }

    #[test]
    fn what_another_key_sealed_is_told_from_what_was_changed() {
        let key = key();
        let sealed = self::key().seal(&PasswordHash::from_phc("hash"), UserId(1), 1);
        assert_eq!(key.unseal(&sealed, UserId(1), 1), Err(UnsealError::OtherKey));
        assert!(!key.is_key_of(&sealed));
        for bad in ["", "v2.", "v2.x", "v1.x.AAAA", "hash"] {
            assert!(key.unseal(&SealedHash::new(bad), UserId(1), 1).is_err(), "{bad:?}");
        }
        let short = SealedHash::new(format!("v2.{}.AAAA", key.id));
        assert_eq!(key.unseal(&short, UserId(1), 1), Err(UnsealError::NotGenuine));
    }

    #[test]
    fn a_fingerprint_keeps_its_parts_apart() {
        let key = key();
        assert_eq!(key.fingerprint(&[b"a", b"b"]), key.fingerprint(&[b"a", b"b"]));
        assert_ne!(key.fingerprint(&[b"a", b"b"]), key.fingerprint(&[b"ab", b""]));
    }
}
