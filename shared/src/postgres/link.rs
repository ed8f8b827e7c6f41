//! A session that is opened when it is needed, and again when it was lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Mutex;
use tokio_postgres::Row;

use super::{Parameter, Server, Session};
use crate::store_error::StoreError;

/// After a failed attempt to connect, others fail with the same error for so long: those who ask
/// while the server is away are not kept waiting one after the other.
const PAUSE: Duration = Duration::from_millis(250);

/// A session for statements that read. Each sees what was committed before it, and is run again on a
/// new connection if the old one was lost.
pub struct Link {
    server: Arc<Server>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Arc<Session>>,
    failed: Option<(Instant, StoreError)>,
}

impl Link {
    /// Connects not yet.
    pub fn new(server: Arc<Server>) -> Self {
        Self { server, state: Mutex::default() }
    }

    /// Runs a statement; returns its rows.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn query(&self, sql: &str, with: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        let session = self.session().await?;
        match session.query(sql, with).await {
            Err(StoreError::Unavailable(_)) => {
                self.forget(&session).await;
                self.session().await?.query(sql, with).await
            }
            answer => answer,
        }
    }

    async fn session(&self) -> Result<Arc<Session>, StoreError> {
        let mut state = self.state.lock().await;
        if let Some(session) = state.session.as_ref().filter(|session| !session.is_closed()) {
            return Ok(Arc::clone(session));
        }
        if let Some((at, error)) = &state.failed
            && at.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        match self.server.connect().await {
            Ok(session) => {
                let session = Arc::new(session);
                *state = State { session: Some(Arc::clone(&session)), failed: None };
                Ok(session)
            }
            Err(error) => {
                *state = State { session: None, failed: Some((Instant::now(), error.clone())) };
                Err(error)
            }
        }
    }

    /// What did not answer is not asked again.
    async fn forget(&self, lost: &Arc<Session>) {
        let mut state = self.state.lock().await;
        if state.session.as_ref().is_some_and(|session| Arc::ptr_eq(session, lost)) {
            state.session = None;
        }
    }
}
