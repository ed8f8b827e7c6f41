//! The first answer to a `CreateUser` with an idempotency key, as it is stored.

use serde::{Deserialize, Serialize};
use shared::contract::UserId;

use super::create_user::Created;
use crate::domain::{User, Written};

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FirstAnswer {
    Created { id: UserId, username: String, seq: i64 },
    NameTaken,
}

pub(super) fn encode(created: &Created) -> Result<String, serde_json::Error> {
    serde_json::to_string(&match created {
        Created::NameTaken => FirstAnswer::NameTaken,
        Created::User(Written { user, seq }) => {
            FirstAnswer::Created { id: user.id, username: user.username.clone(), seq: *seq }
        }
    })
}

/// Reads it. Both versions of a user who was just created are 1.
pub(in crate::actors) fn decode(outcome: &str) -> Result<Created, serde_json::Error> {
    Ok(match serde_json::from_str(outcome)? {
        FirstAnswer::NameTaken => Created::NameTaken,
        FirstAnswer::Created { id, username, seq } => {
            let user = User { id, username, version: 1, password_version: 1 };
            Created::User(Written { user, seq })
        }
    })
}
