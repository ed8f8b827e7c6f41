//! One connection to the server.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::{ClientConfig, RootCertStore};
use secrecy::SecretString;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::timeout;
use tokio_postgres::config::SslMode;
use tokio_postgres::{AsyncMessage, Client, Config, Connection, Row};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::timeline::{NewestTimeline, Takeovers, Timeline};
use super::url::parse;
use super::{InvalidDatabaseUrl, Parameter, PostgresError};
use crate::store_error::StoreError;

/// How long connecting may take in all, over all hosts.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// How long a statement may take. The server gives up earlier (`statement_timeout`); this is for a
/// server that does not run at all while its machine answers.
const STATEMENT_LIMIT: Duration = Duration::from_secs(15);

/// Where the database is.
pub struct Server {
    config: Config,
    tls: MakeRustlsConnect,
    /// Whether the last attempt to connect reached it.
    is_reachable: AtomicBool,
    /// Which of several servers with the same history is the present one.
    newest: NewestTimeline,
}

impl Server {
    /// The server that the URL names; `application` is what it shows to its operators. Connects not
    /// yet.
    ///
    /// # Errors
    /// The URL cannot be used.
    pub fn new(url: &SecretString, application: &str) -> Result<Self, InvalidDatabaseUrl> {
        let mut config = parse(url)?;
        if config.get_application_name().is_none() {
            config.application_name(application);
        }
        let tls = MakeRustlsConnect::new(tls_config(config.get_ssl_mode()));
        let (is_reachable, newest) = (AtomicBool::new(true), NewestTimeline::new());
        Ok(Self { config, tls, is_reachable, newest })
    }

    /// Opens a connection, which is driven by a task on this thread.
    ///
    /// # Errors
    /// There is no way to the server, it refuses, or it is a former primary.
    pub async fn connect(&self) -> Result<Session, StoreError> {
        let connecting = self.config.connect(self.tls.clone());
        let connected = match timeout(CONNECT_LIMIT, connecting).await {
            Ok(connected) => connected.map_err(StoreError::from),
            Err(_) => Err(PostgresError::Late(CONNECT_LIMIT.as_secs()).into()),
        };
        let is_unreachable = matches!(connected, Err(StoreError::Unavailable(_)));
        self.is_reachable.store(!is_unreachable, Ordering::Relaxed);
        let (client, connection) = connected?;
        let notices = Arc::new(AtomicU64::new(0));
        let (notify, notified) = watch::channel(());
        tokio::spawn(drive(connection, Arc::clone(&notices), notify));
        let (takeovers, limit) = (self.newest.takeovers(), STATEMENT_LIMIT);
        let mut session = Session { client, notices, notified, takeovers, limit };
        self.meet(&NewestTimeline::read(&session).await?)?;
        session.takeovers = self.newest.takeovers();
        Ok(session)
    }

    /// A server on this timeline was met. If it is newer than any before, sessions that began
    /// earlier count as closed.
    ///
    /// # Errors
    /// A newer one of the same server was seen.
    pub fn meet(&self, timeline: &Timeline) -> Result<(), StoreError> {
        self.newest.meet(timeline)
    }

    /// The newest timeline that was seen.
    pub fn newest_timeline(&self) -> Timeline {
        self.newest.seen()
    }

    /// The last server that was met is on an older timeline than one before.
    pub fn is_former_primary(&self) -> bool {
        self.newest.has_met_older()
    }

    /// Whether the last attempt to connect reached it.
    pub fn is_reachable(&self) -> bool {
        self.is_reachable.load(Ordering::Relaxed)
    }
}

/// What certificates are trusted: the system's roots. Those that cannot be read are left out, and a
/// server that needs them is refused by name.
fn tls_config(ssl_mode: SslMode) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    if ssl_mode != SslMode::Disable {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    ClientConfig::builder().with_root_certificates(roots).with_no_client_auth()
}

/// Moves data between the connection and its client until one of them ends.
async fn drive<S, T>(
    mut connection: Connection<S, T>,
    notices: Arc<AtomicU64>,
    notify: watch::Sender<()>,
) where
    S: AsyncRead + AsyncWrite + Unpin,
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(message) = poll_fn(|context| connection.poll_message(context)).await {
        match message {
            Ok(AsyncMessage::Notice(notice)) => {
                notices.fetch_add(1, Ordering::Release);
                tracing::debug!(message = notice.message(), "PostgreSQL notes");
            }
            Ok(AsyncMessage::Notification(_)) => drop(notify.send(())),
            Ok(_) => {}
            // Those who wait for an answer get the error.
            Err(_) => break,
        }
    }
}

/// What is known after COMMIT.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Confirmation {
    /// The server has confirmed it.
    Confirmed,
    /// The answer was lost, or came with a notice: when the wait for a synchronous standby is
    /// cancelled, COMMIT succeeds, and may be lost with the server all the same.
    Unknown,
}

/// A connection. Statements whose futures are polled together are sent without waiting for each
/// other's answers.
pub struct Session {
    client: Client,
    /// How often the server has sent a notice.
    notices: Arc<AtomicU64>,
    /// Changes with each notification; ends with the connection.
    notified: watch::Receiver<()>,
    takeovers: Takeovers,
    limit: Duration,
}

impl Session {
    /// For statements that read or write many rows.
    #[must_use]
    pub fn with_limit(self, limit: Duration) -> Self {
        Self { limit, ..self }
    }

    /// Whether it can no longer be used: it has ended, or may be one of a former primary.
    pub fn is_closed(&self) -> bool {
        self.client.is_closed() || self.takeovers.happened()
    }

    /// Runs a statement; returns its rows.
    ///
    /// # Errors
    /// The server refuses, or cannot be reached.
    pub async fn query(&self, sql: &str, with: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError> {
        self.within_limit(self.client.query_typed(sql, with)).await
    }

    /// Runs a statement that returns one row.
    ///
    /// # Errors
    /// As [`Self::query`]; or there is another number of rows.
    pub async fn query_one(&self, sql: &str, with: &[Parameter<'_>]) -> Result<Row, StoreError> {
        self.within_limit(self.client.query_typed_one(sql, with)).await
    }

    /// Runs a statement; returns how many rows it changed.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn execute(&self, sql: &str, with: &[Parameter<'_>]) -> Result<u64, StoreError> {
        self.within_limit(self.client.execute_typed(sql, with)).await
    }

    /// Runs statements without parameters, separated by semicolons.
    ///
    /// # Errors
    /// As [`Self::query`].
    pub async fn run(&self, sql: &str) -> Result<(), StoreError> {
        self.within_limit(self.client.batch_execute(sql)).await
    }

    /// Waits for the next notification that was asked for with `LISTEN`. Several that come before
    /// this is called count as one.
    ///
    /// # Errors
    /// The connection has ended.
    pub async fn notified(&mut self) -> Result<(), StoreError> {
        self.notified.changed().await.map_err(|_| PostgresError::Ended.into())
    }

    /// Sends COMMIT, and waits for its answer for as long as the connection lives: nobody knows the
    /// outcome before.
    pub async fn commit(&self) -> Confirmation {
        let before = self.notices.load(Ordering::Acquire);
        let answered = self.client.batch_execute("COMMIT").await;
        if answered.is_ok() && self.notices.load(Ordering::Acquire) == before {
            Confirmation::Confirmed
        } else {
            Confirmation::Unknown
        }
    }

    async fn within_limit<T>(
        &self,
        asking: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, StoreError> {
        match timeout(self.limit, asking).await {
            Ok(answer) => answer.map_err(StoreError::from),
            Err(_) => Err(PostgresError::Late(self.limit.as_secs()).into()),
        }
    }
}
