//! RFC 8265 section 4.2, `OpaqueString`, for any text without control characters.
//!
//! The RFC's FreeformClass also refuses unassigned characters, joiners and variation selectors:
//! this year's emoji, and parts of older ones. People have them on their keyboards, and a password
//! is only compared with itself, so we accept them.

use icu_properties::CodePointMapData;
use icu_properties::props::GeneralCategory;
use secrecy::{ExposeSecret, SecretString};

use super::nfc;

/// A password in the form that is hashed. `Debug` does not show it.
#[derive(Clone, Debug)]
pub struct Password(SecretString);

/// The allowed length of a new password, in characters (Unicode scalar values).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// At least this many.
    pub min_chars: usize,
    /// At most this many.
    pub max_chars: usize,
}

/// Why a text is not a valid password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordRefused {
    /// Fewer characters than the policy wants.
    #[error("must have at least {0} characters")]
    TooShort(usize),
    /// More characters than the policy allows.
    #[error("must have at most {0} characters")]
    TooLong(usize),
    /// A control character. It is not named, because an error message must not contain a part of a
    /// password.
    #[error("must not contain control characters")]
    ControlCharacter,
}

impl Password {
    /// Parses a new password.
    ///
    /// # Errors
    /// The rule that the text breaks.
    pub fn parse(given: &SecretString, policy: PasswordPolicy) -> Result<Self, PasswordRefused> {
        let prepared = Self::prepare(given).ok_or(PasswordRefused::ControlCharacter)?;
        match prepared.0.expose_secret().chars().count() {
            n if n < policy.min_chars => Err(PasswordRefused::TooShort(policy.min_chars)),
            n if n > policy.max_chars => Err(PasswordRefused::TooLong(policy.max_chars)),
            _ => Ok(prepared),
        }
    }

    /// Prepares a password that will be compared with a stored one. Its length does not matter: the
    /// policy may have been another when it was set. `None` for a text with control characters,
    /// which no stored password contains.
    pub fn prepare(given: &SecretString) -> Option<Self> {
        let given = given.expose_secret();
        if given.chars().any(char::is_control) {
            return None;
        }
        if given.is_ascii() {
            // Nothing changes. And a long password takes no longer than a short one.
            return Some(Self(SecretString::from(given)));
        }
        // Both copies are wiped from memory: this one when `spaced` is dropped.
        let spaced = SecretString::from(given.chars().map(ascii_space).collect::<String>());
        Some(Self(SecretString::from(nfc(spaced.expose_secret()).into_owned())))
    }

    /// The bytes to hash.
    pub fn expose_bytes(&self) -> &[u8] {
        self.0.expose_secret().as_bytes()
    }
}

/// Replaces every other kind of space by an ASCII space, and keeps all other characters.
fn ascii_space(character: char) -> char {
    match CodePointMapData::<GeneralCategory>::new().get(character) {
        GeneralCategory::SpaceSeparator => ' ',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use super::super::every_character;
    use super::*;

    const POLICY: PasswordPolicy = PasswordPolicy { min_chars: 8, max_chars: 128 };

    fn parse(text: &str) -> Result<Password, PasswordRefused> {
        Password::parse(&SecretString::from(text), POLICY)
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert_eq!(parse("1234567").unwrap_err(), PasswordRefused::TooShort(8));
        assert_eq!(parse("").unwrap_err(), PasswordRefused::TooShort(8));
        assert!(parse("éééééééé").is_ok());
        assert!(parse(&"x".repeat(128)).is_ok());
        assert_eq!(parse(&"x".repeat(129)).unwrap_err(), PasswordRefused::TooLong(128));
    }

    #[test]
    fn a_password_is_neither_trimmed_nor_case_mapped() {
        assert_eq!(parse("  PassWord  ").unwrap().expose_bytes(), b"  PassWord  ");
    }

    #[test]
    fn other_spaces_become_ascii_ones_and_composition_does_not_matter() {
        assert_eq!(parse("pass\u{2003}word").unwrap().expose_bytes(), b"pass word");
        let composed = parse("passwor\u{e9}").unwrap();
        assert_eq!(parse("passwore\u{301}").unwrap().expose_bytes(), composed.expose_bytes());
    }

    #[test]
    fn controls_are_refused_and_nothing_of_the_password_is_told() {
        for control in ['\0', '\u{7}', '\n', '\u{7f}', '\u{85}'] {
            let refused = parse(&format!("secret{control}word")).unwrap_err();
            assert_eq!(refused, PasswordRefused::ControlCharacter);
            assert!(!refused.to_string().contains("secret"));
        }
        assert!(!format!("{:?}", parse("longsecret").unwrap()).contains("secret"));
    }

    #[test]
    fn any_text_without_controls_is_a_password() {
        for good in ["🙂🦀", "❤\u{fe0f}", "👨\u{200d}👩\u{200d}👧", "₾", "\u{202e}", "\u{378}", "ﬁ"]
        {
            let password = good.repeat(8);
            assert_eq!(parse(&password).unwrap().expose_bytes(), password.as_bytes(), "{good:?}");
        }
    }

    #[test]
    fn what_was_prepared_is_prepared_to_itself() {
        for character in every_character() {
            let Some(once) = Password::prepare(&character.to_string().into()) else {
                assert!(character.is_control());
                continue;
            };
            let twice = Password::prepare(&once.0).unwrap();
            assert_eq!(twice.expose_bytes(), once.expose_bytes(), "{character:?}");
        }
    }
}
