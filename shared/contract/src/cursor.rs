//! Positions in the log of user_service.

use std::fmt;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// 16 bytes that travel as 32 hexadecimal digits.
macro_rules! hex_bytes {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Default, PartialOrd, Ord)]
        pub struct $name(pub [u8; 16]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = NotSixteenHexBytes;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let bytes = HEXLOWER.decode(text.as_bytes()).map_err(|_| NotSixteenHexBytes)?;
                bytes.try_into().map(Self).map_err(|_| NotSixteenHexBytes)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

hex_bytes! {
    /// Identifies one run of user_service: random, renewed at every start. A follower that meets
    /// another incarnation asks before it applies anything, because the log may have been restored
    /// from an older backup in between.
    Incarnation
}

hex_bytes! {
    /// The first 16 bytes of the SHA-256 over a record and the hash of the record before it. Two
    /// logs with the same hash at one `seq` are equal in every record up to it. Before the first
    /// record the hash is all zeros.
    RecordHash
}

hex_bytes! {
    /// Checksum over all users at one position of the log: the sum modulo 2^128 of a hash of each
    /// user's id, version and name (`shared::log_sync::user_checksum`). Two services that show the
    /// same one at the same position hold the same users.
    UsersChecksum
}

impl UsersChecksum {
    /// Adds a user.
    #[must_use]
    pub fn plus(self, user: Self) -> Self {
        Self(self.number().wrapping_add(user.number()).to_be_bytes())
    }

    /// Removes a user.
    #[must_use]
    pub fn minus(self, user: Self) -> Self {
        Self(self.number().wrapping_sub(user.number()).to_be_bytes())
    }

    fn number(self) -> u128 {
        u128::from_be_bytes(self.0)
    }
}

/// The text is not 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotSixteenHexBytes;

impl fmt::Display for NotSixteenHexBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not 32 lower-case hexadecimal digits")
    }
}

impl std::error::Error for NotSixteenHexBytes {}

/// A position in the log: everything up to and including record `seq` comes before it. The default
/// is the position before the first record.
///
/// No two histories of a log share a `hash`, so a position names one record of one history.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Position {
    /// The sequence number of the last record before it; 0 at the start of the log.
    pub seq: i64,
    /// That record's hash.
    pub hash: RecordHash,
}

/// A position, and the incarnation that vouched for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The incarnation that vouched for the position.
    pub incarnation: Incarnation,
    /// The position.
    #[serde(flatten)]
    pub position: Position,
}

/// A token that the response to a write contains, by which a later `/login` can wait for the write:
/// opaque to clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConsistencyToken {
    /// The sequence number of the write's record.
    pub seq: i64,
}

impl ConsistencyToken {
    /// The header's value.
    pub fn encode(self) -> String {
        BASE64URL_NOPAD.encode(&self.seq.to_be_bytes())
    }

    /// Parses a header's value; `None` if [`ConsistencyToken::encode`] did not make it.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let seq = i64::from_be_bytes(bytes.try_into().ok()?);
        (seq >= 0).then_some(Self { seq })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consistency_token_survives_its_encoding_and_nothing_else_does() {
        let token = ConsistencyToken { seq: 42 };
        assert_eq!(ConsistencyToken::decode(&token.encode()), Some(token));
        for bad in ["", "42", "AAAAAAAAACo=", "_________-8", "häh"] {
            assert_eq!(ConsistencyToken::decode(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn a_cursor_is_one_flat_object() {
        let position = Position { seq: 7, hash: RecordHash([0xab; 16]) };
        let cursor = Cursor { incarnation: Incarnation([1; 16]), position };
        let json = serde_json::to_value(cursor).unwrap();
        let (incarnation, hash) = ("01".repeat(16), "ab".repeat(16));
        let flat = serde_json::json!({"incarnation": incarnation, "seq": 7, "hash": hash});
        assert_eq!(json, flat);
        assert_eq!(serde_json::from_value::<Cursor>(json).unwrap(), cursor);
    }

    #[test]
    fn a_hash_is_written_as_32_hexadecimal_digits() {
        let hash = RecordHash([0xab; 16]);
        assert_eq!(serde_json::to_string(&hash).unwrap(), format!("\"{}\"", "ab".repeat(16)));
        assert!("AB".repeat(16).parse::<RecordHash>().is_err());
        assert!("ab".repeat(15).parse::<RecordHash>().is_err());
    }
}
