//! The first responses to requests with an `Idempotency-Key`.

use std::collections::HashMap;

use shared::idempotency::{IdempotentRequest, Lookup, RETENTION_MS};
use shared::postgres::{Link, Row, Session, Type};

use super::super::{ChangeError, stored_response};
use super::StoreError;
use crate::domain::Written;

/// Responses that have not expired, by scope and key.
#[derive(Default)]
pub(super) struct Stored(HashMap<(String, String), Response>);

struct Response {
    fingerprint: String,
    outcome: String,
}

impl Stored {
    /// What is known of this request.
    pub(super) fn look_up(&self, request: &IdempotentRequest) -> Lookup {
        match self.0.get(&(request.scope.to_owned(), request.key.clone())) {
            None => Lookup::Nothing,
            Some(known) if known.fingerprint == request.fingerprint => {
                Lookup::Outcome(known.outcome.clone())
            }
            Some(_) => Lookup::OtherRequest,
        }
    }

    /// The request has this outcome from now on.
    pub(super) fn add(&mut self, request: &IdempotentRequest, outcome: String) {
        let IdempotentRequest { scope, key, fingerprint } = request.clone();
        self.0.insert((scope.to_owned(), key), Response { fingerprint, outcome });
    }

    fn from_rows(rows: &[Row]) -> Result<Self, StoreError> {
        let read = |row: &Row| -> Result<_, StoreError> {
            let response = Response { fingerprint: row.try_get(2)?, outcome: row.try_get(3)? };
            Ok(((row.try_get(0)?, row.try_get(1)?), response))
        };
        Ok(Self(rows.iter().map(read).collect::<Result<_, _>>()?))
    }
}

const FIND: &str = "SELECT scope, key, fingerprint, outcome FROM idempotency_keys
    WHERE (scope, key) IN (SELECT * FROM unnest($1, $2)) AND expires_at > $3";

/// What is stored for these requests.
pub(super) async fn find(
    session: &Session,
    requests: &[&IdempotentRequest],
    now_ms: i64,
) -> Result<Stored, StoreError> {
    if requests.is_empty() {
        return Ok(Stored::default());
    }
    let scopes: Vec<&str> = requests.iter().map(|request| request.scope).collect();
    let keys: Vec<&str> = requests.iter().map(|request| request.key.as_str()).collect();
    let with = [
        (&scopes as _, Type::TEXT_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&now_ms as _, Type::INT8),
    ];
    Stored::from_rows(&session.query(FIND, &with).await?)
}

/// The first response to this request; `None` if this is the first request.
pub(super) async fn find_one(
    link: &Link,
    request: &IdempotentRequest,
    now_ms: i64,
) -> Result<Option<Written>, ChangeError> {
    let (scopes, keys) = ([request.scope], [request.key.as_str()]);
    let (scopes, keys) = (&scopes[..], &keys[..]);
    let with = [
        (&scopes as _, Type::TEXT_ARRAY),
        (&keys as _, Type::TEXT_ARRAY),
        (&now_ms as _, Type::INT8),
    ];
    let stored = Stored::from_rows(&link.query(FIND, &with).await?)?;
    stored_response::read(stored.look_up(request))
}

/// Stores the outcomes of these requests. Rows that have expired are replaced.
pub(super) async fn record(
    session: &Session,
    responses: &[(IdempotentRequest, String)],
    now_ms: i64,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO idempotency_keys (scope, key, fingerprint, outcome, expires_at)
               SELECT new.*, $5 FROM unnest($1, $2, $3, $4) AS new
               ON CONFLICT (scope, key) DO UPDATE SET fingerprint = excluded.fingerprint,
                   outcome = excluded.outcome, expires_at = excluded.expires_at";
    let each = || responses.iter().map(|(request, _)| request);
    let scopes: Vec<&str> = each().map(|request| request.scope).collect();
    let keys: Vec<&str> = each().map(|request| request.key.as_str()).collect();
    let fingerprints: Vec<&str> = each().map(|request| request.fingerprint.as_str()).collect();
    let outcomes: Vec<&str> = responses.iter().map(|(_, outcome)| outcome.as_str()).collect();
    let expires_at = now_ms + RETENTION_MS;
    session
        .execute(
            sql,
            &[
                (&scopes, Type::TEXT_ARRAY),
                (&keys, Type::TEXT_ARRAY),
                (&fingerprints, Type::TEXT_ARRAY),
                (&outcomes, Type::TEXT_ARRAY),
                (&expires_at, Type::INT8),
            ],
        )
        .await
        .map(drop)
}

/// Deletes up to `limit` expired rows; returns how many. A row that expires later than one written
/// now comes from a time when a clock was ahead, and gets the expiry of a row written now.
pub(super) async fn prune(session: &Session, now_ms: i64, limit: i64) -> Result<usize, StoreError> {
    let latest = now_ms + RETENTION_MS;
    let correct = "UPDATE idempotency_keys SET expires_at = $1 WHERE (scope, key) IN
                   (SELECT scope, key FROM idempotency_keys WHERE expires_at > $1 LIMIT $2)";
    session.execute(correct, &[(&latest, Type::INT8), (&limit, Type::INT8)]).await?;
    let delete = "DELETE FROM idempotency_keys WHERE (scope, key) IN
                  (SELECT scope, key FROM idempotency_keys WHERE expires_at <= $1
                   ORDER BY expires_at LIMIT $2)";
    let deleted = session.execute(delete, &[(&now_ms, Type::INT8), (&limit, Type::INT8)]).await?;
    Ok(usize::try_from(deleted).unwrap_or(usize::MAX))
}
