//! Paths as the access log shows them.
//!
//! Clients put what belongs into a body into the path by mistake: `/login/ada/her-password`. A log is
//! read by more people, and kept for longer, than a password may be. So it shows words that are ours and
//! numbers, and an asterisk for everything else; and never the query.

use std::borrow::Cow;

/// The words of both services' paths: a request to the wrong service can be recognised.
const WORDS: [&str; 24] = [
    "users",
    "sessions",
    "reset-token",
    "password-reset",
    "console",
    "login",
    "logout",
    "all",
    "refresh",
    "introspect",
    "revoke",
    "verify",
    ".well-known",
    "jwks.json",
    "oauth-authorization-server",
    "healthz",
    "readyz",
    "metrics",
    "problems",
    "docs",
    "openapi.json",
    "internal",
    "sync",
    "tokens",
];
/// The digits of the longest id. What is longer is none.
const ID_DIGITS: usize = 19;

/// The path without what is not ours. `pattern` is that of the resource that was found.
pub(super) fn shown<'a>(pattern: Option<&'static str>, path: &'a str) -> Cow<'a, str> {
    let pattern = pattern.unwrap_or_default();
    if pattern == path {
        return path.into();
    }
    let is_id = |part: &str| part.len() <= ID_DIGITS && part.bytes().all(|b| b.is_ascii_digit());
    let is_ours = |part: &str| WORDS.contains(&part) || pattern.split('/').any(|word| word == part);
    let shown = |part: &'a str| if is_id(part) || is_ours(part) { part } else { "*" };
    path.split('/').map(shown).collect::<Vec<_>>().join("/").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ours_is_shown_and_all_else_is_not() {
        for (pattern, path, wanted) in [
            (Some("/users"), "/users", "/users"),
            (Some("/users/{user_id}"), "/users/42", "/users/42"),
            (Some("/users/{user_id}"), "/users/hunter22", "/users/*"),
            (Some("/users/{user_id}"), "/users/99999999999999999999", "/users/*"),
            (Some("/users/{user_id}"), "/users/{user_id}", "/users/{user_id}"),
            (Some("/new/{x}"), "/new/hunter22", "/new/*"),
            (Some("/docs/{file:.*}"), "/docs/a/b", "/docs/*/*"),
            (None, "/login/ada/hunter22", "/login/*/*"),
            (None, "/api/users/", "/*/users/"),
            (None, "/users%2fhunter22", "/*"),
            (None, "hunter22", "*"),
            (None, "/", "/"),
        ] {
            assert_eq!(shown(pattern, path), wanted, "{path}");
        }
    }
}
