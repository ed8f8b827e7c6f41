//! Hears of commits of all processes, by `NOTIFY`.

use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use shared::postgres::{Server, Session};

use super::super::LogWatch;
use super::StoreError;

/// A connection of its own that listens: a notification goes to the session that asked for it.
pub(super) struct PostgresLogWatch {
    session: Session,
}

impl PostgresLogWatch {
    pub(super) async fn open(server: &Server) -> Result<Self, StoreError> {
        let session = server.connect().await?;
        session.run("LISTEN lockstep_log").await?;
        Ok(Self { session })
    }
}

impl LogWatch for PostgresLogWatch {
    fn changed(&mut self) -> LocalBoxFuture<'_, Result<(), StoreError>> {
        self.session.notified().boxed_local()
    }
}

/// Tells all who listen, when the transaction is committed. Once for a group: the log's lock is held
/// already, so the lock that the server takes for notifications keeps nobody waiting.
pub(super) async fn tell(session: &Session) -> Result<(), StoreError> {
    session.execute("NOTIFY lockstep_log", &[]).await.map(drop)
}
