//! Firebase's `auth:export`, with the parameters that the project's hashes share.

use std::str::FromStr;

use serde_json::Value;

use super::{DISABLED, Found, NO_NAME, NO_PASSWORD, is, text};

/// The parameters, as the Firebase console shows them.
pub(in super::super) struct HashConfig {
    signer_key: String,
    salt_separator: String,
    rounds: u32,
    mem_cost: u32,
}

/// The text is none that the console shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected are the lines base64_signer_key, base64_salt_separator, rounds and mem_cost of the Firebase \
     console, for the algorithm SCRYPT"
)]
pub(in super::super) struct NoHashConfig;

impl FromStr for HashConfig {
    type Err = NoHashConfig;

    fn from_str(text: &str) -> Result<Self, NoHashConfig> {
        let value = |name: &str| {
            text.lines().find_map(|line| {
                let (found, value) = line.split_once(':')?;
                (found.trim() == name).then(|| value.trim().trim_end_matches(',').trim())
            })
        };
        let number = |name| value(name).and_then(|value| value.parse().ok()).ok_or(NoHashConfig);
        if value("algorithm").is_some_and(|algorithm| algorithm != "SCRYPT") {
            return Err(NoHashConfig);
        }
        Ok(Self {
            signer_key: value("base64_signer_key").ok_or(NoHashConfig)?.to_owned(),
            salt_separator: value("base64_salt_separator").ok_or(NoHashConfig)?.to_owned(),
            rounds: number("rounds")?,
            mem_cost: number("mem_cost")?,
        })
    }
}

pub(super) fn read(user: &Value, config: &HashConfig) -> Found {
    let Some(username) = text(user, "email") else { return Found::refused(None, NO_NAME) };
    if is(user, "disabled", true) {
        return Found::refused(Some(username), DISABLED);
    }
    let (hash, salt) = (text(user, "passwordHash"), text(user, "salt"));
    let (Some(hash), Some(salt)) = (hash, salt) else {
        return Found::refused(Some(username), NO_PASSWORD);
    };
    let HashConfig { signer_key, salt_separator, rounds, mem_cost } = config;
    let cost = format!("ln={mem_cost},r={rounds},p=1");
    let hash = format!("$firebase-scrypt${cost}${salt}${salt_separator}${signer_key}${hash}");
    Found::user(username, hash)
}
