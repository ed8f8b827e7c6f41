//! Bodies of requests.

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use shared::http::Members;
use shared::identity::{Password, Username};

/// A text that is no part of any message.
const SECRET: &str = "kanarienvogel";

/// What is taken is an object for every other reader of JSON too, in a form that means the same; what
/// is refused is refused without being quoted.
pub(crate) fn check(input: &[u8]) {
    check_members(input);
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

/// The members of a new user and of a login, as both services take them: whatever else is in the body,
/// the password is in no refusal, and only these two members pass.
fn check_members(input: &[u8]) {
    let inner = String::from_utf8_lossy(input);
    let quoted = Value::from(format!("{SECRET}{inner}")).to_string();
    // The name of a member is told, so it must not happen to be the secret.
    let is_harmless = !inner.contains(['\\', 'k']);
    let more = if is_harmless { &*inner } else { "" };
    for body in [
        format!(r#"{{"username":"ada","password":{quoted}}}"#),
        format!(r#"{{"username":{quoted},"password":{quoted}}}"#),
        format!(r#"{{"username":"ada","password":[{quoted}]}}"#),
        format!(r#"{{"username":"ada","password":{quoted},"x":{quoted}}}"#),
        format!(r#"{{"username":"ada","password":"{SECRET}"{more}}}"#),
    ] {
        let Ok(mut members) = Members::parse(body.as_bytes()) else { continue };
        let (name, password) = (members.string("username"), members.secret("password"));
        match members.finish() {
            Ok(()) => {
                let (name, password) = (name.expect("a text"), password.expect("a text"));
                let refused = Username::parse(&name).err();
                assert!(!format!("{refused:?}").contains(SECRET), "{refused:?}");
                let parsed = Password::prepare(&SecretString::from(password.expose_secret()));
                assert!(!format!("{parsed:?}").contains(SECRET), "{parsed:?}");
            }
            Err(refused) => assert!(!format!("{refused:?}").contains(SECRET), "{refused:?}"),
        }
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
