//! The Bidi Rule of RFC 5893 section 2: a name reads in one direction.

use icu_properties::CodePointMapData;
use icu_properties::props::BidiClass;

/// Whether the name follows the rule. It only concerns texts with characters that are written from
/// right to left.
pub(super) fn is_kept(text: &str) -> bool {
    let classes: Vec<BidiClass> =
        text.chars().map(|character| CodePointMapData::<BidiClass>::new().get(character)).collect();
    let has = |class| classes.contains(&class);
    if ![BidiClass::RightToLeft, BidiClass::ArabicLetter, BidiClass::ArabicNumber]
        .map(has)
        .contains(&true)
    {
        return true;
    }
    let Some(last) = classes.iter().rfind(|class| **class != BidiClass::NonspacingMark) else {
        return false;
    };
    match classes.first() {
        Some(&BidiClass::RightToLeft | &BidiClass::ArabicLetter) => {
            classes.iter().all(|class| is_right_to_left(*class) || is_neutral(*class))
                && (is_right_to_left(*last) || *last == BidiClass::EuropeanNumber)
                && !(has(BidiClass::EuropeanNumber) && has(BidiClass::ArabicNumber))
        }
        // A text that begins left to right has no right-to-left characters.
        _ => false,
    }
}

fn is_right_to_left(class: BidiClass) -> bool {
    [BidiClass::RightToLeft, BidiClass::ArabicLetter, BidiClass::ArabicNumber].contains(&class)
}

/// The classes that are allowed in the middle of a text of either direction.
fn is_neutral(class: BidiClass) -> bool {
    [
        BidiClass::EuropeanNumber,
        BidiClass::EuropeanSeparator,
        BidiClass::CommonSeparator,
        BidiClass::EuropeanTerminator,
        BidiClass::OtherNeutral,
        BidiClass::BoundaryNeutral,
        BidiClass::NonspacingMark,
    ]
    .contains(&class)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_direction_with_digits_of_one_kind_is_fine() {
        for good in
            ["", "ada1", "1", "אב", "אב1", "א1ב", "اب\u{661}", "א\u{5b0}", "\u{1e922}\u{1e923}"]
        {
            assert!(is_kept(good), "{good:?}");
        }
    }

    #[test]
    fn a_mixture_a_leading_digit_or_a_trailing_sign_is_not() {
        for bad in ["aא", "אa", "1א", "א-", "-א", "ا1\u{661}", "\u{661}ا", "a\u{661}"] {
            assert!(!is_kept(bad), "{bad:?}");
        }
    }
}
