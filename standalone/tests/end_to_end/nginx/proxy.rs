//! The real nginx with the files of examples/nginx, and requests to it over TLS.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::certificates::Authority;
use testkit::service_process::ServiceProcess;
use testkit::wait::until_holds;

use crate::client::Client;
use crate::contract_tools::repository;
use crate::curl::{Answer, Curl, free_address};

const NGINX: &str = "/usr/sbin/nginx";
const HOST: &str = "localhost";

/// nginx in front of both services and an application.
pub(super) struct Proxy {
    prefix: TempDir,
    nginx: ServiceProcess,
    https: SocketAddr,
    http: SocketAddr,
}

impl Proxy {
    pub(super) async fn start(services: Client, application: SocketAddr) -> Self {
        assert!(Path::new(NGINX).exists(), "scripts/install.sh nginx");
        let (https, http) = (free_address(), free_address());
        let mut site = std::fs::read_to_string(repository("examples/nginx/site.conf")).unwrap();
        for (documented, actual) in [
            ("127.0.0.1:8001", services.users),
            ("127.0.0.1:8002", services.auth),
            ("127.0.0.1:3000", application),
            ("127.0.0.1:8080", http),
            ("127.0.0.1:8443", https),
        ] {
            assert_eq!(site.matches(documented).count(), 1, "{documented}");
            site = site.replace(documented, &actual.to_string());
        }
        let prefix = tempfile::tempdir().unwrap();
        let path = |name: &str| prefix.path().join(name);
        std::fs::write(path("site.conf"), site).unwrap();
        std::fs::copy(repository("examples/nginx/nginx.conf"), path("nginx.conf")).unwrap();
        let authority = Authority::new();
        let (certificate, key) = authority.issue(HOST);
        std::fs::copy(certificate, path("site.pem")).unwrap();
        std::fs::copy(key, path("site.key")).unwrap();
        std::fs::copy(authority.certificate(), path("ca.pem")).unwrap();
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(prefix.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        let proxy = Self { nginx: ServiceProcess::spawn(command, &[]), prefix, https, http };
        let listens = || TcpStream::connect(https).is_ok() && TcpStream::connect(http).is_ok();
        until_holds("nginx listens", Duration::from_secs(30), listens).await;
        proxy
    }

    /// A request over TLS with these headers, and a body of JSON if there is one.
    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        let curl = self.curl(&format!("https://{HOST}:{}{path}", self.https.port()));
        curl.send(method, headers, body)
    }

    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        self.send("GET", path, headers, None)
    }

    /// A request without TLS.
    pub(super) fn get_unencrypted(&self, path: &str) -> Answer {
        let url = format!("http://{HOST}:{}{path}", self.http.port());
        self.curl(&url).send("GET", &[], None)
    }

    pub(super) fn stop(self) {
        self.nginx.stop();
    }

    fn curl(&self, url: &str) -> Curl {
        Curl::trusting(&self.prefix.path().join("ca.pem"), url)
    }
}
