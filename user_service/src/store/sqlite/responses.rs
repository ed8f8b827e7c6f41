//! The first responses to requests with an `Idempotency-Key`.

use std::sync::Arc;

use contract::{Position, UserId};
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use shared::idempotency::{IdempotentRequest, Lookup};
use shared::sqlite::idempotency;

use super::super::{ChangeError, Outcome};
use super::StoreError;
use crate::domain::{User, Written};

/// The response as it is stored: what a client is told of a user who was just created.
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

/// The first response to this request; `None` if this is the first request.
pub(super) fn find(
    connection: &Connection,
    request: &IdempotentRequest,
    now_ms: i64,
) -> Result<Option<Written>, ChangeError> {
    match idempotency::find(connection, request, now_ms)? {
        Lookup::Nothing => Ok(None),
        Lookup::OtherRequest => Err(ChangeError::KeyReused),
        Lookup::Outcome(stored) => decode(&stored)?.map(Some),
    }
}

/// Stores the outcome of a creation, if a repeated request should get that outcome again.
pub(super) fn record(
    connection: &Connection,
    request: &IdempotentRequest,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<(), StoreError> {
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
        Err(_) => return Ok(()),
    };
    let encoded = serde_json::to_string(&response).map_err(not_json)?;
    idempotency::record(connection, request, &encoded, now_ms)
}

/// Both versions of a newly created user are 1, and both positions that of their first record.
fn decode(stored: &str) -> Result<Outcome, StoreError> {
    Ok(match serde_json::from_str(stored).map_err(not_json)? {
        StoredResponse::NameTaken => Err(ChangeError::NameTaken),
        StoredResponse::Created { id, username, username_key, position } => {
            let (version, password_version) = (1, 1);
            let (changed, stamp) = (position, position);
            let user =
                User { id, username, username_key, version, password_version, changed, stamp };
            Ok(Written { user, position })
        }
    })
}

fn not_json(error: serde_json::Error) -> StoreError {
    StoreError::Failed(Arc::new(error))
}
