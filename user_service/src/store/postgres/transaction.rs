//! A transaction that writes: it holds the log's lock from its first statement to its end.

use std::sync::Arc;

use shared::postgres::{Confirmation, Session};

use super::StoreError;

/// Begins it, and takes the lock. A statement of its own: in READ COMMITTED, the next one sees
/// everything that was committed by those who held the lock before.
///
/// The time limits are set here, and not for the session, which a pooler may share:
/// - `lock_timeout`: somebody else holds the log for too long; the clients of this group get 503.
/// - `statement_timeout`: below our own limit, so that the server ends what it was asked.
/// - `idle_in_transaction_session_timeout`: a process that stopped in the middle (SIGSTOP, a paused
///   machine) must not hold the log for all others.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL lock_timeout = '5s';
    SET LOCAL statement_timeout = '10s';
    SET LOCAL idle_in_transaction_session_timeout = '5s';
    SELECT pg_advisory_xact_lock(7309475598860087661)";

/// The same without limits, for changes of all users when the service starts.
const BEGIN_LONG: &str = "BEGIN ISOLATION LEVEL READ COMMITTED;
    SET LOCAL idle_in_transaction_session_timeout = '60s';
    SELECT pg_advisory_xact_lock(7309475598860087661)";

/// Begins a transaction under the log's lock.
pub(super) async fn begin(session: &Session) -> Result<(), StoreError> {
    session.run(BEGIN).await
}

/// [`begin`] for long ones.
pub(super) async fn begin_long(session: &Session) -> Result<(), StoreError> {
    session.run(BEGIN_LONG).await
}

/// Ends a transaction whose statements may be made again if its outcome stays unknown: then it
/// counts as failed.
pub(super) async fn commit_repeatable(session: &Session) -> Result<(), StoreError> {
    match session.commit().await {
        Confirmation::Confirmed => Ok(()),
        Confirmation::Unknown => Err(unconfirmed()),
    }
}

/// The error for a COMMIT that was not answered.
pub(super) fn unconfirmed() -> StoreError {
    StoreError::Unavailable(Arc::new(NotConfirmed))
}

/// COMMIT was not answered, or with a warning.
#[derive(Debug, thiserror::Error)]
#[error("PostgreSQL has not confirmed COMMIT")]
struct NotConfirmed;
