//! The side of the command line.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, LINE_MAX, PathTooLong, socket_of};

/// How long the service may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// A command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// Nobody listens.
    #[error("the service is not running: nobody listens at {}", path.display())]
    NotRunning {
        /// Its socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The socket cannot be used.
    #[error("cannot ask the service through {}", path.display())]
    Io {
        /// Its socket.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// There can be no such socket.
    #[error(transparent)]
    PathTooLong(#[from] PathTooLong),
    /// The service has refused it.
    #[error("{0}")]
    Refused(String),
}

/// Asks the service that runs on this data directory, and waits for the answer.
///
/// # Errors
/// See [`AdminError`].
pub fn ask_service<R: Serialize, A: DeserializeOwned>(
    data_dir: &Path,
    service: &str,
    request: &R,
) -> Result<A, AdminError> {
    let path = socket_of(data_dir, service)?;
    let stream = UnixStream::connect(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
            AdminError::NotRunning { path: path.clone(), source }
        }
        _ => AdminError::Io { path: path.clone(), source },
    })?;
    let answer = exchange(stream, request).map_err(|source| AdminError::Io { path, source })?;
    match answer {
        Answer::Ok(answer) => Ok(answer),
        Answer::Error(reason) => Err(AdminError::Refused(reason)),
    }
}

fn exchange<R: Serialize, A: DeserializeOwned>(
    mut stream: UnixStream,
    request: &R,
) -> io::Result<Answer<A>> {
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let line = serde_json::to_string(request)? + "\n";
    stream.write_all(line.as_bytes())?;
    let mut answer = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut answer)?;
    Ok(serde_json::from_str(&answer)?)
}
