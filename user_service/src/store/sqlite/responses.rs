//! The first responses to requests with an `Idempotency-Key`.

use rusqlite::Connection;
use shared::idempotency::IdempotentRequest;
use shared::sqlite::idempotency;

use super::super::{ChangeError, Outcome, stored_response};
use super::StoreError;
use crate::domain::Written;

/// The first response to this request; `None` if this is the first request.
pub(super) fn find(
    connection: &Connection,
    request: &IdempotentRequest,
    now_ms: i64,
) -> Result<Option<Written>, ChangeError> {
    stored_response::read(idempotency::find(connection, request, now_ms)?)
}

/// Stores the outcome of a creation, if a repeated request should get that outcome again.
pub(super) fn record(
    connection: &Connection,
    request: &IdempotentRequest,
    outcome: &Outcome,
    now_ms: i64,
) -> Result<(), StoreError> {
    let Some(response) = stored_response::encode(outcome)? else { return Ok(()) };
    idempotency::record(connection, request, &response, now_ms)
}
