//! The services of examples/ in Node.js and in Rust: both verify tokens by the public keys, and ask `/verify` where a
//! logout has to count.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use contract::token_record::SigningAlgorithm;
use shared::clock::Clock;
use shared::tokens::SigningKey;

use crate::contract_tools::{Program, repository};
use crate::documented::{INTEGRATE, block};
use crate::documented_verifiers::{changed, link_jose};
use crate::journeys::until_login_gives;
use crate::system::{System, path_of};

const PASSWORD: &str = "testpassword";

/// A service that runs; it tells its port when it listens.
struct Service {
    name: &'static str,
    _program: Program,
    address: SocketAddr,
}

impl Service {
    fn start(name: &'static str, command: &mut Command) -> Self {
        let mut program = Program::start(command.stdout(Stdio::piped()));
        let mut lines = BufReader::new(program.0.stdout.take().unwrap()).lines();
        let line = lines.next().unwrap().unwrap();
        let port = line.strip_prefix("listens on ").unwrap().parse().unwrap();
        Self { name, _program: program, address: SocketAddr::from(([127, 0, 0, 1], port)) }
    }

    /// The files of the example in a directory that also has what npm would install.
    fn in_node(directory: &Path, auth: &str) -> Self {
        for name in ["package.json", "service.js", "verifier.js"] {
            let file = repository("examples/service-node").join(name);
            std::fs::copy(file, directory.join(name)).unwrap();
        }
        link_jose(directory);
        let mut node = Command::new("node");
        node.arg(directory.join("service.js")).env("AUTH_SERVICE_URL", auth).env("PORT", "0");
        Self::start("service-node", &mut node)
    }

    fn in_rust(auth: &str) -> Self {
        let binary = path_of("examples/service-rust");
        assert!(binary.exists(), "cargo build --workspace --all-targets");
        Self::start("service-rust", Command::new(binary).args([auth, "0"]))
    }

    /// The status of `GET /me` and of `POST /payments`.
    async fn statuses(&self, token: &str) -> (u16, u16) {
        let client = awc::Client::new();
        let bearer = ("authorization", format!("Bearer {token}"));
        let me = client.get(format!("http://{}/me", self.address)).insert_header(bearer.clone());
        let pay = client.post(format!("http://{}/payments", self.address)).insert_header(bearer);
        let me = me.send().await.unwrap().status().as_u16();
        (me, pay.send().await.unwrap().status().as_u16())
    }

    /// What each of the tokens gives.
    async fn judge(&self, tokens: &BTreeMap<&'static str, String>) -> Verdicts {
        let mut verdicts = Verdicts::new();
        for (what, token) in tokens {
            verdicts.insert(what, self.statuses(token).await);
        }
        verdicts
    }
}

type Verdicts = BTreeMap<&'static str, (u16, u16)>;

#[test]
fn the_page_shows_the_verifier_of_the_example() {
    let file = repository("examples/service-node/verifier.js");
    assert_eq!(block(INTEGRATE, "js", &[]), std::fs::read_to_string(file).unwrap());
}

#[actix_web::test]
async fn the_example_services_take_good_tokens_and_ask_where_a_logout_counts() {
    let mut system = System::in_one_process();
    let client = system.client;
    client.create("testuser", PASSWORD).await;
    until_login_gives(client, "testuser", PASSWORD, 200).await;
    let good = client.token("testuser", PASSWORD).await;
    let logged_out = client.token("testuser", PASSWORD).await;
    let ours = system.signing_key();
    let foreign = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap();
    let now_s = Clock::system().unix_s();
    let tokens = BTreeMap::from([
        ("good", good.clone()),
        ("logged out", logged_out.clone()),
        ("audience", changed(&ours, &good, |claims| claims.aud = "other".into())),
        ("issuer", changed(&ours, &good, |claims| claims.iss = "other".into())),
        ("expired", changed(&ours, &good, |claims| claims.exp = now_s - 60)),
        ("not yet", changed(&ours, &good, |claims| claims.nbf = now_s + 60)),
        ("foreign key", changed(&foreign, &good, |_| {})),
        ("no token", "a.b.c".to_owned()),
    ]);
    let directory = tempfile::tempdir().unwrap();
    let auth = format!("http://{}", client.auth);
    let services = [Service::in_node(directory.path(), &auth), Service::in_rust(&auth)];

    let mut expected: Verdicts = tokens.keys().map(|what| (*what, (401, 401))).collect();
    expected.extend([("good", (200, 200)), ("logged out", (200, 200))]);
    for service in &services {
        assert_eq!(service.judge(&tokens).await, expected, "{}", service.name);
    }
    // As the page says: the keys alone do not tell of logouts.
    assert_eq!(client.logout(&logged_out).await.status, 200);
    expected.insert("logged out", (200, 401));
    for service in &services {
        assert_eq!(service.judge(&tokens).await, expected, "{}", service.name);
    }
    system.stop();
    for service in &services {
        assert_eq!(service.statuses(&good).await, (200, 503), "{}", service.name);
    }
}
