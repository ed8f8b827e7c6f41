//! Requests by curl, which sends paths and headers as they are given, and knows TLS.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use testkit::rabbitmq::free_port;

use crate::contract_tools::printed_by;

/// A request that is not sent yet.
pub(crate) struct Curl(Command);

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: BTreeMap<String, String>,
    /// Null unless it is JSON.
    pub(crate) body: Value,
}

impl Curl {
    pub(crate) fn new(url: &str) -> Self {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--include", "--http1.1", "--path-as-is"]);
        // A name may also stand for ::1, where no proxy listens.
        curl.args(["--ipv4", "--max-time", "30"]).arg(url);
        Self(curl)
    }

    /// The same over TLS, for the certificates of this authority.
    pub(crate) fn trusting(authority: &Path, url: &str) -> Self {
        let mut curl = Self::new(url);
        curl.0.arg("--cacert").arg(authority);
        curl
    }

    /// Sends it with these headers, and a body of JSON if there is one.
    pub(crate) fn send(
        mut self,
        method: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        self.0.args(["--request", method]);
        for (name, value) in headers {
            self.0.arg("--header").arg(format!("{name}: {value}"));
        }
        if let Some(body) = body {
            let content_type = "Content-Type: application/json";
            self.0.args(["--header", content_type, "--data", &body.to_string()]);
        }
        Answer::read(&printed_by(&mut self.0))
    }
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn read(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let header = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_ascii_lowercase(), value.to_owned())
        };
        let body = serde_json::from_str(body).unwrap_or_default();
        Self { status, headers: lines.map(header).collect(), body }
    }
}

/// A port that is free now.
pub(crate) fn free_address() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], free_port()))
}
