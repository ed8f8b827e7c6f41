//! RFC 8264's IdentifierClass, derived by its section 8 from today's properties of Unicode, with the
//! contextual rules of RFC 5892, appendix A.

use icu_normalizer::ComposingNormalizerBorrowed;
use icu_properties::props::{
    CanonicalCombiningClass, DefaultIgnorableCodePoint, GeneralCategory, GeneralCategoryGroup,
    HangulSyllableType, JoiningType, NoncharacterCodePoint, Script,
};
use icu_properties::{CodePointMapData, CodePointSetData};

/// The categories of RFC 8264 section 9.1, LetterDigits.
const LETTERS_AND_DIGITS: GeneralCategoryGroup = GeneralCategoryGroup::LowercaseLetter
    .union(GeneralCategoryGroup::UppercaseLetter)
    .union(GeneralCategoryGroup::OtherLetter)
    .union(GeneralCategoryGroup::DecimalNumber)
    .union(GeneralCategoryGroup::ModifierLetter)
    .union(GeneralCategoryGroup::NonspacingMark)
    .union(GeneralCategoryGroup::SpacingMark);

/// The index of the first character that the class does not allow at its place.
pub(super) fn first_disallowed(text: &str) -> Option<usize> {
    // Names are short, and the rules look at the neighbours on both sides.
    let characters: Vec<char> = text.chars().collect();
    (0..characters.len()).find(|&index| !is_allowed(&characters, index))
}

fn is_allowed(characters: &[char], index: usize) -> bool {
    // The exceptions of section 9.6 come first, including those that depend on the context.
    match characters[index] {
        'ß' | 'ς' | '\u{6fd}' | '\u{6fe}' | '\u{f0b}' | '\u{3007}' => true,
        '\u{640}' | '\u{7fa}' | '\u{302e}' | '\u{302f}' | '\u{3031}'..='\u{3035}' | '\u{303b}' => {
            false
        }
        '\u{b7}' | '\u{375}' | '\u{5f3}' | '\u{5f4}' | '\u{30fb}' | '\u{200c}' | '\u{200d}' => {
            suits(characters, index)
        }
        '\u{660}'..='\u{669}' => !characters.iter().any(|c| ('\u{6f0}'..='\u{6f9}').contains(c)),
        '\u{6f0}'..='\u{6f9}' => !characters.iter().any(|c| ('\u{660}'..='\u{669}').contains(c)),
        other => is_valid_anywhere(other),
    }
}

/// Section 8, from "Unassigned" on; the order is the RFC's.
fn is_valid_anywhere(character: char) -> bool {
    if character.is_ascii() {
        return character.is_ascii_graphic();
    }
    let hangul = CodePointMapData::<HangulSyllableType>::new().get(character);
    let is_old_jamo = [
        HangulSyllableType::LeadingJamo,
        HangulSyllableType::VowelJamo,
        HangulSyllableType::TrailingJamo,
    ]
    .contains(&hangul);
    let is_ignorable = CodePointSetData::new::<DefaultIgnorableCodePoint>().contains(character)
        || CodePointSetData::new::<NoncharacterCodePoint>().contains(character);
    let category = CodePointMapData::<GeneralCategory>::new().get(character);
    !is_old_jamo
        && !is_ignorable
        && LETTERS_AND_DIGITS.contains(category)
        && !has_compatibility_form(character)
}

/// Section 9.17, HasCompat.
fn has_compatibility_form(character: char) -> bool {
    let nfkc = const { ComposingNormalizerBorrowed::new_nfkc() };
    !nfkc.is_normalized(character.encode_utf8(&mut [0; 4]))
}

/// RFC 5892, appendix A.1 to A.7.
fn suits(characters: &[char], index: usize) -> bool {
    let before = index.checked_sub(1).map(|before| characters[before]);
    let after = characters.get(index + 1).copied();
    match characters[index] {
        '\u{200c}' => before.is_some_and(is_virama) || joins(characters, index),
        '\u{200d}' => before.is_some_and(is_virama),
        '\u{b7}' => before == Some('l') && after == Some('l'),
        '\u{375}' => after.is_some_and(|after| script(after) == Script::Greek),
        '\u{30fb}' => {
            let japanese = [Script::Hiragana, Script::Katakana, Script::Han];
            characters.iter().any(|&character| japanese.contains(&script(character)))
        }
        _ => before.is_some_and(|before| script(before) == Script::Hebrew),
    }
}

fn is_virama(character: char) -> bool {
    let class = CodePointMapData::<CanonicalCombiningClass>::new().get(character);
    class == CanonicalCombiningClass::Virama
}

fn script(character: char) -> Script {
    CodePointMapData::<Script>::new().get(character)
}

/// Whether the letters around this place would join if there was nothing between them.
fn joins(characters: &[char], index: usize) -> bool {
    let joining = |&character: &char| CodePointMapData::<JoiningType>::new().get(character);
    let not_transparent = |joining: &JoiningType| *joining != JoiningType::Transparent;
    let before = characters[..index].iter().rev().map(joining).find(not_transparent);
    let after = characters[index + 1..].iter().map(joining).find(not_transparent);
    matches!(before, Some(JoiningType::LeftJoining | JoiningType::DualJoining))
        && matches!(after, Some(JoiningType::RightJoining | JoiningType::DualJoining))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_and_digits_of_every_script_are_allowed() {
        for good in ["ada", "Ada_99!~", "ß", "ÅÖ", "Ἀ", "Ж", "ადა", "ᲐᲓᲐ", "\u{1e900}\u{1e922}"]
        {
            assert_eq!(first_disallowed(good), None, "{good}");
        }
    }

    #[test]
    fn what_is_no_letter_or_has_a_compatibility_form_is_not() {
        for bad in ["ab ", "ab\u{7f}", "ab\u{ad}", "ab😀", "ab€", "abﬁ", "abª", "abǅ", "ab\u{1100}"]
        {
            assert_eq!(first_disallowed(bad), Some(2), "{bad}");
        }
    }

    #[test]
    fn what_unicode_has_not_assigned_or_never_will_is_not() {
        for bad in ["\u{378}", "\u{ffff}", "\u{10ffff}", "\u{e000}"] {
            assert_eq!(first_disallowed(bad), Some(0), "{bad:?}");
        }
    }

    #[test]
    fn joiners_are_allowed_where_they_shape_the_letters_around_them() {
        for good in ["ක්\u{200d}ර", "क्\u{200c}ष", "می\u{200c}خواهم"] {
            assert_eq!(first_disallowed(good), None, "{good:?}");
        }
        for (bad, place) in
            [("a\u{200d}b", 1), ("a\u{200c}b", 1), ("\u{200d}", 0), ("ا\u{200c}", 1)]
        {
            assert_eq!(first_disallowed(bad), Some(place), "{bad:?}");
        }
    }

    #[test]
    fn some_characters_need_their_own_kind_around_them() {
        for good in
            ["col\u{b7}lega", "\u{375}α", "א\u{5f3}", "א\u{5f4}א", "ア\u{30fb}ア", "\u{660}1"]
        {
            assert_eq!(first_disallowed(good), None, "{good:?}");
        }
        for bad in ["l\u{b7}", "\u{b7}l", "\u{375}a", "\u{5f3}א", "a\u{30fb}a", "\u{660}\u{6f0}"] {
            assert!(first_disallowed(bad).is_some(), "{bad:?}");
        }
    }
}
