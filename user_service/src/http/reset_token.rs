//! Reset tokens: who has one may set the password of one user, once.
//!
//! A token is signed, and nothing is stored: it names the security stamp that it was made for, and the
//! password that it sets is another stamp. So it is used up by being used, and by every other change of
//! the password and every end of all sessions.

use contract::{Position, UserId};
use shared::secrets::SealingKeys;

/// What the MAC is for.
const PURPOSE: &[u8] = b"password-reset.v1";

/// What a reset token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ResetToken {
    /// Whose password it sets.
    pub(super) id: UserId,
    /// When it expires, in seconds since 1970.
    pub(super) expires_s: i64,
    /// The user's security stamp when it was made.
    pub(super) stamp: Position,
}

impl ResetToken {
    /// The text that is handed out.
    pub(super) fn encode(&self, keys: &SealingKeys) -> String {
        let said = self.said();
        format!("{said}.{}", keys.sign([PURPOSE, said.as_bytes()]))
    }

    /// Reads a text; `None` unless it was made by [`ResetToken::encode`] and has not expired.
    pub(super) fn decode(text: &str, keys: &SealingKeys, now_s: i64) -> Option<Self> {
        // The MAC is two words.
        let (rest, mac) = text.rsplit_once('.')?;
        let (said, key_id) = rest.rsplit_once('.')?;
        keys.verify(&format!("{key_id}.{mac}"), [PURPOSE, said.as_bytes()]).ok()?;
        let mut words = said.split('.');
        let token = Self {
            id: UserId::parse(words.next()?)?,
            expires_s: words.next()?.parse().ok()?,
            stamp: Position::decode(words.next()?)?,
        };
        (now_s < token.expires_s).then_some(token)
    }

    fn said(&self) -> String {
        format!("{}.{}.{}", self.id, self.expires_s, self.stamp.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use contract::RecordHash;

    fn new_keys() -> SealingKeys {
        SealingKeys::parse(&SealingKeys::generate()).unwrap()
    }

    #[test]
    fn a_token_is_good_until_it_expires_and_only_as_it_was_made() {
        let (keys, other) = (new_keys(), new_keys());
        let stamp = Position { seq: 7, hash: RecordHash([9; 16]) };
        let token = ResetToken { id: UserId(3), expires_s: 1000, stamp };
        let text = token.encode(&keys);
        assert_eq!(ResetToken::decode(&text, &keys, 999), Some(token));
        assert_eq!(ResetToken::decode(&text, &keys, 1000), None);
        assert_eq!(ResetToken::decode(&text, &other, 999), None);
        let for_another_user = text.replacen('3', "4", 1);
        let longer = text.replacen("1000", "9000", 1);
        for bad in [&*for_another_user, &longer, "", ".", "...", "a.b.c.d.e", &text[1..]] {
            assert_eq!(ResetToken::decode(bad, &keys, 999), None, "{bad}");
        }
    }
}
