//! Passwords.

use secrecy::SecretString;
use shared::identity::{Password, PasswordBlocklist, PasswordPolicy, Username};

const POLICY: PasswordPolicy = PasswordPolicy { min_chars: 8, max_chars: 128 };
/// As long as the policy wants, so that what is refused with it is refused for something else.
const SECRET: &str = "kanarienvogel";

/// A password is the same however often it is prepared, a login prepares it as its creation did, and
/// nothing that is said about it holds a part of it.
pub(crate) fn check(input: &[u8]) {
    let given = String::from_utf8_lossy(input);
    for text in [given.clone().into_owned(), format!("{SECRET}{given}")] {
        let prepared = Password::prepare(&SecretString::from(&*text));
        assert_eq!(prepared.is_none(), text.chars().any(char::is_control), "{text:?}");
        match Password::parse(&SecretString::from(&*text), POLICY) {
            Ok(new) => {
                let prepared = prepared.expect("what may be stored can be compared");
                assert_eq!(prepared.expose_bytes(), new.expose_bytes(), "{text:?}");
                assert_stays(&new);
                assert_unsaid(&format!("{new:?}"));
                check_guessable(&new, &given);
            }
            Err(refused) => assert_unsaid(&format!("{refused} {refused:?}")),
        }
    }
}

fn assert_stays(password: &Password) {
    let text = str::from_utf8(password.expose_bytes()).expect("a text");
    let again = Password::prepare(&SecretString::from(text)).expect("it has no control characters");
    assert_eq!(again.expose_bytes(), password.expose_bytes(), "{text:?}");
}

fn check_guessable(password: &Password, name: &str) {
    let key = Username::parse(name).map(|name| name.key().to_owned()).unwrap_or_default();
    if let Err(refused) = PasswordBlocklist::new(true, &[]).check(password, &key) {
        assert_unsaid(&format!("{refused} {refused:?}"));
    }
}

fn assert_unsaid(said: &str) {
    assert!(!said.contains(SECRET), "{said}");
}
