//! The real Traefik and Envoy, with the files of examples/.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use testkit::service_process::ServiceProcess;
use testkit::wait::until_holds;

use crate::contract_tools::{python, repository};
use crate::curl::{Answer, Curl, free_address};

/// A proxy in front of auth_service and an application.
pub(super) struct Proxy {
    process: ServiceProcess,
    at: SocketAddr,
    /// Its configuration.
    _directory: TempDir,
}

impl Proxy {
    pub(super) async fn traefik(auth: SocketAddr, application: SocketAddr) -> Self {
        let (directory, at) = (tempfile::tempdir().unwrap(), free_address());
        for name in ["traefik.yaml", "site.yaml"] {
            let file = repository("examples/traefik").join(name);
            let text = std::fs::read_to_string(file).unwrap();
            let text = with_addresses(text, [at, application, auth]);
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let mut traefik = python("traefik");
        traefik.arg("--configFile=traefik.yaml").current_dir(directory.path());
        Self::started(traefik, at, directory).await
    }

    /// Envoy with the file of the example after a change.
    pub(super) async fn envoy(
        auth: SocketAddr,
        application: SocketAddr,
        change: impl FnOnce(&str) -> String,
    ) -> Self {
        let (directory, at) = (tempfile::tempdir().unwrap(), free_address());
        let text = std::fs::read_to_string(repository("examples/envoy/envoy.yaml")).unwrap();
        let text = with_addresses(change(&text), [at, application, auth]);
        let file = directory.path().join("envoy.yaml");
        std::fs::write(&file, text).unwrap();
        let mut envoy = python("envoy");
        // Several may run beside each other.
        envoy.args(["--disable-hot-restart", "--log-level", "warning", "--concurrency", "1"]);
        envoy.arg("-c").arg(&file);
        Self::started(envoy, at, directory).await
    }

    async fn started(command: Command, at: SocketAddr, directory: TempDir) -> Self {
        let what = format!("{} routes requests", Path::new(command.get_program()).display());
        let process = ServiceProcess::spawn(command, &[]);
        let proxy = Self { process, at, _directory: directory };
        // Traefik listens before it knows its routes, and answers 404 until then.
        let routes =
            || TcpStream::connect(at).is_ok() && proxy.send("GET", "/", &[], None).status != 404;
        until_holds(&what, Duration::from_mins(1), routes).await;
        proxy
    }

    pub(super) fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&Value>,
    ) -> Answer {
        Curl::new(&format!("http://{}{path}", self.at)).send(method, headers, body)
    }

    /// GET with a token.
    pub(super) fn get_as(&self, path: &str, token: &str) -> Answer {
        self.send("GET", path, &[("Authorization", &format!("Bearer {token}"))], None)
    }

    pub(super) fn stop(self) {
        self.process.stop();
    }
}

/// The file with the addresses of a test: of the proxy, the application and auth_service.
fn with_addresses(mut file: String, actual: [SocketAddr; 3]) -> String {
    for (documented, actual) in [8080, 3000, 8002].into_iter().zip(actual) {
        file = file.replace(&format!("127.0.0.1:{documented}"), &actual.to_string());
        let port = format!("port_value: {} ", actual.port());
        file = file.replace(&format!("port_value: {documented} "), &port);
    }
    file
}
