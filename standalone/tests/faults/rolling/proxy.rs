//! The real nginx with the file of the composition, and a name server in the place of Docker's.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;
use testkit::rabbitmq::free_port;
use testkit::service_process::ServiceProcess;
use testkit::wait::until_holds;
use tokio::net::UdpSocket;

const NGINX: &str = "/usr/sbin/nginx";
const CONFIGURATION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/nginx.compose.conf");
const LOG: &str = "error.log";
/// How long the addresses of a name hold, in seconds. nginx has its own opinion.
const TTL: u32 = 1;

/// The name of a service and the addresses of its processes, which all listen on the same port.
pub(super) struct Name {
    pub(super) service: &'static str,
    pub(super) hosts: Vec<Ipv4Addr>,
    pub(super) port: u16,
}

/// Where clients send their requests.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) users: SocketAddr,
    pub(super) auth: SocketAddr,
}

pub(super) struct Proxy {
    nginx: ServiceProcess,
    addresses: Addresses,
    prefix: TempDir,
}

impl Proxy {
    /// These addresses will be those of [`Self::start`].
    pub(super) fn free_addresses() -> Addresses {
        let free = || SocketAddr::from((Ipv4Addr::LOCALHOST, free_port()));
        Addresses { users: free(), auth: free() }
    }

    pub(super) async fn start(addresses: Addresses, users: Name, auth: Name) -> Self {
        assert!(Path::new(NGINX).exists(), "scripts/install.sh nginx");
        let prefix = tempfile::tempdir().unwrap();
        let mut text = std::fs::read_to_string(CONFIGURATION).unwrap();
        let of_prefix = format!("{}/", prefix.path().display());
        for (composed, actual, count) in [
            ("listen 8001;", format!("listen {};", addresses.users), 1),
            ("listen 8002;", format!("listen {};", addresses.auth), 1),
            ("http://$replicas:8001;", format!("http://$replicas:{};", users.port), 1),
            ("http://$replicas:8002;", format!("http://$replicas:{};", auth.port), 1),
            (" /tmp/", format!(" {of_prefix}"), 6),
            ("/dev/stderr", format!("{of_prefix}{LOG}"), 1),
            ("resolver 127.0.0.11 ", format!("resolver {} ", serve_names(users, auth).await), 1),
        ] {
            assert_eq!(text.matches(composed).count(), count, "{composed}");
            text = text.replace(composed, &actual);
        }
        std::fs::write(prefix.path().join("nginx.conf"), text).unwrap();
        let mut command = Command::new(NGINX);
        command.arg("-p").arg(prefix.path()).args(["-e", "stderr", "-c", "nginx.conf"]);
        command.args(["-g", "daemon off; master_process off;"]);
        let proxy = Self { nginx: ServiceProcess::spawn(command, &[]), addresses, prefix };
        let Addresses { users, auth } = addresses;
        let listens = || [users, auth].iter().all(|at| TcpStream::connect(at).is_ok());
        until_holds("nginx listens", Duration::from_secs(30), listens).await;
        proxy
    }

    pub(super) fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// What it has logged, among it each process that it could not reach.
    pub(super) fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.prefix.path().join(LOG)).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    pub(super) fn stop(self) {
        self.nginx.stop();
    }
}

/// Answers as long as the runtime of the test lives; returns where. It also lists processes that are stopped: Docker forgets their
/// addresses at once, and nginx a second later.
async fn serve_names(users: Name, auth: Name) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        loop {
            let (length, client) = socket.recv_from(&mut question).await.unwrap();
            let answer = answer(&question[..length], &[&users, &auth]);
            socket.send_to(&answer, client).await.unwrap();
        }
    });
    address
}

/// The answer of RFC 1035 to one question for the IPv4 addresses of a name of one label.
fn answer(question: &[u8], names: &[&Name]) -> Vec<u8> {
    const HEADER: usize = 12;
    let length = usize::from(question[HEADER]);
    let label = &question[HEADER + 1..][..length];
    let name = names.iter().find(|name| name.service.as_bytes() == label).unwrap();
    // The last label is empty; type and class follow.
    let question_end = HEADER + 1 + length + 1 + 4;
    let count = u16::try_from(name.hosts.len()).unwrap().to_be_bytes();
    // The number of the question; it is an answer; one question, so many answers, and nothing else.
    let header = [&question[..2], &[0x81, 0x80, 0, 1], &count, &[0, 0, 0, 0]].concat();
    let addresses = name.hosts.iter().flat_map(|host| {
        // The name is that of the question; an address of the internet.
        let begin = [0xc0, 12, 0, 1, 0, 1];
        [&begin[..], &TTL.to_be_bytes(), &[0, 4], &host.octets()].concat()
    });
    header
        .into_iter()
        .chain(question[HEADER..question_end].iter().copied())
        .chain(addresses)
        .collect()
}
