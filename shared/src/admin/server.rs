//! The side of the service.

use std::cell::Cell;
use std::error::Error;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use super::{Answer, LINE_MAX, socket_of};
use crate::actors::{AskError, Health, supervise};
use crate::hashing::HashRefused;
use crate::store_error::StoreError;
use crate::telemetry::ErrorChain;

/// How long the request, and the reading of the answer, may take.
const TIMEOUT: Duration = Duration::from_secs(2);

/// Who gives a command: a process, as the system tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operator {
    /// The user that it runs as.
    pub uid: u32,
    /// Its process id, where the system tells it.
    pub pid: Option<i32>,
}

impl Operator {
    /// This process.
    pub(crate) fn own() -> Self {
        let pid = rustix::process::getpid().as_raw_nonzero().get();
        Self { uid: rustix::process::geteuid().as_raw(), pid: Some(pid) }
    }
}

/// A command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// It was refused for this reason, and nothing was done.
    #[error("{0}")]
    Refused(String),
    /// This failed on the way, and the command may have been carried out.
    #[error("{0}")]
    Failed(String),
}

impl CommandError {
    /// What failed on the way, with all its causes.
    pub fn failed(error: &(dyn Error + 'static)) -> Self {
        Self::Failed(ErrorChain(error).to_string())
    }
}

impl From<AskError> for CommandError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Full(_) => Self::Refused(error.to_string()),
            AskError::Gone(_) => Self::failed(&error),
        }
    }
}

impl From<HashRefused> for CommandError {
    /// Nothing was hashed, and so nothing was done.
    fn from(error: HashRefused) -> Self {
        Self::Refused(error.to_string())
    }
}

impl From<StoreError> for CommandError {
    fn from(error: StoreError) -> Self {
        Self::failed(&error)
    }
}

/// The socket through which commands come.
pub struct CommandSocket {
    path: PathBuf,
    /// Until it is served for the first time.
    bound: Cell<Option<UnixListener>>,
}

impl CommandSocket {
    /// Binds the socket at once, so that whoever sees the service start finds it. Without a socket the
    /// service works on all the same: `/readyz` or the log tell that commands cannot be given.
    ///
    /// The data directory must have been claimed: a socket that is there is one that was left over.
    pub fn bind(data_dir: &Path, service: &str) -> Option<Self> {
        let path = socket_of(data_dir, service).inspect_err(|error| {
            let error = error as &dyn Error;
            tracing::warn!(error, "commands cannot be given to the running service");
        });
        let path = path.ok()?;
        // If it fails, serving tries it again, and tells.
        let bound = Cell::new(bind(&path).ok());
        Some(Self { path, bound })
    }

    /// Answers commands until it is dropped, one after the other.
    pub async fn serve<R: DeserializeOwned, A: Serialize>(
        self,
        health: &Health,
        answer: impl AsyncFn(R, Operator) -> Result<A, CommandError>,
    ) {
        let run = async || self.accept_for_ever(&answer).await;
        supervise(health, "answering commands", pending(), run).await;
    }

    async fn accept_for_ever<R: DeserializeOwned, A: Serialize>(
        &self,
        answer: &impl AsyncFn(R, Operator) -> Result<A, CommandError>,
    ) -> io::Result<()> {
        let listener = self.bound.take().map_or_else(|| bind(&self.path), Ok)?;
        loop {
            let (stream, _) = listener.accept().await?;
            if let Err(error) = answer_one(stream, answer).await {
                tracing::debug!(error = &error as &dyn Error, "a command was not answered");
            }
        }
    }
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

async fn answer_one<R: DeserializeOwned, A: Serialize>(
    stream: UnixStream,
    answer: &impl AsyncFn(R, Operator) -> Result<A, CommandError>,
) -> io::Result<()> {
    let peer = stream.peer_cred()?;
    let operator = Operator { uid: peer.uid(), pid: peer.pid() };
    if operator.uid != 0 && operator.uid != rustix::process::geteuid().as_raw() {
        return Err(ErrorKind::PermissionDenied.into());
    }
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    timeout(TIMEOUT, (&mut stream).take(LINE_MAX).read_line(&mut line)).await??;
    let answered = match serde_json::from_str(&line) {
        Ok(request) => match answer(request, operator).await {
            Ok(outcome) => Answer::Ok(outcome),
            Err(error) => Answer::Error(error.to_string()),
        },
        Err(_) => Answer::Error("the running service does not know this command".to_owned()),
    };
    let line = serde_json::to_string(&answered)? + "\n";
    timeout(TIMEOUT, stream.write_all(line.as_bytes())).await?
}
