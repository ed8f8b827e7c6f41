//! Names and passwords, prepared by RFC 8265 with current Unicode tables. They are parsed once, at
//! the edge, and are valid from then on.

mod bidi_rule;
mod common_passwords;
mod identifier_class;
mod password;
mod username;

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;

pub use common_passwords::{PasswordBlocklist, PasswordGuessable};
pub use password::{Password, PasswordPolicy, PasswordRefused};
pub use username::{NAME_RULES, Username, UsernameRefused};

/// Unicode's Normalization Form C: equal texts consist of the same characters.
fn nfc(text: &str) -> Cow<'_, str> {
    const { ComposingNormalizerBorrowed::new_nfc() }.normalize(text)
}

/// Every character of the planes that contain any, and the first of each other plane: the others
/// contain only unassigned or private code points.
#[cfg(test)]
fn every_character() -> impl Iterator<Item = char> {
    let others = (4..=16).filter_map(|plane| char::from_u32(plane << 16));
    ('\0'..='\u{3ffff}').chain('\u{e0000}'..='\u{effff}').chain(others)
}
