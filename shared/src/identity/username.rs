//! RFC 8265 section 3.3, `UsernameCaseMapped`, over the Unicode tables of icu4x.

use std::borrow::Cow;

use icu_casemap::CaseMapper;
use icu_locale_core::LanguageIdentifier;
use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::CodePointMapData;
use icu_properties::props::EastAsianWidth;

use super::{bidi_rule, identifier_class, nfc};

/// The most characters (Unicode scalar values) of a name as it is shown.
const MAX_CHARS: usize = 64;

/// A character takes at most this many when it is decomposed.
const MAX_DECOMPOSITION: usize = 4;

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
    /// Left-to-right and right-to-left characters mixed against the Bidi Rule (RFC 5893).
    #[error("mixes characters in a way that RFC 8265 does not allow")]
    Combination,
}

impl Username {
    /// Parses a name as a client gave it.
    ///
    /// Everything follows from the composed form, which is also the one that is shown: so what is
    /// shown parses to the same name, whatever the tables say.
    ///
    /// # Errors
    /// Tells the first rule that it breaks.
    pub fn parse(given: &str) -> Result<Self, UsernameRefused> {
        let shown = composed(given)?;
        // The RFC judges the characters before it composes them; those that are shown must be
        // allowed as well.
        expect_allowed(given)?;
        expect_allowed(&shown)?;
        let key = key_of(&shown);
        if !bidi_rule::is_kept(&key) {
            return Err(UsernameRefused::Combination);
        }
        // RFC 8264 section 7 asks for a stable form, or else one name could have two keys.
        if key_of(&key) != key {
            return Err(UsernameRefused::Combination);
        }
        Ok(Self { shown: shown.into_owned(), key })
    }

    /// The key under which a user is looked up who claims this name, or nothing if it is nobody's.
    ///
    /// It does not judge the name: a user whose name an older version has accepted is found, too.
    pub fn lookup_key(given: &str) -> Option<String> {
        composed(given).ok().map(|shown| key_of(&shown))
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

/// The text in NFC, if its length is that of a name.
fn composed(given: &str) -> Result<Cow<'_, str>, UsernameRefused> {
    if given.is_empty() {
        return Err(UsernameRefused::Empty);
    }
    // Before the work that grows with the length, or a body full of name would pay for it.
    if given.chars().nth(MAX_CHARS * MAX_DECOMPOSITION).is_some() {
        return Err(UsernameRefused::TooLong);
    }
    let shown = nfc(given);
    if shown.chars().nth(MAX_CHARS).is_some() { Err(UsernameRefused::TooLong) } else { Ok(shown) }
}

fn expect_allowed(text: &str) -> Result<(), UsernameRefused> {
    let narrow = width_mapped(text);
    match identifier_class::first_disallowed(&narrow) {
        None => Ok(()),
        Some(index) => Err(UsernameRefused::Character {
            position: index + 1,
            codepoint: text.chars().nth(index).map_or(0, u32::from),
        }),
    }
}

/// The rules of RFC 8265 section 3.3 in their order: width, case, normalization.
fn key_of(shown: &str) -> String {
    // One small sigma: which one toLowerCase gives depends on the letters around it.
    let narrow = width_mapped(shown).replace('Σ', "σ");
    let lower = const { CaseMapper::new() }
        .lowercase_to_string(&narrow, &LanguageIdentifier::UNKNOWN)
        .into_owned();
    nfc(&lower).into_owned()
}

/// Full-width and half-width characters become the ordinary ones.
fn width_mapped(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return Cow::Borrowed(text);
    }
    let nfkc = const { ComposingNormalizerBorrowed::new_nfkc() };
    let mut mapped = String::with_capacity(text.len());
    for character in text.chars() {
        match CodePointMapData::<EastAsianWidth>::new().get(character) {
            // By definition those with a decomposition of the type wide or narrow. Where it can be
            // decomposed further, both are characters that no name may hold.
            EastAsianWidth::Fullwidth | EastAsianWidth::Halfwidth => {
                mapped.push_str(&nfkc.normalize(character.encode_utf8(&mut [0; 4])));
            }
            _ => mapped.push(character),
        }
    }
    Cow::Owned(mapped)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use icu_normalizer::DecomposingNormalizerBorrowed;
    use icu_properties::CodePointSetData;
    use icu_properties::props::{DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup};
    use proptest::prelude::*;

    use super::*;

    fn expect_fixed_point(given: &str) {
        let Ok(name) = Username::parse(given) else { return };
        let again = Username::parse(name.as_shown());
        assert_eq!(again.as_ref(), Ok(&name), "{given:?}");
        assert_eq!(key_of(name.key()), name.key(), "{given:?}");
        assert_eq!(Username::lookup_key(given).as_deref(), Some(name.key()), "{given:?}");
    }

    #[test]
    fn a_name_is_shown_as_given_and_compared_without_case_width_and_composition() {
        let given = Username::parse("Jose\u{301}").unwrap();
        assert_eq!(given.as_shown(), "Jos\u{e9}");
        for same in ["jos\u{e9}", "JOS\u{c9}", "\u{ff2a}os\u{e9}"] {
            assert_eq!(Username::parse(same).unwrap().key(), given.key(), "{same}");
        }
        assert_eq!(Username::parse("ΟΔΟΣ").unwrap().key(), "οδοσ");
        assert_eq!(Username::parse("ｶﾞｽ").unwrap().key(), "ガス");
    }

    #[test]
    fn scripts_that_unicode_has_got_since_2013_are_names() {
        for (capital, small) in [("\u{1e900}\u{1e901}", "\u{1e922}\u{1e923}"), ("ᲐᲓᲐ", "ადა")]
        {
            let name = Username::parse(capital).unwrap();
            assert_eq!((name.as_shown(), name.key()), (capital, small));
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
            "a\u{ffa0}b",
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
    fn one_to_64_characters_are_allowed_as_they_are_shown() {
        assert_eq!(Username::parse(""), Err(UsernameRefused::Empty));
        for longest in ["é", "e\u{301}", "İ"].map(|character| character.repeat(64)) {
            assert_eq!(Username::parse(&longest).unwrap().as_shown().chars().count(), 64);
        }
        for long in ["é".repeat(65), "x".repeat(16_000)] {
            assert_eq!(Username::parse(&long), Err(UsernameRefused::TooLong));
            assert_eq!(Username::lookup_key(&long), None);
        }
    }

    #[test]
    fn the_first_bad_character_is_named() {
        let refused = Username::parse("ab cd").unwrap_err();
        assert!(refused.to_string().contains("character 3 (U+0020)"), "{refused}");
    }

    #[test]
    fn a_pair_is_judged_as_the_character_that_it_composes_to() {
        let capital = Username::parse("\u{1f88}").unwrap_err();
        assert_eq!(Username::parse("\u{1f08}\u{345}"), Err(capital));
        assert_eq!(Username::parse("\u{1f00}\u{345}").unwrap().as_shown(), "\u{1f80}");
    }

    #[test]
    fn a_name_that_is_refused_today_can_still_be_looked_up() {
        assert_eq!(Username::lookup_key("\u{1f08}\u{345}").as_deref(), Some("\u{1f80}"));
        assert_eq!(Username::lookup_key("a b").as_deref(), Some("a b"));
    }

    #[test]
    fn every_character_parses_to_itself_and_no_invisible_one_parses() {
        for character in '\0'..=char::MAX {
            let text = character.to_string();
            if let Ok(name) = Username::parse(&text) {
                expect_fixed_point(&text);
                // None changes when it is composed: the RFC refuses those that do.
                assert_eq!(name.as_shown(), text);
                let category = CodePointMapData::<GeneralCategory>::new().get(character);
                assert!(!GeneralCategoryGroup::Other.contains(category), "{text:?}");
                assert!(!GeneralCategoryGroup::Separator.contains(category), "{text:?}");
                assert!(!CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character));
            }
        }
    }

    #[test]
    fn every_pair_that_can_compose_parses_to_itself() {
        let nfd = DecomposingNormalizerBorrowed::new_nfd();
        let decomposed: Vec<Vec<char>> = ('\0'..=char::MAX)
            // Hangul follows one rule; these are an example of each of its two forms.
            .filter(|character| !('\u{ac02}'..='\u{d7a3}').contains(character))
            .map(|character| nfd.normalize_iter([character].into_iter()).collect())
            .filter(|parts: &Vec<char>| parts.len() > 1)
            .collect();
        let bases: BTreeSet<char> = decomposed.iter().map(|parts| parts[0]).collect();
        let marks: BTreeSet<char> =
            decomposed.iter().flat_map(|parts| parts[1..].to_vec()).collect();
        for base in bases.iter().flat_map(|base| cases_of(*base)) {
            for mark in &marks {
                expect_fixed_point(&format!("{base}{mark}"));
            }
        }
        for parts in decomposed {
            let tail: String = parts[1..].iter().collect();
            cases_of(parts[0]).for_each(|base| expect_fixed_point(&format!("{base}{tail}")));
        }
    }

    fn cases_of(character: char) -> impl Iterator<Item = char> {
        let mapper = CaseMapper::new();
        [character, mapper.simple_lowercase(character), mapper.simple_uppercase(character)]
            .into_iter()
    }

    proptest! {
        #[test]
        fn whatever_is_given_the_shown_form_parses_to_the_same_name(given in "\\PC{1,70}") {
            expect_fixed_point(&given);
        }

        #[test]
        fn letters_and_marks_in_any_order_parse_to_themselves(given in r"[\pL\pM\p{Nd}]{1,8}") {
            expect_fixed_point(&given);
        }
    }
}
