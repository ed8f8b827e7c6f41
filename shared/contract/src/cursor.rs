//! Places in the log of user_service.

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
    /// Names one run of user_service: random, made anew at every start. A follower that meets
    /// another incarnation compares chains before it applies anything, because the log may have
    /// been restored from an older copy in between.
    Incarnation
}

hex_bytes! {
    /// The first 16 bytes of the SHA-256 over the previous chain and a record: two logs that agree
    /// in `chain` at one `seq` agree in every record up to it. The empty log's chain is all zeros.
    RecordHash
}

hex_bytes! {
    /// What all users at one place in the log come to, in whatever order they are taken: the sum
    /// modulo 2^128 of a hash of each user's id, version and name (`sync::user_checksum`).
    /// Two services that show the same one at the same `seq` hold the same users.
    UsersChecksum
}

impl UsersChecksum {
    /// With one more user.
    #[must_use]
    pub fn plus(self, user: Self) -> Self {
        Self(self.number().wrapping_add(user.number()).to_be_bytes())
    }

    /// Without a user who is in it.
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

/// A place in the log: everything up to and with `seq` is behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Cursor {
    /// The incarnation that vouched for this place.
    pub incarnation: Incarnation,
    /// The sequence number of the last record behind it, 0 before the first.
    pub seq: i64,
    /// The chain at `seq`.
    pub chain: RecordHash,
}

/// What a write hands to its client so that a later `/login` can wait for it: opaque to clients.
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

    /// Reads a header's value, or nothing if it was not made by [`ConsistencyToken::encode`].
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
    fn a_chain_is_written_as_32_hexadecimal_digits() {
        let chain = RecordHash([0xab; 16]);
        assert_eq!(serde_json::to_string(&chain).unwrap(), format!("\"{}\"", "ab".repeat(16)));
        assert!("AB".repeat(16).parse::<RecordHash>().is_err());
        assert!("ab".repeat(15).parse::<RecordHash>().is_err());
    }
}
