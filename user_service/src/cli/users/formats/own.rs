//! Our own JSON lines.

use serde::Deserialize;

use super::Found;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    /// As `users export` writes it: ids are given anew.
    #[serde(default, rename = "id")]
    _id: Option<i64>,
    username: String,
    password_hash: String,
}

pub(super) fn read(line: Result<&str, &'static str>) -> Found {
    let line = match line {
        Ok(line) => line,
        Err(reason) => return Found::refused(None, reason),
    };
    match serde_json::from_str(line) {
        Ok(Line { username, password_hash, .. }) => Found::user(username, password_hash),
        // The library's message quotes the data, which may be a hash.
        Err(error) if error.is_data() => Found::refused(
            None,
            "must have the strings username and password_hash, and nothing else",
        ),
        Err(_) => Found::refused(None, "is no JSON object, or is cut off"),
    }
}
