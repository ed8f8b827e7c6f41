//! The first answer to a `CreateUser` with an idempotency key, as it is stored.

use contract::UserId;
use serde::{Deserialize, Serialize};

use super::create_user::Created;
use crate::domain::{User, Written};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResponse {
    Created { id: UserId, username: String, seq: i64 },
    NameTaken,
}

pub(super) fn encode(created: &Created) -> Result<String, serde_json::Error> {
    serde_json::to_string(&match created {
        Created::NameTaken => StoredResponse::NameTaken,
        Created::User(Written { user, seq }) => {
            StoredResponse::Created { id: user.id, username: user.username.clone(), seq: *seq }
        }
    })
}

/// Reads it. Both versions of a user who was just created are 1.
pub(in crate::actors) fn decode(outcome: &str) -> Result<Created, serde_json::Error> {
    Ok(match serde_json::from_str(outcome)? {
        StoredResponse::NameTaken => Created::NameTaken,
        StoredResponse::Created { id, username, seq } => {
            let user = User { id, username, version: 1, password_version: 1 };
            Created::User(Written { user, seq })
        }
    })
}
