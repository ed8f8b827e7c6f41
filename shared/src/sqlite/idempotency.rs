//! Responses that are stored for clients that repeat a request. The row is written in the
//! transaction of the change, so a response is stored if and only if its change is made.

use rusqlite::{Connection, OptionalExtension, params};

use crate::idempotency::{IdempotentRequest, Lookup, RETENTION_MS};
use crate::store_error::StoreError;

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

/// Looks the key up.
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

/// Stores the outcome of the first request. Replaces a row that has expired.
pub fn record(
    connection: &Connection,
    request: &IdempotentRequest,
    outcome: &str,
    now_ms: i64,
) -> Result<(), StoreError> {
    let IdempotentRequest { scope, key, fingerprint } = request;
    connection
        .prepare_cached("INSERT OR REPLACE INTO idempotency_keys VALUES (?1, ?2, ?3, ?4, ?5)")?
        .execute(params![scope, key, fingerprint, outcome, now_ms + RETENTION_MS])?;
    Ok(())
}

/// Deletes up to `limit` expired rows; returns how many. Not to be called in a client's write.
///
/// A row that expires later than a row written now comes from a time when the clock was ahead. It
/// gets the expiry of a row written now, so that it does not stay forever.
pub fn prune(connection: &Connection, now_ms: i64, limit: u32) -> Result<usize, StoreError> {
    connection
        .prepare_cached(
            "UPDATE idempotency_keys SET expires_at = ?1 WHERE (scope, key) IN
             (SELECT scope, key FROM idempotency_keys WHERE expires_at > ?1 LIMIT ?2)",
        )?
        .execute(params![now_ms + RETENTION_MS, limit])?;
    let deleted = connection
        .prepare_cached(
            "DELETE FROM idempotency_keys WHERE (scope, key) IN
             (SELECT scope, key FROM idempotency_keys WHERE expires_at <= ?1
              ORDER BY expires_at LIMIT ?2)",
        )?
        .execute(params![now_ms, limit])?;
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(key: &str, fingerprint: &str) -> IdempotentRequest {
        let (key, fingerprint) = (key.to_owned(), fingerprint.to_owned());
        IdempotentRequest { scope: "POST /users", key, fingerprint }
    }

    fn database() -> Connection {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(SCHEMA).unwrap();
        connection
    }

    fn count(connection: &Connection) -> i64 {
        let sql = "SELECT count(*) FROM idempotency_keys";
        connection.query_row(sql, [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn a_key_gives_its_first_outcome_to_the_same_request_until_it_expires() {
        let connection = database();
        let [first, other] = ["a", "b"].map(|fingerprint| request("k", fingerprint));
        assert_eq!(find(&connection, &first, 0).unwrap(), Lookup::Nothing);
        record(&connection, &first, "{}", 0).unwrap();
        assert_eq!(find(&connection, &first, 1).unwrap(), Lookup::Outcome("{}".into()));
        assert_eq!(find(&connection, &other, 1).unwrap(), Lookup::OtherRequest);
        assert_eq!(find(&connection, &other, RETENTION_MS).unwrap(), Lookup::Nothing);
        record(&connection, &other, "[]", RETENTION_MS).unwrap();
        let found = find(&connection, &other, RETENTION_MS).unwrap();
        assert_eq!(found, Lookup::Outcome("[]".into()), "the row of the first one gave way");
    }

    #[test]
    fn what_has_expired_goes_in_chunks_and_the_rest_stays() {
        let connection = database();
        for n in 0..5 {
            record(&connection, &request(&n.to_string(), "f"), "{}", n).unwrap();
        }
        assert_eq!(prune(&connection, RETENTION_MS + 3, 3).unwrap(), 3);
        assert_eq!(prune(&connection, RETENTION_MS + 3, 3).unwrap(), 1);
        assert_eq!(prune(&connection, RETENTION_MS + 3, 3).unwrap(), 0);
        assert_eq!(count(&connection), 1);
    }

    #[test]
    fn a_row_from_a_clock_that_was_ahead_does_not_stay_for_good() {
        let connection = database();
        record(&connection, &request("k", "f"), "{}", 1_000 * RETENTION_MS).unwrap();
        assert_eq!(prune(&connection, 0, 9).unwrap(), 0);
        assert_eq!(prune(&connection, RETENTION_MS, 9).unwrap(), 1);
    }
}
