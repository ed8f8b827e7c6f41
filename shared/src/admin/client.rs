//! The side of the command line.

use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Answer, LINE_MAX, PathTooLong, socket_of};
use crate::secrets::places;

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
    /// Each has keys of its own.
    #[error("several replicas run here: name one of them with --replica, which is {}", list(.0))]
    SeveralRun(Vec<u32>),
    /// The data directory cannot be read.
    #[error("cannot read {}", path.display())]
    DataDir {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

fn list(numbers: &[u32]) -> String {
    numbers.iter().map(u32::to_string).collect::<Vec<_>>().join(" or ")
}

/// The directory to ask a service in: that of the replica with this number, or of the only one that
/// runs. Without places for replicas it is the data directory itself.
///
/// # Errors
/// Several run, and none is named; or the data directory cannot be read.
pub fn find_running(
    data_dir: &Path,
    service: &str,
    replica: Option<u32>,
) -> Result<PathBuf, AdminError> {
    let path = || data_dir.to_owned();
    let places = places(data_dir).map_err(|source| AdminError::DataDir { path: path(), source })?;
    if let Some(number) = replica {
        let named = places.into_iter().find(|(there, _)| *there == number);
        let missing = || AdminError::NotRunning {
            path: data_dir.join(format!("replica-{number}")),
            source: ErrorKind::NotFound.into(),
        };
        return named.map(|(_, place)| place).ok_or_else(missing);
    }
    let running: Vec<_> = places.iter().filter(|(_, place)| listens(place, service)).collect();
    match (&*running, &*places) {
        ([], []) => Ok(path()),
        // It does not run, and says so when it is asked.
        ([], [(_, place), ..]) | ([(_, place)], _) => Ok(place.clone()),
        _ => Err(AdminError::SeveralRun(running.iter().map(|(number, _)| *number).collect())),
    }
}

/// The directory to ask a service in of which each process can answer for all.
///
/// # Errors
/// The data directory cannot be read.
pub fn find_any_running(data_dir: &Path, service: &str) -> Result<PathBuf, AdminError> {
    let whole = data_dir.to_owned();
    let places = places(data_dir)
        .map_err(|source| AdminError::DataDir { path: whole.clone(), source })?
        .into_iter()
        .map(|(_, place)| place);
    let mut directories = std::iter::once(whole.clone()).chain(places);
    // If none runs, the one that asks is told so.
    Ok(directories.find(|directory| listens(directory, service)).unwrap_or(whole))
}

fn listens(directory: &Path, service: &str) -> bool {
    socket_of(directory, service).is_ok_and(|socket| UnixStream::connect(socket).is_ok())
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
