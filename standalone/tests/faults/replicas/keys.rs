//! Keys that rotate and are killed while sessions begin, go on and end at all replicas.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::BASE64URL_NOPAD;
use serde_json::Value;
use testkit::wait::until;

use super::clients::Clients;
use super::fleet::{Fleet, path_of};
use super::http::Http;
use super::sites::REPLICAS;
use super::sweep::sweep;
use super::verifiers::Verifier;
use super::{LEVEL_BOUND, local};
use crate::chaos::alone;

const ROTATIONS: usize = 10;
/// From one rotation to the next: ten in a minute and more.
const BETWEEN: Duration = Duration::from_millis(1_500);
/// A killed key is dead everywhere within this time of the command's end, on a busy machine, too. On
/// an idle one it takes some milliseconds.
const KILLED_WITHIN: Duration = Duration::from_secs(1);

impl Fleet {
    /// Runs `auth_service keys` for a replica. Returns the keys.
    fn keys(&self, replica: usize, command: &[&str]) -> Vec<Value> {
        let output = Command::new(path_of("auth_service"))
            .env_clear()
            .env("DATA_DIR", self.data_dir(replica))
            .arg("keys")
            .args(command)
            .output()
            .unwrap();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{command:?}: {errors}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    async fn until_login(&self, http: &Http, replica: usize) -> String {
        let at = self.sites.auth[replica];
        until("a login", LEVEL_BOUND, async || http.log_in(at, "session0").await.1).await
    }
}

fn kid_of(token: &str) -> String {
    let header = BASE64URL_NOPAD.decode(token.split('.').next().unwrap().as_bytes()).unwrap();
    let header: Value = serde_json::from_slice(&header).unwrap();
    header["kid"].as_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_keys_rotate_no_good_token_is_refused_and_a_killed_key_is_dead_everywhere() {
    let _alone = alone();
    local(async {
        let (fleet, users) = Fleet::start().await;
        let http = Http::new();
        let clients = Clients::start(Arc::clone(&fleet.sites), users, 1);
        rotate(&fleet, &http).await;
        let (mut users, mut findings) = clients.stop();
        fleet.until_level(&http).await;
        findings.join(sweep(&fleet.sites, &http, &mut users).await);
        println!("{ROTATIONS} rotations: {findings}");
        assert!(findings.complaints().is_empty(), "{:?}", findings.complaints());
        kill(&fleet, &http).await;
    })
    .await;
}

/// Other people's verifiers ask one replica for the keys of all.
async fn rotate(fleet: &Fleet, http: &Http) {
    let [first, second, _] = fleet.sites.auth;
    let mut verifiers = [Verifier::pyjwt(first), Verifier::jose(second)];
    let mut tokens = Vec::new();
    for number in 0..ROTATIONS {
        let replica = number % REPLICAS;
        let before = fleet.until_login(http, replica).await;
        fleet.keys(replica, &["rotate", "--json"]);
        // It signs when the others have said that they have it.
        let after = until("another key signs", LEVEL_BOUND, async || {
            let token = fleet.until_login(http, replica).await;
            (kid_of(&token) != kid_of(&before)).then_some(token)
        })
        .await;
        tokens.extend([before, after]);
        for verifier in &mut verifiers {
            for token in &tokens {
                verifier.expect_good(token);
            }
        }
        // That is how often they rotate.
        tokio::time::sleep(BETWEEN).await;
    }
}

async fn kill(fleet: &Fleet, http: &Http) {
    let mut times = Vec::new();
    for replica in 0..REPLICAS {
        let token = fleet.until_login(http, replica).await;
        for at in fleet.sites.auth {
            for _ in 0..2 {
                // The second time its signature is in the cache of a worker.
                assert_eq!(http.verify(at, &token).await, 200);
            }
        }
        fleet.keys(replica, &["kill", &kid_of(&token), "--json"]);
        let answered = Instant::now();
        for at in fleet.sites.auth {
            // Without a pause: the time is printed.
            while http.verify(at, &token).await != 401 {
                assert!(answered.elapsed() < KILLED_WITHIN, "the key lives on");
            }
            times.push(answered.elapsed());
        }
        let after = fleet.until_login(http, replica).await;
        assert_ne!(kid_of(&token), kid_of(&after));
        for at in fleet.sites.auth {
            assert_ne!(http.verify(at, &after).await, 401, "none is dead at birth");
        }
    }
    times.sort();
    println!("a killed key is dead everywhere after {times:?}");
}
