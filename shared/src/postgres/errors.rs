//! What PostgreSQL's errors mean for a client of the service.

use std::io::{self, ErrorKind};
use std::sync::Arc;

use tokio_postgres::error::SqlState;

use crate::store_error::StoreError;

/// An error of PostgreSQL, without the server's details: those quote rows, with password hashes.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// The server refused.
    #[error("PostgreSQL says: {message} (SQLSTATE {code})")]
    Refused {
        /// Its code.
        code: String,
        /// Its message.
        message: String,
    },
    /// The connection failed, or could not be made.
    #[error("the connection to PostgreSQL failed")]
    Connection(#[source] tokio_postgres::Error),
    /// The connection has ended while nothing was asked.
    #[error("the connection to PostgreSQL has ended")]
    Ended,
    /// The server did not answer within so many seconds.
    #[error("PostgreSQL did not answer within {0} s")]
    Late(u64),
}

impl From<tokio_postgres::Error> for StoreError {
    /// Classifies the error by what the client should be told.
    fn from(error: tokio_postgres::Error) -> Self {
        let Some(refusal) = error.as_db_error() else { return of_connection(error) };
        let (code, message) = (refusal.code().clone(), refusal.message().to_owned());
        let refused = Arc::new(PostgresError::Refused { code: code.code().to_owned(), message });
        if is_full(&code) {
            Self::Full(refused)
        } else if is_passing(&code) {
            Self::Unavailable(refused)
        } else {
            Self::Failed(refused)
        }
    }
}

impl From<PostgresError> for StoreError {
    fn from(error: PostgresError) -> Self {
        match error {
            PostgresError::Late(_) | PostgresError::Ended => Self::Unavailable(Arc::new(error)),
            PostgresError::Connection(error) => error.into(),
            PostgresError::Refused { .. } => Self::Failed(Arc::new(error)),
        }
    }
}

/// The server has no space, cannot use its disk, or is read-only (a standby, for instance).
fn is_full(code: &SqlState) -> bool {
    [SqlState::DISK_FULL, SqlState::IO_ERROR, SqlState::READ_ONLY_SQL_TRANSACTION].contains(code)
}

/// The same may work when it is tried again: the server starts or stops, has too many connections,
/// or something else was in the way.
fn is_passing(code: &SqlState) -> bool {
    code.code().starts_with("08")
        || [
            SqlState::ADMIN_SHUTDOWN,
            SqlState::CRASH_SHUTDOWN,
            SqlState::CANNOT_CONNECT_NOW,
            SqlState::TOO_MANY_CONNECTIONS,
            SqlState::OUT_OF_MEMORY,
            SqlState::QUERY_CANCELED,
            SqlState::LOCK_NOT_AVAILABLE,
            SqlState::IDLE_IN_TRANSACTION_SESSION_TIMEOUT,
            SqlState::T_R_SERIALIZATION_FAILURE,
            SqlState::T_R_DEADLOCK_DETECTED,
        ]
        .contains(code)
}

/// A lost connection may come back. A server that speaks another protocol, has no TLS, or whose
/// certificate is not trusted stays as it is.
fn of_connection(error: tokio_postgres::Error) -> StoreError {
    let is_lost = error.is_closed() || cause_in_io(&error).is_some_and(is_network);
    let error = Arc::new(PostgresError::Connection(error));
    if is_lost { StoreError::Unavailable(error) } else { StoreError::Failed(error) }
}

fn cause_in_io(error: &tokio_postgres::Error) -> Option<&io::Error> {
    std::error::Error::source(error).and_then(|source| source.downcast_ref())
}

/// TLS reports what it does not accept as invalid data.
fn is_network(error: &io::Error) -> bool {
    !matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::InvalidInput)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_means_what_its_client_is_told() {
        for (code, full, passing) in [
            (SqlState::DISK_FULL, true, false),
            (SqlState::READ_ONLY_SQL_TRANSACTION, true, false),
            (SqlState::ADMIN_SHUTDOWN, false, true),
            (SqlState::CONNECTION_FAILURE, false, true),
            (SqlState::T_R_DEADLOCK_DETECTED, false, true),
            (SqlState::UNIQUE_VIOLATION, false, false),
            (SqlState::INSUFFICIENT_PRIVILEGE, false, false),
            (SqlState::INVALID_PASSWORD, false, false),
        ] {
            assert_eq!((is_full(&code), is_passing(&code)), (full, passing), "{code:?}");
        }
    }
}
