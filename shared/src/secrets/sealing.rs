//! The keys that the two services share. They seal password hashes and authenticate messages.
//!
//! Hashes are sealed with AES-256-GCM (NIST SP 800-38D), so that nobody who reads the bus or the
//! projection can read a hash. The user's id and password version are associated data, so a sealed
//! hash can only be opened for one password of one user, whatever else changes about the user. The
//! form is `v2.<key id>.<base64url(nonce, sealed)>`. The form `v1.` of earlier versions was bound
//! to the user's version; such hashes are sent again. Messages carry an HMAC-SHA-256 as `<key
//! id>.<base64url(mac)>`.
//!
//! The keys form a ring, so that one can be replaced while both services run. The first key seals
//! and signs; every key opens; every key except those marked `unseal-only` is accepted on messages.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac;
use contract::{SealedHash, UserId};
use data_encoding::{BASE64URL_NOPAD, HEXLOWER};

use super::random::random_bytes;
use crate::hashing::PasswordHash;

/// Bytes of a key.
const KEY_LEN: usize = 32;
/// The prefix of a sealed hash, which names its form.
const FORM: &str = "v2";
/// Marks the key that follows it.
const UNSEAL_ONLY: &str = "unseal-only";

/// The keys that the two services share.
pub struct SealingKeys {
    /// Seals, signs, and fingerprints requests.
    first: Key,
    /// Also accepted, while a key is being replaced.
    others: Vec<Key>,
}

/// One key, with the keys that are derived from it.
struct Key {
    /// Names the key without revealing anything about it.
    id: String,
    hashes: RandomizedNonceKey,
    messages: hmac::Key,
    fingerprints: hmac::Key,
    /// Derives the keys of sealed texts.
    texts: hmac::Key,
    /// Not accepted on messages.
    is_unseal_only: bool,
}

/// The sealed hash cannot be opened.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnsealError {
    /// It was sealed with a key that is not on the ring.
    #[error("sealed with the key {key_id}, which this service does not have")]
    UnknownKey {
        /// The id of the key.
        key_id: String,
    },
    /// It was sealed by an earlier version.
    #[error("sealed in a form of an earlier version")]
    FormerForm,
    /// It was altered, or sealed for another password.
    #[error("not a hash that was sealed for this user and password")]
    NotGenuine,
}

/// The message was not sent by a holder of the keys, or was altered since.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAuthentic {
    /// It has no MAC, or its MAC is malformed.
    #[error("the message is not authenticated")]
    NoMac,
    /// The two services do not share this key.
    #[error("authenticated with the key {key_id}, which this service does not accept")]
    UnknownKey {
        /// The id of the key.
        key_id: String,
    },
    /// The MAC does not match this message.
    #[error("the message was altered, or sent for another purpose")]
    WrongMac,
}

/// The text is not a valid key ring.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected are keys of 32 bytes in base64url without padding (43 characters), one a line; the \
     first seals, further ones may be marked \"unseal-only KEY\""
)]
pub struct NotAKey;

impl SealingKeys {
    /// A new random key, in the form of the file and of [`SealingKeys::parse`].
    pub fn generate() -> String {
        BASE64URL_NOPAD.encode(&random_bytes::<KEY_LEN>())
    }

    /// Reads keys in text form, separated by white space or commas.
    ///
    /// # Errors
    /// One of the words is not a key, there is none, or the first does not seal.
    pub fn parse(text: &str) -> Result<Self, NotAKey> {
        let words = text.split(|c: char| c.is_whitespace() || c == ',');
        let mut words = words.filter(|word| !word.is_empty());
        let mut keys = Vec::new();
        while let Some(word) = words.next() {
            let is_unseal_only = word == UNSEAL_ONLY;
            let key = if is_unseal_only { words.next().ok_or(NotAKey)? } else { word };
            keys.push(Key::parse(key, is_unseal_only)?);
        }
        let mut keys = keys.into_iter();
        let first = keys.next().filter(|first| !first.is_unseal_only).ok_or(NotAKey)?;
        Ok(Self { first, others: keys.collect() })
    }

    /// The id of the key that seals.
    pub fn first_id(&self) -> &str {
        &self.first.id
    }

    /// Seals the hash of one password of one user.
    pub fn seal(&self, hash: &PasswordHash, user: UserId, password_version: i64) -> SealedHash {
        let mut sealed = hash.expose_phc().as_bytes().to_vec();
        let aad = associated_data(user, password_version);
        let nonce = seal_in_place(&self.first.hashes, &aad, &mut sealed);
        let payload = [nonce.as_ref().as_slice(), &sealed].concat();
        SealedHash::new(format!("{}.{}", self.seals_with(), BASE64URL_NOPAD.encode(&payload)))
    }

    /// Opens a hash that [`SealingKeys::seal`] sealed for the same password of the same user.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn unseal(
        &self,
        sealed: &SealedHash,
        user: UserId,
        password_version: i64,
    ) -> Result<PasswordHash, UnsealError> {
        let text = sealed.as_str();
        let key = self.key_of(SealedHash::sealed_with(text))?;
        let payload = text.rsplit('.').next().unwrap_or_default();
        key.open(payload, user, password_version).ok_or(UnsealError::NotGenuine)
    }

    /// Seals the hash with the first key, whichever key it was sealed with.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn reseal(
        &self,
        sealed: &SealedHash,
        user: UserId,
        password_version: i64,
    ) -> Result<SealedHash, UnsealError> {
        let hash = self.unseal(sealed, user, password_version)?;
        Ok(self.seal(&hash, user, password_version))
    }

    /// The form and key by which hashes are sealed now ([`SealedHash::sealed_with`]).
    pub fn seals_with(&self) -> String {
        format!("{FORM}.{}", self.first.id)
    }

    /// Checks that hashes which were sealed with this form and key can be opened
    /// ([`SealedHash::sealed_with`]).
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn can_open(&self, sealed_with: &str) -> Result<(), UnsealError> {
        self.key_of(sealed_with).map(drop)
    }

    fn key_of(&self, sealed_with: &str) -> Result<&Key, UnsealError> {
        match sealed_with.split_once('.') {
            Some((FORM, key_id)) => self
                .find(key_id)
                .ok_or_else(|| UnsealError::UnknownKey { key_id: key_id.to_owned() }),
            Some(("v1", _)) => Err(UnsealError::FormerForm),
            _ => Err(UnsealError::NotGenuine),
        }
    }

    /// The id of the key that seals texts, and what their keys are derived from.
    pub(super) fn first_for_texts(&self) -> (&str, &hmac::Key) {
        (&self.first.id, &self.first.texts)
    }

    /// What the keys of texts are derived from that the key of this id has sealed.
    pub(super) fn for_texts(&self, key_id: &str) -> Option<&hmac::Key> {
        self.find(key_id).map(|key| &key.texts)
    }

    fn find(&self, id: &str) -> Option<&Key> {
        std::iter::once(&self.first).chain(&self.others).find(|key| key.id == id)
    }

    /// The MAC over the parts of a message, for [`SealingKeys::verify`].
    pub fn sign<'a>(&self, parts: impl IntoIterator<Item = &'a [u8]>) -> String {
        let mac = mac_over(&self.first.messages, parts);
        format!("{}.{}", self.first.id, BASE64URL_NOPAD.encode(mac.as_ref()))
    }

    /// Checks that the MAC is that of these parts, under a key that is accepted. The comparison
    /// takes constant time.
    ///
    /// # Errors
    /// See [`NotAuthentic`].
    pub fn verify<'a>(
        &self,
        mac: &str,
        parts: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<(), NotAuthentic> {
        let (key_id, mac) = mac.split_once('.').ok_or(NotAuthentic::NoMac)?;
        let mac = BASE64URL_NOPAD.decode(mac.as_bytes()).map_err(|_| NotAuthentic::NoMac)?;
        let key = self.find(key_id).filter(|key| !key.is_unseal_only);
        let key = key.ok_or_else(|| NotAuthentic::UnknownKey { key_id: shortened(key_id) })?;
        verify_slices_are_equal(mac_over(&key.messages, parts).as_ref(), &mac)
            .map_err(|_| NotAuthentic::WrongMac)
    }

    /// A fingerprint of a request for `Idempotency-Key`: equal for equal parts. Without the key, it
    /// does not help anybody to guess a password from a stolen database.
    pub fn fingerprint(&self, parts: &[&[u8]]) -> String {
        BASE64URL_NOPAD.encode(self.fingerprint_of(parts).as_ref())
    }

    /// The first bytes of the fingerprint.
    pub fn fingerprint_bytes(&self, parts: &[&[u8]]) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.fingerprint_of(parts).as_ref()[..16]);
        bytes
    }

    /// The first bytes of the fingerprint as a number: equal for equal parts, evenly distributed,
    /// and known to nobody without the key.
    pub fn fingerprint_number(&self, parts: &[&[u8]]) -> u64 {
        let fingerprint = self.fingerprint_of(parts);
        fingerprint.as_ref().iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
    }

    fn fingerprint_of(&self, parts: &[&[u8]]) -> hmac::Tag {
        mac_over(&self.first.fingerprints, parts.iter().copied())
    }
}

/// The text in the place of a key id may come from an attacker.
fn shortened(key_id: &str) -> String {
    key_id.chars().filter(char::is_ascii_alphanumeric).take(16).collect()
}

/// Each part after its length, so that no two lists of parts give the same bytes.
fn mac_over<'a>(key: &hmac::Key, parts: impl IntoIterator<Item = &'a [u8]>) -> hmac::Tag {
    let mut context = hmac::Context::with_key(key);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    context.sign()
}

impl Key {
    fn parse(text: &str, is_unseal_only: bool) -> Result<Self, NotAKey> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| NotAKey)?;
        if bytes.len() != KEY_LEN {
            return Err(NotAKey);
        }
        let hashes = RandomizedNonceKey::new(&AES_256_GCM, &bytes).map_err(|_| NotAKey)?;
        let root = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let derived = |purpose: &[u8]| hmac::sign(&root, purpose);
        let hmac_key =
            |purpose: &[u8]| hmac::Key::new(hmac::HMAC_SHA256, derived(purpose).as_ref());
        let id =
            HEXLOWER.encode(&digest(&SHA256, derived(b"lockstep key id").as_ref()).as_ref()[..4]);
        Ok(Self {
            id,
            hashes,
            messages: hmac_key(b"lockstep message authentication"),
            fingerprints: hmac_key(b"lockstep request fingerprint"),
            texts: hmac_key(b"lockstep message encryption"),
            is_unseal_only,
        })
    }

    fn open(&self, payload: &str, user: UserId, password_version: i64) -> Option<PasswordHash> {
        let mut bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
        let (nonce, sealed) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let aad = Aad::from(associated_data(user, password_version));
        let opened = self.hashes.open_in_place(nonce, aad, sealed).ok()?;
        std::str::from_utf8(opened).ok().map(PasswordHash::from_phc)
    }
}

impl fmt::Debug for SealingKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SealingKeys({} and {} more)", self.first.id, self.others.len())
    }
}

#[expect(clippy::expect_used, reason = "sealing fails only without randomness or beyond 64 GiB")]
pub(super) fn seal_in_place(key: &RandomizedNonceKey, aad: &[u8], bytes: &mut Vec<u8>) -> Nonce {
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

    fn keys() -> SealingKeys {
        SealingKeys::parse(&SealingKeys::generate()).unwrap()
    }

    fn a_hash() -> PasswordHash {
        PasswordHash::from_phc("$argon2id$x")
    }

    #[test]
    fn a_sealed_hash_opens_for_its_user_and_password_alone() {
        let keys = keys();
        let sealed = keys.seal(&a_hash(), UserId(7), 3);
        assert!(!sealed.as_str().contains("argon2id"));
        assert_eq!(keys.unseal(&sealed, UserId(7), 3), Ok(a_hash()));
        assert_eq!(keys.unseal(&sealed, UserId(8), 3), Err(UnsealError::NotGenuine));
        assert_eq!(keys.unseal(&sealed, UserId(7), 4), Err(UnsealError::NotGenuine));
        assert_ne!(keys.seal(&a_hash(), UserId(7), 3), sealed, "the nonce is new each time");
    }

    #[test]
    fn what_another_key_or_an_earlier_version_sealed_is_told_from_what_was_changed() {
        let (ours, theirs) = (keys(), keys());
        let sealed = theirs.seal(&a_hash(), UserId(1), 1);
        let unknown = UnsealError::UnknownKey { key_id: theirs.first_id().to_owned() };
        assert_eq!(ours.unseal(&sealed, UserId(1), 1), Err(unknown.clone()));
        assert_eq!(ours.can_open(SealedHash::sealed_with(sealed.as_str())), Err(unknown));
        for (text, expected) in [
            ("v1.key.AAAA", UnsealError::FormerForm),
            ("", UnsealError::NotGenuine),
            ("v2.", UnsealError::NotGenuine),
            ("hash", UnsealError::NotGenuine),
            (&format!("v2.{}.AAAA", ours.first_id()), UnsealError::NotGenuine),
        ] {
            let opened = ours.unseal(&SealedHash::new(text), UserId(1), 1);
            assert_eq!(opened, Err(expected), "{text:?}");
        }
    }

    #[test]
    fn a_key_is_replaced_while_both_are_accepted_and_one_that_only_unseals_signs_nothing() {
        let [old, new] = [SealingKeys::generate(), SealingKeys::generate()];
        let before = SealingKeys::parse(&old).unwrap();
        let (sealed, mac) = (before.seal(&a_hash(), UserId(1), 1), before.sign([b"m".as_slice()]));
        for (text, is_mac_accepted) in [
            (format!("{new}\n{old}\n"), true),
            (format!("{new},{old}"), true),
            (format!("{new}\nunseal-only {old}\n"), false),
        ] {
            let ring = SealingKeys::parse(&text).unwrap();
            assert_eq!(ring.unseal(&sealed, UserId(1), 1), Ok(a_hash()), "{text}");
            assert_eq!(ring.verify(&mac, [b"m".as_slice()]).is_ok(), is_mac_accepted, "{text}");
            assert_ne!(ring.first_id(), before.first_id());
            let resealed = ring.reseal(&sealed, UserId(1), 1).unwrap();
            assert_eq!(SealedHash::sealed_with(resealed.as_str()), ring.seals_with());
            assert_eq!(
                SealingKeys::parse(&new).unwrap().unseal(&resealed, UserId(1), 1),
                Ok(a_hash())
            );
        }
    }

    #[test]
    fn a_ring_begins_with_a_key_that_seals() {
        let key = SealingKeys::generate();
        let only_unseals = format!("unseal-only {key}");
        let cut_off = format!("{key} unseal-only");
        for bad in ["", " \n", "short", &only_unseals, &cut_off, &format!("{key}\nshort")] {
            assert!(SealingKeys::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_mac_is_that_of_its_parts_alone() {
        let keys = keys();
        let mac = keys.sign([b"ab".as_slice(), b"c"]);
        assert_eq!(keys.verify(&mac, [b"ab".as_slice(), b"c"]), Ok(()));
        let moved = keys.verify(&mac, [b"a".as_slice(), b"bc"]);
        assert_eq!(moved, Err(NotAuthentic::WrongMac));
        for none in ["", "x", "x.!"] {
            assert_eq!(keys.verify(none, [b"ab".as_slice()]), Err(NotAuthentic::NoMac));
        }
        let theirs = self::keys().sign([b"ab".as_slice(), b"c"]);
        let unknown = keys.verify(&theirs, [b"ab".as_slice(), b"c"]);
        assert!(matches!(unknown, Err(NotAuthentic::UnknownKey { .. })), "{unknown:?}");
    }

    #[test]
    fn a_fingerprint_keeps_its_parts_apart() {
        let keys = keys();
        assert_eq!(keys.fingerprint(&[b"a", b"b"]), keys.fingerprint(&[b"a", b"b"]));
        assert_ne!(keys.fingerprint(&[b"a", b"b"]), keys.fingerprint(&[b"ab", b""]));
        let text = BASE64URL_NOPAD.decode(keys.fingerprint(&[b"a"]).as_bytes()).unwrap();
        assert_eq!(text[..8], keys.fingerprint_number(&[b"a"]).to_be_bytes());
    }
}
