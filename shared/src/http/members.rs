//! The members of a JSON object, taken one by one, so that one answer lists all faults.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{SecretSlice, SecretString};
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use contract::MemberError;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A JSON object whose members are being taken.
pub struct Members {
    left: BTreeMap<String, Value>,
    errors: Vec<MemberError>,
}

impl Members {
    /// Parses a body: one JSON object without duplicate members. A byte order mark in front of it
    /// is ignored, as RFC 8259 section 8.1 allows.
    ///
    /// # Errors
    /// 400 if the body is anything else.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let body = body.strip_prefix(BYTE_ORDER_MARK).unwrap_or(body);
        let UniqueMembers(left) = serde_json::from_slice(body).map_err(|error| {
            // The library's message for a syntax error names a line and a column. Its message for
            // wrong data quotes the data, which may be a password.
            let detail = if error.is_data() {
                "the body must be one JSON object without duplicate members".to_owned()
            } else {
                format!("the body is not JSON: {error}")
            };
            Problem::new(ProblemKind::Malformed, detail)
        })?;
        Ok(Self { left, errors: Vec::new() })
    }

    /// All members in one fixed order and notation: equal for bodies with the same meaning,
    /// whatever their order of members, white space and escapes. For fingerprints; it contains the
    /// secrets.
    pub fn canonical(&self) -> SecretSlice<u8> {
        serde_json::to_vec(&self.left).unwrap_or_default().into()
    }

    /// Whether the object has this member, and it was not taken.
    pub fn contains(&self, name: &str) -> bool {
        self.left.contains_key(name)
    }

    /// Takes a required string. `None` means that a fault was noted for [`Members::finish`].
    pub fn string(&mut self, name: &str) -> Option<String> {
        let taken = self.optional_string(name);
        if taken.is_none() && !self.has_error(name) {
            self.note(name, "is required");
        }
        taken
    }

    /// Takes an optional string.
    pub fn optional_string(&mut self, name: &str) -> Option<String> {
        if let Value::String(text) = self.left.remove(name)? {
            return Some(text);
        }
        self.note(name, "must be a string");
        None
    }

    /// Takes a required secret.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.string(name).map(SecretString::from)
    }

    /// Takes an optional secret.
    pub fn optional_secret(&mut self, name: &str) -> Option<SecretString> {
        self.optional_string(name).map(SecretString::from)
    }

    /// Takes an optional integer, which may be written as 1.0, as in JSON Schema. One above `i64::MAX` counts as
    /// `i64::MAX`: no id is that large.
    pub fn optional_integer(&mut self, name: &str) -> Option<i64> {
        let taken = self.left.remove(name)?;
        let integer = taken.as_i64().or_else(|| taken.as_f64().and_then(whole));
        if integer.is_none() {
            self.note(name, "must be an integer");
        }
        integer
    }

    /// Refuses the members that were not taken.
    ///
    /// # Errors
    /// 400 with all noted faults.
    pub fn finish(mut self) -> Result<(), Problem> {
        for name in std::mem::take(&mut self.left).into_keys() {
            self.note(&name, "is not a known member");
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::new(
            ProblemKind::Malformed,
            "members are missing, unknown or of the wrong type, see errors",
        )
        .with_errors(self.errors))
    }

    fn note(&mut self, name: &str, detail: &str) {
        self.errors.push(MemberError { pointer: pointer(name), detail: detail.into() });
    }

    fn has_error(&self, name: &str) -> bool {
        self.errors.iter().any(|error| error.pointer == pointer(name))
    }
}

/// RFC 6901.
fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

struct UniqueMembers(BTreeMap<String, Value>);

impl<'de> Deserialize<'de> for UniqueMembers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = UniqueMembers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<UniqueMembers, A::Error> {
                let mut members = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Value>()? {
                    if members.insert(name, value).is_some() {
                        return Err(Error::custom("duplicate member"));
                    }
                }
                Ok(UniqueMembers(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "what is too large becomes the largest")]
fn whole(number: f64) -> Option<i64> {
    (number.fract() == 0.0).then_some(number as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;
    use secrecy::ExposeSecret;

    fn errors(problem: &Problem) -> Vec<String> {
        let body = actix_web::rt::System::new().block_on(async {
            actix_web::body::to_bytes(problem.error_response().into_body()).await.unwrap()
        });
        let document: contract::ProblemDocument = serde_json::from_slice(&body).unwrap();
        document.errors.into_iter().map(|e| format!("{} {}", e.pointer, e.detail)).collect()
    }

    #[test]
    fn all_that_is_wrong_is_named_at_once() {
        let mut members = Members::parse(br#"{"username":7,"a/b":null}"#).unwrap();
        assert!(members.string("username").is_none());
        assert!(members.secret("password").is_none());
        let named = errors(&members.finish().unwrap_err());
        let wanted =
            ["/username must be a string", "/password is required", "/a~1b is not a known member"];
        assert_eq!(named, wanted);
    }

    #[test]
    fn only_one_object_without_doubles_is_an_object() {
        for bad in [
            "",
            "{",
            "[]",
            "7",
            "null",
            "\"x\"",
            "{} {}",
            r#"{"a":1,"a":1}"#,
            "{'a':1}",
            r#"{"a":"\ud800"}"#,
            "{\"a\":\"\n\"}",
            "\u{feff}",
            "\u{feff}\u{feff}{}",
            "{\u{feff}}",
        ] {
            assert!(Members::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Members::parse(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        assert!(Members::parse(format!("{{\"a\":{}", "[".repeat(10_000)).as_bytes()).is_err());
    }

    #[test]
    fn a_byte_order_mark_is_ignored() {
        let mut members = Members::parse("\u{feff}{\"a\":\"b\"}".as_bytes()).unwrap();
        assert_eq!(members.string("a").as_deref(), Some("b"));
    }

    #[test]
    fn bodies_that_mean_the_same_have_the_same_canonical_form() {
        let canonical = |body: &str| {
            let members = Members::parse(body.as_bytes()).unwrap();
            members.canonical().expose_secret().to_vec()
        };
        let one = canonical(r#"{"a":"x","b":"y"}"#);
        for same in ["{ \"b\" : \"y\",\n\"a\":\"x\" }", r#"{"\u0061":"\u0078","b":"y"}"#] {
            assert_eq!(canonical(same), one, "{same}");
        }
        for other in [r#"{"a":"y","b":"x"}"#, r#"{"a":"x"}"#, r#"{"a":"x","b":"y","c":null}"#] {
            assert_ne!(canonical(other), one, "{other}");
        }
    }

    #[test]
    fn only_an_integer_is_an_integer() {
        let body = br#"{"a":7,"b":18446744073709551615,"c":1.0,"d":"1","e":null,"f":1.5}"#;
        let mut members = Members::parse(body).unwrap();
        assert_eq!(members.optional_integer("a"), Some(7));
        assert_eq!(members.optional_integer("b"), Some(i64::MAX));
        assert_eq!(members.optional_integer("c"), Some(1));
        assert!(["d", "e", "f", "g"].iter().all(|name| members.optional_integer(name).is_none()));
        assert_eq!(errors(&members.finish().unwrap_err()).len(), 3);
    }

    #[test]
    fn an_error_does_not_quote_the_body() {
        for body in [r#""a secret""#, r#"["a secret"]"#, r#"{"a secret":1,"a secret":2}"#] {
            let problem = Members::parse(body.as_bytes()).err().unwrap();
            assert!(!format!("{problem:?}").contains("a secret"), "{problem:?}");
        }
    }

    #[test]
    fn an_optional_member_may_be_absent_but_not_null() {
        let mut members = Members::parse(br#"{"b":null}"#).unwrap();
        assert!(members.optional_string("a").is_none());
        assert!(members.optional_string("b").is_none());
        assert_eq!(errors(&members.finish().unwrap_err()), ["/b must be a string"]);
    }
}
