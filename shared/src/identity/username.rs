//! RFC 8265 section 3.3, `UsernameCaseMapped`.

use precis_profiles::UsernameCaseMapped;
use precis_profiles::precis_core::profile::Profile;
use unicode_normalization::UnicodeNormalization;

/// The most characters (Unicode scalar values) of a name as given, and of its key.
const MAX_CHARS: usize = 64;

/// A name that the profile allows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Username {
    shown: String,
    key: String,
}

/// Why a text is no name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UsernameRefused {
    /// No characters.
    #[error("must not be empty")]
    Empty,
    /// More than 64 characters.
    #[error("must have at most 64 characters")]
    TooLong,
    /// A character outside the PRECIS IdentifierClass: spaces, controls, symbols, invisible ones.
    #[error(
        "must be letters, digits and ASCII punctuation: character {position} (U+{codepoint:04X}) \
         is not allowed"
    )]
    Character {
        /// Which one, counted from 1.
        position: usize,
        /// Its code point.
        codepoint: u32,
    },
    /// Left-to-right and right-to-left characters mixed against the Bidi Rule (RFC 5893), or
    /// another rule of the profile is broken.
    #[error("mixes characters in a way that RFC 8265 does not allow")]
    Combination,
}

impl Username {
    /// Parses a name as a client gave it.
    ///
    /// # Errors
    /// Tells the first rule that it breaks.
    pub fn parse(given: &str) -> Result<Self, UsernameRefused> {
        if given.is_empty() {
            return Err(UsernameRefused::Empty);
        }
        // Before the work that grows with the length, or a body full of name would pay for it.
        if given.chars().nth(MAX_CHARS).is_some() {
            return Err(UsernameRefused::TooLong);
        }
        let key = enforce(given)?;
        // Case mapping can turn a name into one whose mapping differs again; RFC 8264 section 7
        // asks for a stable form, or else one name could have two keys.
        if enforce(&key)? != key {
            return Err(UsernameRefused::Combination);
        }
        let shown: String = given.nfc().collect();
        if [&shown, &key].into_iter().any(|text| text.chars().count() > MAX_CHARS) {
            return Err(UsernameRefused::TooLong);
        }
        Ok(Self { shown, key })
    }

    /// The name as it was given, in NFC.
    pub fn as_shown(&self) -> &str {
        &self.shown
    }

    /// What two names must not have in common: width, case and composition are mapped away.
    pub fn key(&self) -> &str {
        &self.key
    }
}

fn enforce(text: &str) -> Result<String, UsernameRefused> {
    use precis_profiles::precis_core::Error;
    match UsernameCaseMapped::new().enforce(text) {
        Ok(key) => Ok(key.into_owned()),
        Err(Error::BadCodepoint(at)) => {
            Err(UsernameRefused::Character { position: at.position + 1, codepoint: at.cp })
        }
        Err(Error::Invalid | Error::Unexpected(_)) => Err(UsernameRefused::Combination),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_is_shown_as_given_and_compared_without_case_width_and_composition() {
        let given = Username::parse("Jose\u{301}").unwrap();
        assert_eq!(given.as_shown(), "Jos\u{e9}");
        for same in ["jos\u{e9}", "JOS\u{c9}", "\u{ff2a}os\u{e9}"] {
            assert_eq!(Username::parse(same).unwrap().key(), given.key(), "{same}");
        }
    }

    #[test]
    fn spaces_controls_and_invisible_characters_are_refused() {
        for bad in [
            " a",
            "a b",
            "a\0",
            "a\n",
            "a\u{200b}b",
            "a\u{202e}b",
            "\u{feff}a",
            "a\u{ad}b",
            "a\u{2028}",
            "\u{e000}",
            "a\u{3000}b",
            "\u{1f600}",
        ] {
            let refused = Username::parse(bad).unwrap_err();
            assert!(matches!(refused, UsernameRefused::Character { .. }), "{bad:?}: {refused}");
        }
    }

    #[test]
    fn a_mixture_of_directions_is_refused() {
        assert_eq!(Username::parse("a\u{5d0}"), Err(UsernameRefused::Combination));
    }

    #[test]
    fn one_to_64_characters_are_allowed() {
        assert_eq!(Username::parse(""), Err(UsernameRefused::Empty));
        assert!(Username::parse(&"é".repeat(64)).is_ok());
        assert_eq!(Username::parse(&"é".repeat(65)), Err(UsernameRefused::TooLong));
    }

    #[test]
    fn the_first_bad_character_is_named() {
        let refused = Username::parse("ab cd").unwrap_err();
        assert!(refused.to_string().contains("character 3 (U+0020)"), "{refused}");
    }

    proptest! {
        #[test]
        fn whatever_is_given_the_shown_form_parses_to_the_same_name(given in "\\PC{1,70}") {
            if let Ok(name) = Username::parse(&given) {
                let again = Username::parse(name.as_shown()).unwrap();
                prop_assert_eq!(again.key(), name.key());
                prop_assert_eq!(again.as_shown(), name.as_shown());
            }
        }
    }
}
