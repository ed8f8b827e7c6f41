//! The members of a JSON object, taken one by one, so that one answer names all that is wrong.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::SecretString;
use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde_json::Value;

use super::problem::{Problem, ProblemKind};
use contract::MemberError;

/// A JSON object whose members are being taken.
pub struct Members {
    left: BTreeMap<String, Value>,
    errors: Vec<MemberError>,
}

impl Members {
    /// Parses a body: one JSON object, none of whose members is there twice.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let UniqueMembers(left) = serde_json::from_slice(body).map_err(|error| {
            // What the library says of wrong syntax names places and kinds. What it says of wrong
            // data quotes them, and a lone string may be somebody's password.
            let detail = if error.is_data() {
                "the body must be one JSON object without a member that is there twice".to_owned()
            } else {
                format!("the body is not JSON: {error}")
            };
            Problem::new(ProblemKind::Malformed, detail)
        })?;
        Ok(Self { left, errors: Vec::new() })
    }

    /// Takes a string that must be there. `None` has been noted and comes out of
    /// [`Members::finish`].
    pub fn string(&mut self, name: &str) -> Option<String> {
        let taken = self.optional_string(name);
        if taken.is_none() && !self.has_error(name) {
            self.note(name, "is required");
        }
        taken
    }

    /// Takes a string that may be there.
    pub fn optional_string(&mut self, name: &str) -> Option<String> {
        if let Value::String(text) = self.left.remove(name)? {
            return Some(text);
        }
        self.note(name, "must be a string");
        None
    }

    /// Takes a secret that must be there.
    pub fn secret(&mut self, name: &str) -> Option<SecretString> {
        self.string(name).map(SecretString::from)
    }

    /// Takes a secret that may be there.
    pub fn optional_secret(&mut self, name: &str) -> Option<SecretString> {
        self.optional_string(name).map(SecretString::from)
    }

    /// Ends the taking: members that nobody took are unknown.
    ///
    /// # Errors
    /// 400 with all that was noted.
    pub fn finish(mut self) -> Result<(), Problem> {
        let unknown: Vec<String> = self.left.keys().cloned().collect();
        for name in unknown {
            self.note(&name, "is not known here");
        }
        if self.errors.is_empty() {
            return Ok(());
        }
        Err(Problem::new(ProblemKind::Malformed, "the body's members are wrong, see errors")
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
                        return Err(Error::custom("a member is there twice"));
                    }
                }
                Ok(UniqueMembers(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::ResponseError;

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
            ["/username must be a string", "/password is required", "/a~1b is not known here"];
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
            "\u{feff}{}",
        ] {
            assert!(Members::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
        assert!(Members::parse(b"{\"a\":\"\xff\"}").is_err(), "not UTF-8");
        assert!(Members::parse(format!("{{\"a\":{}", "[".repeat(10_000)).as_bytes()).is_err());
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
