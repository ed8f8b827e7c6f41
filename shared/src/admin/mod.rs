//! Commands of an operator to the running service, through a socket in its data directory.
//!
//! The socket belongs to the user that the service runs as, and only that user and root may use it:
//! the system says who is at the other end. There is no way to these commands over HTTP.
//!
//! A request is one line of JSON, and so is the answer: `{"ok": …}` or `{"error": "…"}`. Both sides
//! are the same program, usually of the same version; a command that the service does not know is
//! refused.

mod client;
mod server;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use self::client::{AdminError, ask_service, find_any_running, find_running};
pub use self::server::{CommandError, CommandSocket, Operator};

/// The longest path of a socket, in bytes: `sun_path` of `unix(7)`, with its final zero byte.
const PATH_MAX: usize = 108;
/// The longest line, in bytes.
const LINE_MAX: u64 = 1024 * 1024;

/// What the service answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer<T> {
    Ok(T),
    Error(String),
}

/// The path of the socket is too long for the system.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the socket {} has a path of {} bytes, and the system allows {}: use a DATA_DIR with a shorter \
     path, or a relative one",
    path.display(), path.as_os_str().len(), PATH_MAX - 1
)]
pub struct PathTooLong {
    path: PathBuf,
}

/// The socket of this service.
fn socket_of(data_dir: &Path, service: &str) -> Result<PathBuf, PathTooLong> {
    let path = data_dir.join(format!("{service}.sock"));
    if path.as_os_str().len() < PATH_MAX { Ok(path) } else { Err(PathTooLong { path }) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::Health;
    use serde_json::{Value, json};
    use std::os::unix::fs::PermissionsExt;

    /// Serves a command that doubles numbers, and refuses those below zero.
    fn serve_doubling(data_dir: &Path, health: &Health) {
        let socket = CommandSocket::bind(data_dir, "doubler").unwrap();
        let health = health.clone();
        actix_web::rt::spawn(async move {
            let double = async |n: i64, operator: Operator| {
                assert_eq!(operator.uid, rustix::process::geteuid().as_raw());
                if n < 0 { Err(CommandError::Refused("too small".to_owned())) } else { Ok(2 * n) }
            };
            socket.serve(&health, double).await;
        });
    }

    async fn ask(data_dir: &Path, request: Value) -> Result<i64, AdminError> {
        let data_dir = data_dir.to_owned();
        let asking = actix_web::rt::task::spawn_blocking(move || {
            ask_service(&data_dir, "doubler", &request)
        });
        asking.await.unwrap()
    }

    #[actix_web::test]
    async fn a_command_gets_its_answer_or_the_reason_of_its_refusal() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = directory.path();
        let health = Health::default();
        let none = ask(data_dir, json!(1)).await.unwrap_err();
        assert!(matches!(none, AdminError::NotRunning { .. }), "{none}");
        // One that a killed service has left.
        drop(std::os::unix::net::UnixListener::bind(data_dir.join("doubler.sock")).unwrap());
        let none = ask(data_dir, json!(1)).await.unwrap_err();
        assert!(matches!(none, AdminError::NotRunning { .. }), "{none}");
        serve_doubling(data_dir, &health);
        assert_eq!(ask(data_dir, json!(21)).await.unwrap(), 42, "it is there at once");
        let mode = std::fs::metadata(data_dir.join("doubler.sock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let refused = ask(data_dir, json!(-1)).await.unwrap_err();
        assert!(matches!(&refused, AdminError::Refused(reason) if reason == "too small"));
        let unknown = ask(data_dir, json!({ "no": "such command" })).await.unwrap_err();
        assert!(unknown.to_string().contains("does not know this command"), "{unknown}");
        // Somebody who says nothing keeps nobody waiting for ever.
        let silent =
            std::os::unix::net::UnixStream::connect(data_dir.join("doubler.sock")).unwrap();
        assert_eq!(ask(data_dir, json!(4)).await.unwrap(), 8);
        drop(silent);
        assert_eq!(health.degraded(), [""; 0]);
    }

    #[test]
    fn a_path_that_the_system_does_not_allow_is_told() {
        let longest = PathBuf::from(format!("/{}", "x".repeat(PATH_MAX - 1 - 19)));
        assert!(socket_of(&longest, "auth_service").is_ok());
        assert!(socket_of(&longest.join("y"), "auth_service").is_err());
        let too_long = PathBuf::from(format!("/{}", "x".repeat(200)));
        let error = socket_of(&too_long, "auth_service").unwrap_err().to_string();
        assert!(error.contains("107") && error.contains("shorter path"), "{error}");
        let asked = ask_service::<_, Value>(&too_long, "auth_service", &1).unwrap_err();
        assert!(matches!(asked, AdminError::PathTooLong(_)));
    }
}
