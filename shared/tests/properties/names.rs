//! Names.

use shared::identity::Username;

/// Parsing what is shown gives the same name, and so does looking it up.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let looked_up = Username::lookup_keys(&text);
    let Ok(name) = Username::parse(&text) else { return };
    assert!(looked_up.iter().any(|key| key == name.key()), "{text:?} is found under its key");
    let again = Username::parse(name.as_shown()).expect("what is shown is a name");
    assert_eq!(again, name, "{text:?}");
    let key = Username::parse(name.key()).expect("a key is a name");
    assert_eq!(key.key(), name.key(), "{text:?}");
}
