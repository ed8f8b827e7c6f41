//! Three replicas of auth_service, each with a data directory of its own, on one RabbitMQ.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use tempfile::TempDir;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use crate::client::Client;
use crate::journeys::until_login_gives;
use crate::system::start_apart;

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_secs(30);
const NAMES: [&str; 3] = ["a", "b", "c"];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// A user_service and three replicas of auth_service.
struct Fleet {
    broker: RabbitMq,
    user_service: Option<ServiceProcess>,
    users: SocketAddr,
    replicas: [Option<(ServiceProcess, SocketAddr)>; 3],
    // The last to go: the processes write there.
    directory: TempDir,
}

impl Fleet {
    async fn start() -> Self {
        let (broker, directory) = (RabbitMq::start().await, tempfile::tempdir().unwrap());
        let users = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut fleet =
            Self { broker, user_service: None, users, replicas: [None, None, None], directory };
        let process = fleet.spawn("user_service", "users", &[]);
        fleet.users = process.address_of("user_service");
        fleet.user_service = Some(process);
        for replica in [A, B, C] {
            fleet.launch(replica, &[]);
        }
        for replica in [A, B, C] {
            fleet.until_ready(replica).await;
        }
        fleet
    }

    fn data_dir(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn spawn(&self, binary: &str, name: &str, extra: &[(&str, &str)]) -> ServiceProcess {
        let extra = [&[("AUTH_REPLICA", name)], extra].concat();
        start_apart(binary, &self.data_dir(name), &self.broker, &extra)
    }

    fn launch(&mut self, replica: usize, extra: &[(&str, &str)]) {
        let process = self.spawn("auth_service", NAMES[replica], extra);
        let address = process.address_of("auth_service");
        self.replicas[replica] = Some((process, address));
    }

    async fn start_again(&mut self, replica: usize, extra: &[(&str, &str)]) {
        self.launch(replica, extra);
        self.until_ready(replica).await;
    }

    fn stop(&mut self, replica: usize) {
        self.replicas[replica].take().unwrap().0.stop();
    }

    fn kill(&mut self, replica: usize) {
        self.replicas[replica].take().unwrap().0.kill();
    }

    /// A client of one replica.
    fn at(&self, replica: usize) -> Client {
        Client { users: self.users, auth: self.replicas[replica].as_ref().unwrap().1 }
    }

    async fn until_ready(&self, replica: usize) {
        let client = self.at(replica);
        until(&format!("{} is ready", NAMES[replica]), BOUND, async || {
            (client.ready().await == 200).then_some(())
        })
        .await;
    }

    /// A user who can log in everywhere.
    async fn create(&self, name: &str) {
        self.at(A).create(name, PASSWORD).await;
        for replica in [A, B, C] {
            if self.replicas[replica].is_some() {
                until_login_gives(self.at(replica), name, PASSWORD, 200).await;
            }
        }
    }

    async fn until_dead(&self, replica: usize, token: &str) {
        self.until_verify_gives(replica, token, 401).await;
    }

    async fn until_verify_gives(&self, replica: usize, token: &str, status: u16) {
        let client = self.at(replica);
        until(&format!("{} answers {status}", NAMES[replica]), BOUND, async || {
            (client.verify(token).await.status == status).then_some(())
        })
        .await;
    }
}

#[actix_web::test]
async fn replicas_share_keys_and_logouts_whatever_fails() {
    let mut fleet = Fleet::start().await;
    println!("a token is good everywhere at once");
    a_token_is_good_and_a_logout_counts_everywhere(&fleet).await;
    println!("a logout against a refresh elsewhere");
    a_logout_beats_a_refresh_at_another_replica(&fleet).await;
    println!("a replica that was away");
    a_confirmed_logout_reaches_who_was_away_although_its_replica_is_killed(&mut fleet).await;
    println!("a wiped disk");
    a_replica_with_an_empty_disk_fetches_what_the_others_know(&mut fleet).await;
    println!("no broker");
    a_logout_without_the_broker_counts_here_and_elsewhere_when_it_is_back(&mut fleet).await;
    for replica in [A, B, C] {
        fleet.stop(replica);
    }
}

async fn a_token_is_good_and_a_logout_counts_everywhere(fleet: &Fleet) {
    fleet.create("ann").await;
    for from in [A, B, C] {
        let token = fleet.at(from).token("ann", PASSWORD).await;
        for at in [A, B, C] {
            assert_eq!(fleet.at(at).verify(&token).await.status, 200, "of {from} at {at}");
        }
        assert_eq!(fleet.at((from + 1) % 3).logout(&token).await.status, 200);
        for at in [A, B, C] {
            fleet.until_dead(at, &token).await;
        }
    }
    // Keys that are to sign next arrive within moments.
    until("all publish the same keys, one of each replica at least", BOUND, async || {
        let [a, b, c] = [A, B, C].map(|replica| fleet.at(replica));
        let (a, b, c) = (a.jwks().await, b.jwks().await, c.jwks().await);
        (a.as_array()?.len() >= 3 && a == b && b == c).then_some(())
    })
    .await;
}

/// Whichever comes first, no token of the session lives on.
async fn a_logout_beats_a_refresh_at_another_replica(fleet: &Fleet) {
    fleet.create("ben").await;
    for _ in 0..20 {
        let token = fleet.at(C).token("ben", PASSWORD).await;
        let (a, b) = (fleet.at(A), fleet.at(B));
        let (logout, refresh) = tokio::join!(a.logout(&token), b.refresh(&token));
        assert_eq!(logout.status, 200, "{logout:?}");
        let new = refresh.body["token"].as_str();
        for dead in [Some(token.as_str()), new].into_iter().flatten() {
            for at in [A, B, C] {
                fleet.until_dead(at, dead).await;
            }
        }
    }
}

async fn a_confirmed_logout_reaches_who_was_away_although_its_replica_is_killed(fleet: &mut Fleet) {
    fleet.create("cleo").await;
    let (dead, live) =
        (fleet.at(A).token("cleo", PASSWORD).await, fleet.at(A).token("cleo", PASSWORD).await);
    fleet.stop(C);
    fleet.stop(B);
    assert_eq!(fleet.at(A).logout(&dead).await.status, 200);
    fleet.kill(A);
    for replica in [C, B] {
        fleet.start_again(replica, &[]).await;
        assert_eq!(fleet.at(replica).verify(&dead).await.status, 401);
        assert_eq!(fleet.at(replica).verify(&live).await.status, 200);
    }
    fleet.start_again(A, &[]).await;
    assert_eq!(fleet.at(A).verify(&dead).await.status, 401);
}

async fn a_replica_with_an_empty_disk_fetches_what_the_others_know(fleet: &mut Fleet) {
    let (dead, of_b) =
        (fleet.at(A).token("cleo", PASSWORD).await, fleet.at(B).token("cleo", PASSWORD).await);
    assert_eq!(fleet.at(B).logout(&dead).await.status, 200);
    fleet.kill(B);
    std::fs::remove_dir_all(fleet.data_dir(NAMES[B])).unwrap();
    fleet.start_again(B, &[]).await;
    assert_eq!(fleet.at(B).verify(&dead).await.status, 401);
    assert_eq!(fleet.at(B).verify(&of_b).await.status, 200, "the others have its former key");
    until_login_gives(fleet.at(B), "cleo", PASSWORD, 200).await;
    let new = fleet.at(B).token("cleo", PASSWORD).await;
    for at in [A, C] {
        assert_eq!(fleet.at(at).verify(&new).await.status, 200);
        fleet.until_dead(at, &dead).await;
    }
}

async fn a_logout_without_the_broker_counts_here_and_elsewhere_when_it_is_back(fleet: &mut Fleet) {
    fleet.stop(C);
    fleet.start_again(C, &[("LOGOUT_ACKS", "1")]).await;
    let login = async |at| fleet.at(at).token("cleo", PASSWORD).await;
    let (at_a, at_c, unheard_of) = (login(A).await, login(C).await, "x".repeat(20));
    assert_eq!(fleet.at(B).verify(&unheard_of).await.status, 401);
    fleet.broker.stop().await;
    assert_eq!(fleet.at(A).logout(&at_a).await.status, 200);
    assert_eq!(fleet.at(A).verify(&at_a).await.status, 401);
    fleet.until_verify_gives(B, &at_a, 200).await;
    let refused = fleet.at(C).logout(&at_c).await;
    assert_eq!(refused.status, 503, "{refused:?}");
    assert_eq!(fleet.at(C).verify(&at_c).await.status, 401, "it has ended there all the same");
    fleet.broker.restart().await;
    for at in [A, B, C] {
        for token in [&at_a, &at_c] {
            fleet.until_dead(at, token).await;
        }
    }
}
