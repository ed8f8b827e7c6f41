//! Django's `dumpdata`: users of any model that has a password, among whatever else was dumped.

use serde_json::Value;

use super::{DISABLED, Found, NO_NAME, NO_PASSWORD, is, text};

/// How `set_unusable_password` begins.
const UNUSABLE: &str = "!";

pub(super) fn read(entry: &Value) -> Option<Found> {
    let fields = entry.get("fields")?;
    // Groups and permissions have none.
    fields.get("password")?;
    let Some(username) = text(fields, "username").or_else(|| text(fields, "email")) else {
        return Some(Found::refused(None, NO_NAME));
    };
    if is(fields, "is_active", false) {
        return Some(Found::refused(Some(username), DISABLED));
    }
    let hash = text(fields, "password").filter(|hash| !hash.starts_with(UNUSABLE));
    Some(match hash {
        Some(hash) => Found::user(username, hash),
        None => Found::refused(Some(username), NO_PASSWORD),
    })
}
