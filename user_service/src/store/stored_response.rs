//! The first responses to requests with an `Idempotency-Key`, in the form in which they are stored.

use std::sync::Arc;

use contract::{Position, UserId};
use serde::{Deserialize, Serialize};
use shared::idempotency::Lookup;

use super::{ChangeError, Outcome, StoreError};
use crate::domain::{User, Written};

/// What a client is told of a user who was just created.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredResponse {
    Created {
        id: UserId,
        username: String,
        /// Absent in rows of earlier versions; no response contains it.
        #[serde(default)]
        username_key: String,
        #[serde(flatten)]
        position: Position,
    },
    NameTaken,
}

/// The first response that a lookup has found; `None` if this is the first request.
pub(super) fn read(found: Lookup) -> Result<Option<Written>, ChangeError> {
    match found {
        Lookup::Nothing => Ok(None),
        Lookup::OtherRequest => Err(ChangeError::KeyReused),
        Lookup::Outcome(stored) => decode(&stored)?.map(Some),
    }
}

/// The outcome of a creation as it is stored; `None` if a repeated request is to be tried anew.
pub(super) fn encode(outcome: &Outcome) -> Result<Option<String>, StoreError> {
    let response = match outcome {
        Ok(Written { user: User { id, username, username_key, .. }, position }) => {
            StoredResponse::Created {
                id: *id,
                username: username.clone(),
                username_key: username_key.clone(),
                position: *position,
            }
        }
        Err(ChangeError::NameTaken) => StoredResponse::NameTaken,
        Err(_) => return Ok(None),
    };
    serde_json::to_string(&response).map(Some).map_err(not_json)
}

/// Both versions of a newly created user are 1, and both positions that of their first record.
fn decode(stored: &str) -> Result<Outcome, StoreError> {
    Ok(match serde_json::from_str(stored).map_err(not_json)? {
        StoredResponse::NameTaken => Err(ChangeError::NameTaken),
        StoredResponse::Created { id, username, username_key, position } => {
            let (version, password_version) = (1, 1);
            let (changed, stamp, is_admin) = (position, position, false);
            let user = User {
                id,
                username,
                username_key,
                version,
                password_version,
                changed,
                stamp,
                is_admin,
            };
            Ok(Written { user, position })
        }
    })
}

fn not_json(error: serde_json::Error) -> StoreError {
    StoreError::Failed(Arc::new(error))
}
