//! Users as clients see them.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a user: an integer from 1, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UserId(pub i64);

impl UserId {
    /// Reads the canonical decimal form (`1`, never `01` or `+1`), or nothing.
    pub fn parse(text: &str) -> Option<Self> {
        let id: i64 = text.parse().ok()?;
        (id >= 1 && id.to_string() == text).then_some(Self(id))
    }
}

impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// One user in an answer: exactly these two members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema), schema(as = User))]
pub struct UserRepresentation {
    /// The user's number, never used again.
    #[cfg_attr(feature = "openapi", schema(value_type = i64, minimum = 1, example = 1))]
    pub id: UserId,
    /// The name as it was given, in NFC.
    #[cfg_attr(feature = "openapi", schema(min_length = 1, max_length = 64, example = "testuser"))]
    pub username: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_form_of_a_positive_integer_is_an_id() {
        assert_eq!(UserId::parse("17"), Some(UserId(17)));
        for bad in ["", "0", "-1", "+1", "01", "1.0", "1 ", "abc", "9223372036854775808"] {
            assert_eq!(UserId::parse(bad), None, "{bad:?}");
        }
    }
}
