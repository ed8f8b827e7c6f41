//! `healthcheck`: asks the running service whether it is ready, for container engines.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::config::{ListenAddress, local_address};

/// How long the service may take to connect, and to send each part of its answer.
const TIMEOUT: Duration = Duration::from_secs(3);
/// The largest part of an answer that is read, in bytes.
const ANSWER_MAX: u64 = 64 * 1024;

/// The service is not ready.
#[derive(Debug, thiserror::Error)]
pub(super) enum HealthcheckError {
    #[error("http://{address}/readyz does not answer")]
    NoAnswer { address: SocketAddr, source: io::Error },
    #[error("http://{address}/readyz answers {status}: {body}")]
    NotReady { address: SocketAddr, status: String, body: String },
}

/// Asks `/readyz` of each of the services that answer it there on this machine.
///
/// # Errors
/// One of them is not ready.
pub(super) fn healthcheck(listens: &[&ListenAddress]) -> Result<(), HealthcheckError> {
    listens.iter().try_for_each(|listen| check(local_address(listen.first())))
}

fn check(address: SocketAddr) -> Result<(), HealthcheckError> {
    let no_answer = |source| HealthcheckError::NoAnswer { address, source };
    let answer = ask(address).map_err(no_answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let status_line = head.lines().next().unwrap_or_default();
    let Some((_, status)) = status_line.split_once(' ') else {
        return Err(no_answer(io::Error::other("the answer is not HTTP")));
    };
    if status.starts_with('2') {
        return Ok(());
    }
    let (status, body) = (status.to_owned(), body.to_owned());
    Err(HealthcheckError::NotReady { address, status, body })
}

fn ask(address: SocketAddr) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    stream.take(ANSWER_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;
    use std::thread;

    /// The result for a service that gives this answer.
    fn check_against(answer: &'static str) -> Result<(), HealthcheckError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let service = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /readyz HTTP/1.1\r\n"));
            stream.write_all(answer.as_bytes()).unwrap();
        });
        let outcome = check(address);
        service.join().unwrap();
        outcome
    }

    #[test]
    fn a_service_is_ready_if_it_says_so() {
        assert!(check_against("HTTP/1.1 200 OK\r\n\r\n{}").is_ok());
        let error = check_against("HTTP/1.1 503 Service Unavailable\r\n\r\n{\"reasons\":[]}");
        let told = error.unwrap_err().to_string();
        assert!(told.ends_with("answers 503 Service Unavailable: {\"reasons\":[]}"), "{told}");
        for nonsense in ["", "220"] {
            let error = check_against(nonsense).unwrap_err();
            assert!(matches!(error, HealthcheckError::NoAnswer { .. }), "{error}");
        }
    }
}
