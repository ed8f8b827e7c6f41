//! Auth0: lines of JSON, as exported with hashes on request (`passwordHash`), or in the schema of its bulk
//! import (`password_hash`, `custom_password_hash`).

use serde_json::Value;

use super::{DISABLED, Found, NO_NAME, NO_PASSWORD, is, text};

/// Their values are whole hashes.
const WHOLE: [&str; 3] = ["argon2", "bcrypt", "pbkdf2"];

pub(super) fn read(line: Result<&str, &'static str>) -> Found {
    let user: Value = match line.map(serde_json::from_str) {
        Ok(Ok(user)) => user,
        Ok(Err(_)) => return Found::refused(None, "is no JSON object, or is cut off"),
        Err(reason) => return Found::refused(None, reason),
    };
    let Some(username) = text(&user, "username").or_else(|| text(&user, "email")) else {
        return Found::refused(None, NO_NAME);
    };
    if is(&user, "blocked", true) {
        return Found::refused(Some(username), DISABLED);
    }
    let given = text(&user, "passwordHash").or_else(|| text(&user, "password_hash"));
    match (given, user.get("custom_password_hash")) {
        (Some(hash), _) => Found::user(username, hash),
        (None, Some(custom)) => match custom_hash(custom) {
            Ok(hash) => Found::user(username, hash),
            Err(reason) => Found::refused(Some(username), reason),
        },
        (None, None) => Found::refused(Some(username), NO_PASSWORD),
    }
}

fn custom_hash(custom: &Value) -> Result<String, String> {
    let algorithm = custom["algorithm"].as_str().unwrap_or("unknown");
    if !WHOLE.contains(&algorithm) {
        return Err(format!("has a hash of the algorithm {algorithm}, which is not taken over"));
    }
    text(&custom["hash"], "value")
        .ok_or_else(|| "has a custom_password_hash without a value".to_owned())
}
