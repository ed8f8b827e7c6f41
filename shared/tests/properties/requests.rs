//! Bodies of requests.

use secrecy::ExposeSecret;
use serde_json::Value;
use shared::http::Members;

/// A text that is no part of any message.
const SECRET: &str = "kanarienvogel";

/// What is taken is an object for every other reader of JSON too, in a form that means the same; what
/// is refused is refused without being quoted.
pub(crate) fn check(input: &[u8]) {
    match Members::parse(input) {
        Ok(members) => {
            let value: Value = serde_json::from_slice(input).expect("what is taken is JSON");
            assert!(value.is_object());
            if has_fraction(&value) {
                return; // Reading and writing one may round it in its last digit.
            }
            let canonical = members.canonical();
            let canonical = canonical.expose_secret();
            assert_eq!(serde_json::from_slice::<Value>(canonical).expect("it is JSON"), value);
            let again = Members::parse(canonical).expect("a canonical form is taken");
            assert_eq!(again.canonical().expose_secret(), canonical);
        }
        Err(refused) => assert!(!format!("{refused:?}").contains(SECRET)),
    }
    let with_secret = [SECRET.as_bytes(), input].concat();
    for body in [&with_secret[..], &[b"\"", &with_secret[..], b"\""].concat()] {
        let refused = Members::parse(body).err().expect("a text is no object");
        assert!(!format!("{refused:?}").contains(SECRET), "{refused:?}");
    }
}

fn has_fraction(value: &Value) -> bool {
    match value {
        Value::Number(number) => number.is_f64(),
        Value::Array(values) => values.iter().any(has_fraction),
        Value::Object(members) => members.values().any(has_fraction),
        _ => false,
    }
}
