//! Passwords that are refused because attackers try them first.

use std::collections::BTreeSet;
use std::sync::Arc;

use secrecy::{ExposeSecret, SecretString};

use super::Password;

/// 17,950 passwords in lower case, sorted by bytes, one per line; all have 8 characters or more.
/// `scripts/common-passwords.sh` generates the file, and `common_passwords.LICENSE.txt` is its
/// licence.
const COMMON: &str = include_str!("common_passwords.txt");

/// This service's name is as easy to guess as the user's name.
const SERVICE: &str = "lockstep";

/// The new passwords to refuse, as NIST SP 800-63B-4 requires: common passwords, and those that
/// consist of the username or the service's name. Clones share it.
#[derive(Clone, Debug)]
pub struct PasswordBlocklist {
    is_on: bool,
    /// In lower case.
    exceptions: Arc<BTreeSet<String>>,
}

/// Why a password is too easy to guess. The password is not quoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordGuessable {
    /// It is on the list.
    #[error(
        "is one of the passwords that are tried first: choose one that only you would think of"
    )]
    Common,
    /// It consists only of the name and filler characters.
    #[error(
        "must not consist only of the username, or the name of this service, with digits and punctuation"
    )]
    Name,
}

impl PasswordBlocklist {
    /// Accepts the `exceptions` even if they are on the list, and accepts everything if `is_on` is
    /// false. Case does not matter.
    pub fn new(is_on: bool, exceptions: &[String]) -> Self {
        let exceptions = exceptions.iter().map(|text| text.to_lowercase()).collect();
        Self { is_on, exceptions: Arc::new(exceptions) }
    }

    /// Checks a new password of the user with this name; its case does not matter.
    ///
    /// # Errors
    /// It is too easy to guess.
    pub fn check(&self, password: &Password, username: &str) -> Result<(), PasswordGuessable> {
        let text = str::from_utf8(password.expose_bytes()).unwrap_or_default();
        let text = SecretString::from(text.to_lowercase());
        let text = text.expose_secret();
        if !self.is_on || self.exceptions.contains(text) {
            return Ok(());
        }
        if is_listed(COMMON, text) {
            return Err(PasswordGuessable::Common);
        }
        if [username.to_lowercase().as_str(), SERVICE].iter().any(|name| is_made_of(text, name)) {
            return Err(PasswordGuessable::Name);
        }
        Ok(())
    }
}

/// Whether `word` is one of the sorted lines.
fn is_listed(lines: &str, word: &str) -> bool {
    let mut rest = lines;
    while !rest.is_empty() {
        let middle = rest.len() / 2;
        let before = rest.as_bytes()[..middle].iter().rposition(|byte| *byte == b'\n');
        let start = before.map_or(0, |at| at + 1);
        let Some(from) = rest.get(start..) else { return false };
        let (line, behind) = from.split_once('\n').unwrap_or((from, ""));
        match word.cmp(line) {
            std::cmp::Ordering::Equal => return true,
            std::cmp::Ordering::Less => rest = rest.get(..start).unwrap_or_default(),
            std::cmp::Ordering::Greater => rest = behind,
        }
    }
    false
}

/// Whether the text contains the name, and otherwise only digits, punctuation and spaces.
fn is_made_of(text: &str, name: &str) -> bool {
    let is_filler = |c: char| c.is_ascii_digit() || c.is_ascii_punctuation() || c == ' ';
    !name.is_empty()
        && text.contains(name)
        && text.split(name).all(|between| between.chars().all(is_filler))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(password: &str, username: &str) -> Result<(), PasswordGuessable> {
        let blocklist = PasswordBlocklist::new(true, &["testpassword".into(), "Qwertyuiop".into()]);
        let password = Password::prepare(&SecretString::from(password)).unwrap();
        blocklist.check(&password, username)
    }

    #[test]
    fn the_list_has_what_it_should_and_is_sorted_so_that_it_can_be_searched() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 15_000, "{}", lines.len());
        assert!(lines.is_sorted_by(|one, next| one < next));
        for line in lines {
            assert!(line.len() >= 8 && line.bytes().all(|b| matches!(b, b'!'..=b'~')), "{line}");
            assert_eq!(line, line.to_ascii_lowercase());
            assert!(is_listed(COMMON, line), "{line}");
        }
    }

    #[test]
    fn a_common_password_is_refused_in_any_case() {
        for bad in ["password", "PassWord", "qwerty123", "iloveyou", "12345678", "trustno1"] {
            assert_eq!(check(bad, "ada"), Err(PasswordGuessable::Common), "{bad}");
        }
        for good in ["correct horse battery staple", "correcthorse-7", "passwordpassworx"] {
            assert_eq!(check(good, "ada"), Ok(()), "{good}");
        }
    }

    #[test]
    fn the_username_with_digits_and_signs_is_refused_and_a_sentence_with_it_is_not() {
        for bad in ["adalovelace", "AdaLovelace1815", "adalovelaceadalovelace", "1-adalovelace!"] {
            assert_eq!(check(bad, "AdaLovelace"), Err(PasswordGuessable::Name), "{bad}");
        }
        assert_eq!(check("Lockstep-2026", "ada"), Err(PasswordGuessable::Name));
        for good in ["adalovelace writes", "not adalovelace", "7777-1815"] {
            assert_eq!(check(good, "AdaLovelace"), Ok(()), "{good}");
        }
    }

    #[test]
    fn exceptions_are_taken_and_a_list_that_is_off_takes_everything() {
        assert_eq!(check("testpassword", "testuser"), Ok(()));
        assert_eq!(check("qwertyuiop", "testuser"), Ok(()));
        let off = PasswordBlocklist::new(false, &[]);
        let password = Password::prepare(&SecretString::from("password")).unwrap();
        assert_eq!(off.check(&password, "password"), Ok(()));
    }

    #[test]
    fn what_is_told_holds_nothing_of_the_password() {
        let text = format!("{} {}", PasswordGuessable::Common, PasswordGuessable::Name);
        assert!(!text.contains("trustno1") && !text.contains("adalovelace"));
    }

    proptest! {
        /// The binary search finds the same as a linear search.
        #[test]
        fn a_word_is_found_if_and_only_if_it_is_a_line(
            words in prop::collection::btree_set("[a-c]{1,4}", 0..20),
            word in "[a-c]{1,4}",
        ) {
            let lines = words.iter().flat_map(|word| [word, "\n"]).collect::<String>();
            prop_assert_eq!(is_listed(&lines, &word), words.contains(&word));
        }

        #[test]
        fn any_password_can_be_checked(password in "\\PC{0,40}", username in "[a-zé]{1,8}") {
            if let Some(password) = Password::prepare(&SecretString::from(password)) {
                let blocklist = PasswordBlocklist::new(true, &[]);
                let _ = blocklist.check(&password, &username);
            }
        }
    }
}
