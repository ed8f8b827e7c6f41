//! Facts about tokens and keys that replicas of auth_service send to each other and never change.
//!
//! A [`TokenRecord`] is immutable: a fact that stays true. Replicas keep a set of them. A set needs
//! no order, so a record may arrive late, twice, or by any route. Its canonical bytes are the same
//! on disk and on the bus.

use std::collections::BTreeMap;
use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The number of parts into which a set is divided for comparison. A record's part is the first
/// byte of its id.
pub const PARTS: usize = 256;

/// Bytes that travel as unpadded base64url text.
macro_rules! base64url_bytes {
    ($(#[$doc:meta])* $name:ident, $length:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub [u8; $length]);

        impl $name {
            /// Parses the text that [`fmt::Display`] writes, and no other spelling of it.
            pub fn parse(text: &str) -> Option<Self> {
                let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
                bytes.try_into().ok().map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&BASE64URL_NOPAD.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(deserializer)?;
                let parsed = Self::parse(&text);
                parsed.ok_or_else(|| serde::de::Error::custom(concat!("no ", stringify!($name))))
            }
        }
    };
}

pub(crate) use base64url_bytes;

base64url_bytes! {
    /// A token's `jti`, and a session's `sid`, which is the `jti` of its first token.
    TokenId, 16
}

base64url_bytes! {
    /// A key's `kid`: the SHA-256 thumbprint of its public half (RFC 7638).
    KeyId, 32
}

/// The signature algorithm of a key. The token's header and the JWK contain the same text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SigningAlgorithm {
    /// Ed25519 (RFC 8037).
    EdDsa,
    /// ECDSA over P-256 with SHA-256, for clients that lack EdDSA (RFC 7518).
    Es256,
}

impl SigningAlgorithm {
    /// The text of `alg`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::EdDsa => "EdDSA",
            Self::Es256 => "ES256",
        }
    }

    /// The algorithm of this `alg`; `None` if it is not one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::EdDsa, Self::Es256].into_iter().find(|algorithm| algorithm.as_str() == text)
    }

    /// Length of a public key in bytes: the point of Ed25519, or x and y of P-256.
    pub fn public_key_length(self) -> usize {
        match self {
            Self::EdDsa => 32,
            Self::Es256 => 64,
        }
    }
}

/// The key that signed a token, and the token's expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenLife {
    /// The key.
    pub kid: KeyId,
    /// The token's `exp`, in seconds since 1970 by the clock of the replica that signed it.
    pub exp_s: i64,
}

/// A token was exchanged for a new one of the same session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trade {
    /// The token that was given up.
    pub jti: TokenId,
    /// Its session.
    pub sid: TokenId,
    /// Hash of the request's `Idempotency-Key`, so that every replica recognises a retry.
    pub idempotency_hash: Option<[u8; 16]>,
    /// The life of the token that was given up.
    pub old: TokenLife,
    /// The life of the new token.
    pub new: TokenLife,
}

/// The public half of a key, as its owner last stated it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublishedKey {
    /// The owner signs nothing with it after this time without publishing it again, in seconds
    /// since 1970 by the owner's clock. The first member, so that the later of two statements is
    /// the greater one.
    pub until_s: i64,
    /// The owner signs nothing with it before this time.
    pub signs_from_s: i64,
    /// The longest lifetime of its tokens, in seconds.
    pub lifetime_s: i64,
    /// Its id.
    pub kid: KeyId,
    /// Its algorithm.
    pub algorithm: SigningAlgorithm,
    /// Its bytes, as many as [`SigningAlgorithm::public_key_length`] says.
    pub public_key: Vec<u8>,
}

/// One fact about tokens or keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TokenRecord {
    /// `session.revoked`: every token of the session is invalid.
    SessionRevoked {
        /// The session.
        sid: TokenId,
        /// The token by which the session was ended.
        ended_with: TokenLife,
    },
    /// `token.traded`.
    TokenTraded(Box<Trade>),
    /// `key.published`.
    KeyPublished(Box<PublishedKey>),
    /// `key.killed`: every token of the key is invalid, whatever other records say.
    KeyKilled {
        /// The key.
        kid: KeyId,
    },
}

/// The bytes are not a record that this version knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRecordError {
    /// The first byte is an unknown kind; a later version may know it.
    UnknownKind(u8),
    /// The length or a member is wrong for this kind.
    Malformed,
}

impl fmt::Display for TokenRecordError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(kind) => write!(f, "unknown kind of token record: {kind}"),
            Self::Malformed => f.write_str("malformed token record"),
        }
    }
}

impl std::error::Error for TokenRecordError {}

const SESSION_REVOKED: u8 = 1;
const TOKEN_TRADED: u8 = 2;
const KEY_PUBLISHED: u8 = 3;
const KEY_KILLED: u8 = 4;

impl TokenRecord {
    /// The record's kind as it is named in logs and metrics.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::SessionRevoked { .. } => "session.revoked",
            Self::TokenTraded(_) => "token.traded",
            Self::KeyPublished(_) => "key.published",
            Self::KeyKilled { .. } => "key.killed",
        }
    }

    /// The canonical bytes of the record: a byte for the kind, then its members at fixed lengths.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(160);
        match self {
            Self::SessionRevoked { sid, ended_with } => {
                bytes.push(SESSION_REVOKED);
                bytes.extend(sid.0);
                push_life(&mut bytes, ended_with);
            }
            Self::TokenTraded(trade) => {
                bytes.push(TOKEN_TRADED);
                bytes.extend(trade.jti.0);
                bytes.extend(trade.sid.0);
                bytes.push(u8::from(trade.idempotency_hash.is_some()));
                bytes.extend(trade.idempotency_hash.unwrap_or_default());
                push_life(&mut bytes, &trade.old);
                push_life(&mut bytes, &trade.new);
            }
            Self::KeyPublished(key) => {
                bytes.extend([KEY_PUBLISHED, algorithm_byte(key.algorithm)]);
                bytes.extend(key.kid.0);
                for time in [key.signs_from_s, key.until_s, key.lifetime_s] {
                    bytes.extend(time.to_be_bytes());
                }
                bytes.extend(&key.public_key);
            }
            Self::KeyKilled { kid } => {
                bytes.push(KEY_KILLED);
                bytes.extend(kid.0);
            }
        }
        bytes
    }

    /// Parses the output of [`TokenRecord::to_bytes`].
    ///
    /// # Errors
    /// See [`TokenRecordError`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, TokenRecordError> {
        let (&kind, rest) = bytes.split_first().ok_or(TokenRecordError::Malformed)?;
        let mut members = Members(rest);
        let record = match kind {
            SESSION_REVOKED => {
                Self::SessionRevoked { sid: TokenId(members.take()?), ended_with: members.life()? }
            }
            TOKEN_TRADED => Self::TokenTraded(Box::new(Trade {
                jti: TokenId(members.take()?),
                sid: TokenId(members.take()?),
                idempotency_hash: members.optional_hash()?,
                old: members.life()?,
                new: members.life()?,
            })),
            KEY_PUBLISHED => Self::KeyPublished(Box::new(members.published_key()?)),
            KEY_KILLED => Self::KeyKilled { kid: KeyId(members.take()?) },
            unknown => return Err(TokenRecordError::UnknownKind(unknown)),
        };
        if members.0.is_empty() { Ok(record) } else { Err(TokenRecordError::Malformed) }
    }
}

/// Its canonical bytes in base64url.
impl Serialize for TokenRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&self.to_bytes()))
    }
}

impl<'de> Deserialize<'de> for TokenRecord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(Error::custom)?;
        Self::from_bytes(&bytes).map_err(Error::custom)
    }
}

fn push_life(bytes: &mut Vec<u8>, life: &TokenLife) {
    bytes.extend(life.kid.0);
    bytes.extend(life.exp_s.to_be_bytes());
}

fn algorithm_byte(algorithm: SigningAlgorithm) -> u8 {
    match algorithm {
        SigningAlgorithm::EdDsa => 1,
        SigningAlgorithm::Es256 => 2,
    }
}

/// The bytes that have not been read yet.
struct Members<'a>(&'a [u8]);

impl Members<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], TokenRecordError> {
        let (taken, rest) = self.0.split_first_chunk().ok_or(TokenRecordError::Malformed)?;
        self.0 = rest;
        Ok(*taken)
    }

    fn seconds(&mut self) -> Result<i64, TokenRecordError> {
        self.take().map(i64::from_be_bytes)
    }

    fn life(&mut self) -> Result<TokenLife, TokenRecordError> {
        Ok(TokenLife { kid: KeyId(self.take()?), exp_s: self.seconds()? })
    }

    fn optional_hash(&mut self) -> Result<Option<[u8; 16]>, TokenRecordError> {
        match (self.take()?, self.take()?) {
            ([0], hash) if hash == [0; 16] => Ok(None),
            ([1], hash) => Ok(Some(hash)),
            _ => Err(TokenRecordError::Malformed),
        }
    }

    fn published_key(&mut self) -> Result<PublishedKey, TokenRecordError> {
        let algorithm = match self.take()? {
            [1] => SigningAlgorithm::EdDsa,
            [2] => SigningAlgorithm::Es256,
            _ => return Err(TokenRecordError::Malformed),
        };
        let kid = KeyId(self.take()?);
        let (signs_from_s, until_s) = (self.seconds()?, self.seconds()?);
        let lifetime_s = self.seconds()?;
        let public_key = std::mem::take(&mut self.0).to_vec();
        if public_key.len() != algorithm.public_key_length() {
            return Err(TokenRecordError::Malformed);
        }
        Ok(PublishedKey { until_s, signs_from_s, lifetime_s, kid, algorithm, public_key })
    }
}

/// The first 16 bytes of the SHA-256 over a record's canonical bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TokenRecordId(pub [u8; 16]);

impl TokenRecordId {
    /// The part of the set that the record belongs to.
    pub fn part(self) -> u8 {
        self.0[0]
    }
}

impl fmt::Debug for TokenRecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&HEXLOWER.encode(&self.0))
    }
}

/// The sum of a part's record ids modulo 2^128: the same for the same records in any order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PartChecksum(pub u128);

impl PartChecksum {
    /// Adds a record.
    #[must_use]
    pub fn plus(self, id: TokenRecordId) -> Self {
        Self(self.0.wrapping_add(u128::from_be_bytes(id.0)))
    }

    /// Removes a record of the set.
    #[must_use]
    pub fn minus(self, id: TokenRecordId) -> Self {
        Self(self.0.wrapping_sub(u128::from_be_bytes(id.0)))
    }
}

/// Its 16 bytes in base64url.
impl Serialize for PartChecksum {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64URL_NOPAD.encode(&self.0.to_be_bytes()))
    }
}

impl<'de> Deserialize<'de> for PartChecksum {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(Error::custom)?;
        let bytes = bytes.try_into().map_err(|_| Error::custom("no checksum of a part"))?;
        Ok(Self(u128::from_be_bytes(bytes)))
    }
}

/// For each key, the greatest `exp` of its tokens whose records were deleted. Nobody remembers
/// which of them were revoked, so no token that expires at or before it is accepted again. It never
/// decreases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Horizons(BTreeMap<KeyId, i64>);

impl Horizons {
    /// The key's horizon, if records of its tokens were deleted.
    pub fn of(&self, kid: &KeyId) -> Option<i64> {
        self.0.get(kid).copied()
    }

    /// Whether the record of a token's revocation may have been deleted.
    pub fn covers(&self, life: &TokenLife) -> bool {
        self.of(&life.kid).is_some_and(|horizon_s| life.exp_s <= horizon_s)
    }

    /// Raises the key's horizon to the token's `exp`; returns whether it was lower.
    pub fn raise(&mut self, life: TokenLife) -> bool {
        if self.covers(&life) {
            return false;
        }
        self.0.insert(life.kid, life.exp_s);
        true
    }

    /// Those that were stored.
    pub fn from_lives(lives: impl IntoIterator<Item = TokenLife>) -> Self {
        let mut horizons = Self::default();
        for life in lives {
            horizons.raise(life);
        }
        horizons
    }

    /// All of them, by key.
    pub fn iter(&self) -> impl Iterator<Item = TokenLife> {
        self.0.iter().map(|(&kid, &exp_s)| TokenLife { kid, exp_s })
    }
}

/// What a replica announces each second, so that others can detect what they lack.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenSetSummary {
    /// The checksum of each part that is not empty.
    pub parts: BTreeMap<u8, PartChecksum>,
    /// The horizons: for each key, both sides keep the greater one.
    pub horizons: Horizons,
}

#[cfg(test)]
mod tests;
