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
    /// The name of a log: random, and the log's for life. A log that is restored from a backup, or moved
    /// to another database, keeps it.
    LogName
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

impl RecordHash {
    /// The hash of no record. A follower's cursor has it when the data there was written by a version
    /// without security stamps.
    pub const OF_NO_RECORD: Self = Self([0xff; 16]);
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
/// No two histories of a log share a `hash`, so a position names one record of one history. That is
/// why ETags, Consistency-Tokens and security stamps are positions: a log that was restored from
/// a backup gives none of them a second time.
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

/// Bytes of a [`Position`] as it is stored and shown.
const POSITION_BYTES: usize = 24;

impl Position {
    /// The text that clients see as an ETag, a `Consistency-Token` or a token's stamp: opaque to them.
    pub fn encode(self) -> String {
        BASE64URL_NOPAD.encode(&self.to_bytes())
    }

    /// Parses a text; `None` if [`Position::encode`] did not make it.
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64URL_NOPAD.decode(text.as_bytes()).ok()?;
        let position = Self::from_bytes(bytes.try_into().ok()?);
        (position.seq >= 0).then_some(position)
    }

    /// The form in which databases store it: `seq`, big-endian, and the hash.
    pub fn to_bytes(self) -> [u8; POSITION_BYTES] {
        let mut bytes = [0; POSITION_BYTES];
        bytes[..8].copy_from_slice(&self.seq.to_be_bytes());
        bytes[8..].copy_from_slice(&self.hash.0);
        bytes
    }

    /// The position of which these are the bytes.
    pub fn from_bytes(bytes: [u8; POSITION_BYTES]) -> Self {
        let (mut seq, mut hash) = ([0; 8], [0; 16]);
        seq.copy_from_slice(&bytes[..8]);
        hash.copy_from_slice(&bytes[8..]);
        Self { seq: i64::from_be_bytes(seq), hash: RecordHash(hash) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_survives_its_encoding_and_nothing_else_does() {
        let position = Position { seq: 42, hash: RecordHash([0xab; 16]) };
        assert_eq!(Position::decode(&position.encode()), Some(position));
        let of_another_history = Position { hash: RecordHash([0xac; 16]), ..position };
        assert_ne!(position.encode(), of_another_history.encode());
        let former = BASE64URL_NOPAD.encode(&42_i64.to_be_bytes());
        let negative = Position { seq: -1, ..position }.encode();
        let padded = format!("{}=", position.encode());
        for bad in ["", "42", "1.2", "h\u{e4}h", &former, &negative, &padded] {
            assert_eq!(Position::decode(bad), None, "{bad:?}");
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
