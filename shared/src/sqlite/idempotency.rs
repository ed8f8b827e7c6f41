//! First answers, kept for clients that repeat a request with the same `Idempotency-Key`
//! (draft-ietf-httpapi-idempotency-key-header). The record is written in the transaction of the
//! change, so an answer is kept if and only if its change is.

use rusqlite::{Connection, OptionalExtension, params};

use super::StoreError;
use crate::fail_point::sabotaged;

/// How long a key is remembered: 24 hours, in milliseconds.
pub const RETENTION_MS: i64 = 24 * 60 * 60 * 1000;

/// The table, for the migrations of both services.
pub const SCHEMA: &str = "
CREATE TABLE idempotency_keys (
    scope       TEXT NOT NULL,      -- method and path
    key         TEXT NOT NULL,      -- as the client gave it
    fingerprint TEXT NOT NULL,      -- keyed hash of the request
    outcome     TEXT NOT NULL,      -- JSON, enough to give the first answer again
    expires_at  INTEGER NOT NULL,   -- milliseconds since 1970
    PRIMARY KEY (scope, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_expiry ON idempotency_keys (expires_at);
";

/// A key with the request that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    /// Method and path.
    pub scope: &'static str,
    /// As the client gave it.
    pub key: String,
    /// A keyed hash of the request, see `SealingKeys::fingerprint`.
    pub fingerprint: String,
}

/// What is known of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// Nothing: this is the first request.
    Nothing,
    /// The same request was answered: this is its outcome.
    Outcome(String),
    /// Another request used the key.
    OtherRequest,
}

/// Looks the key up.
///
/// # Errors
/// The database failed.
pub fn find(
    connection: &Connection,
    request: &IdempotentRequest,
    now_ms: i64,
) -> Result<Lookup, StoreError> {
    let mut statement = connection.prepare_cached(
        "SELECT fingerprint, outcome FROM idempotency_keys
         WHERE scope = ?1 AND key = ?2 AND expires_at > ?3",
    )?;
    let found: Option<(String, String)> = statement
        .query_row(params![request.scope, request.key, now_ms], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    Ok(match found {
        None => Lookup::Nothing,
        Some((fingerprint, outcome)) if fingerprint == request.fingerprint => {
            Lookup::Outcome(outcome)
        }
        Some(_) => Lookup::OtherRequest,
    })
}

/// Keeps the outcome of the first request, and forgets keys that have expired.
///
/// # Errors
/// The database failed.
pub fn record(
    connection: &Connection,
    request: &IdempotentRequest,
    outcome: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    if sabotaged("key") {
        return Ok(());
    }
    connection
        .prepare_cached("DELETE FROM idempotency_keys WHERE expires_at <= ?1")?
        .execute([now_ms])?;
    let IdempotentRequest { scope, key, fingerprint } = request;
    connection
        .prepare_cached("INSERT INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![scope, key, fingerprint, outcome, now_ms + RETENTION_MS])?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fingerprint: &str) -> IdempotentRequest {
        let fingerprint = fingerprint.to_owned();
        IdempotentRequest { scope: "POST /users", key: "k".into(), fingerprint }
    }

    #[test]
    fn a_key_gives_its_first_outcome_to_the_same_request_until_it_expires() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        assert_eq!(find(&connection, &request("a"), 0).unwrap(), Lookup::Nothing);
        record(&connection, &request("a"), "{}", 0).unwrap();
        assert_eq!(find(&connection, &request("a"), 1).unwrap(), Lookup::Outcome("{}".into()));
        assert_eq!(find(&connection, &request("b"), 1).unwrap(), Lookup::OtherRequest);
        assert_eq!(find(&connection, &request("b"), RETENTION_MS).unwrap(), Lookup::Nothing);
        record(&connection, &request("b"), "[]", RETENTION_MS).unwrap();
    }
}
