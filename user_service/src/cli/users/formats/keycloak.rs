//! Keycloak's export of a realm. What a credential consists of is JSON in strings.

use serde::Deserialize;
use serde_json::Value;

use super::{DISABLED, Found, NO_NAME, NO_PASSWORD, is, text};

#[derive(Deserialize)]
struct SecretData {
    value: String,
    #[serde(default)]
    salt: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct CredentialData {
    hash_iterations: u32,
    algorithm: String,
    #[serde(default)]
    additional_parameters: Value,
}

pub(super) fn read(user: &Value) -> Found {
    let Some(username) = text(user, "username") else {
        return Found::refused(None, NO_NAME);
    };
    if is(user, "enabled", false) {
        return Found::refused(Some(username), DISABLED);
    }
    let credentials = user.get("credentials").and_then(Value::as_array);
    let is_password = |credential: &&Value| credential["type"] == "password";
    let Some(credential) = credentials.and_then(|all| all.iter().find(is_password)) else {
        return Found::refused(Some(username), NO_PASSWORD);
    };
    match hash_of(credential) {
        Ok(hash) => Found::user(username, hash),
        Err(reason) => Found::refused(Some(username), reason),
    }
}

fn hash_of(credential: &Value) -> Result<String, String> {
    let malformed = "has a password credential in another form than Keycloak's";
    let part = |name| credential[name].as_str().ok_or(malformed);
    let secret: SecretData = serde_json::from_str(part("secretData")?).map_err(|_| malformed)?;
    let data: CredentialData =
        serde_json::from_str(part("credentialData")?).map_err(|_| malformed)?;
    let SecretData { value, salt } = secret;
    let CredentialData { hash_iterations: iterations, algorithm, additional_parameters } = data;
    match algorithm.as_str() {
        "pbkdf2" => Ok(format!("$pbkdf2-sha1$i={iterations}${salt}${value}")),
        "pbkdf2-sha256" | "pbkdf2-sha512" => {
            Ok(format!("${algorithm}$i={iterations}${salt}${value}"))
        }
        "argon2" => {
            argon2(iterations, &additional_parameters, &salt, &value).ok_or(malformed.to_owned())
        }
        // An extension of Keycloak, whose value is a whole hash.
        "bcrypt" => Ok(value),
        other => Err(format!("has a hash of the algorithm {other}, which is not taken over")),
    }
}

/// Each parameter is an array of one text.
fn argon2(iterations: u32, parameters: &Value, salt: &str, value: &str) -> Option<String> {
    let parameter = |name: &str| parameters.get(name)?.get(0)?.as_str();
    let version = if parameter("version")? == "1.0" { 16 } else { 19 };
    let (kind, memory, lanes) =
        (parameter("type")?, parameter("memory")?, parameter("parallelism")?);
    let [salt, value] = [salt, value].map(|text| text.trim_end_matches('='));
    let cost = format!("m={memory},t={iterations},p={lanes}");
    Some(format!("$argon2{kind}$v={version}${cost}${salt}${value}"))
}
