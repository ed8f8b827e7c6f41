//! Moves the users to another database, while auth_service runs.

use std::net::SocketAddr;
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::service_process::ServiceProcess;
use testkit::wait::until;

use crate::client::Client;
use crate::system::{path_of, start_apart};

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_secs(10);

struct Moving {
    broker: RabbitMq,
    database: Postgres,
    directory: TempDir,
}

impl Moving {
    fn serve(&self, binary: &str, name: &str, url: Option<&str>) -> ServiceProcess {
        let data_dir = self.directory.path().join(name);
        let extra: Vec<_> = url.map(|url| ("DATABASE_URL", url)).into_iter().collect();
        start_apart(binary, &data_dir, &self.broker, &extra)
    }

    fn move_users(&self, from: &str, to: &str) -> Output {
        let mut command = Command::new(path_of("user_service"));
        command.env_clear().current_dir(self.directory.path());
        command.env("DATA_DIR", "users").args(["move", "--from", from, "--to", to]);
        command.output().unwrap()
    }

    /// Moves the users, and serves them there; nothing is loaded again by auth_service.
    async fn go_on(
        &self,
        (stopped, auth): (ServiceProcess, SocketAddr),
        (from, to): (&str, &str),
        name: &str,
    ) -> ServiceProcess {
        let before =
            Client { users: auth, auth }.metric("lockstep_projection_snapshots_total").await;
        let refused = self.move_users(from, to);
        let told = String::from_utf8_lossy(&refused.stderr);
        assert_eq!((refused.status.code(), told.lines().count()), (Some(75), 1), "{told}");
        stopped.stop();
        // The server may know the sessions of the stopped service for a moment longer.
        until("everything is moved", BOUND, async || {
            self.move_users(from, to).status.success().then_some(())
        })
        .await;
        let again = self.move_users(from, to);
        assert_eq!(again.status.code(), Some(73), "what is there is not overwritten");
        let is_url = to.contains("://");
        let data_dir = if is_url { "users" } else { "back" };
        let process = self.serve("user_service", data_dir, is_url.then_some(to));
        let client = Client { users: process.address_of("user_service"), auth };
        client.create(name, PASSWORD).await;
        until("the new user has arrived", BOUND, async || {
            (client.login(name, PASSWORD).await.status == 200).then_some(())
        })
        .await;
        assert_eq!(client.login("first", PASSWORD).await.status, 200);
        assert_eq!(
            client.metric("lockstep_projection_snapshots_total").await,
            before,
            "no snapshot"
        );
        process
    }
}

#[actix_web::test]
async fn users_move_to_postgresql_and_back_and_auth_service_goes_on_where_it_was() {
    let (broker, database) = (RabbitMq::start().await, Postgres::start().await);
    let moving = Moving { broker, database, directory: tempfile::tempdir().unwrap() };
    let url = moving.database.url();
    let auth = moving.serve("auth_service", "auth", None);
    let process = moving.serve("user_service", "users", None);
    let address = auth.address_of("auth_service");
    let client = Client { users: process.address_of("user_service"), auth: address };
    ServiceProcess::wait_until_ready(address);
    client.create("first", PASSWORD).await;
    until("auth_service has the user", BOUND, async || {
        (client.login("first", PASSWORD).await.status == 200).then_some(())
    })
    .await;
    let there = moving.go_on((process, address), ("users/users.db", &url), "second").await;
    let back = moving.go_on((there, address), (&url, "back/users.db"), "third").await;
    back.stop();
    auth.stop();
}
