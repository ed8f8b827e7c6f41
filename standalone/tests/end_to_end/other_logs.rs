//! Two systems that were given the same broker by mistake.

use std::net::SocketAddr;
use std::time::Duration;

use awc::http::Method;
use testkit::postgres::Postgres;
use testkit::rabbitmq::RabbitMq;
use testkit::wait::until;

use crate::client::Client;
use crate::system::start_apart;

const PASSWORD: &str = "testpassword";
const BOUND: Duration = Duration::from_secs(20);
/// What is published is published sooner. Meanwhile several heads are told.
const LONG_UNPUBLISHED_S: f64 = 2.5;

/// The value of a metric of user_service, if it is known by now.
async fn metric(users: SocketAddr, name: &str) -> Option<f64> {
    let metrics = Client { users, auth: users }.metrics_of(users).await;
    let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.map(|value| value.parse().unwrap())
}

async fn until_metric(users: SocketAddr, name: &str, holds: impl Fn(f64) -> bool) {
    until(name, BOUND, async || metric(users, name).await.filter(|value| holds(*value))).await;
}

/// What is degraded, as `/readyz` says; the service is ready.
async fn degraded(users: SocketAddr) -> String {
    let client = Client { users, auth: users };
    let ready = client.call_with(Method::GET, "/readyz", ("accept", "application/json")).await;
    assert_eq!(ready.status, 200, "{:?}", ready.body);
    ready.body["degraded"].to_string()
}

#[actix_web::test]
async fn two_logs_at_one_broker_are_not_published_until_one_of_them_is_gone() {
    let (broker, database) = (RabbitMq::start().await, Postgres::start().await);
    let directory = tempfile::tempdir().unwrap();
    let (url, place) = (database.url(), |name| directory.path().join(name));
    let process = start_apart("user_service", &place("own"), &broker, &[("DATABASE_URL", &url)]);
    let own = process.address_of("user_service");
    let client = Client { users: own, auth: own };
    client.create("anna", PASSWORD).await;
    until_metric(own, "lockstep_user_log_published_seq", |seq| seq >= 1.0).await;

    let intruder = start_apart("user_service", &place("other"), &broker, &[]);
    let other = intruder.address_of("user_service");
    for users in [own, other] {
        until_metric(users, "lockstep_user_log_others_heard", |heard| heard > 0.0).await;
        let told = degraded(users).await;
        assert!(told.contains("another log ("), "{told}");
    }
    client.create("bert", PASSWORD).await;
    let lag = "lockstep_user_log_publish_lag_seconds";
    until_metric(own, lag, |lag| lag >= LONG_UNPUBLISHED_S).await;

    intruder.stop();
    until_metric(own, "lockstep_user_log_published_seq", |seq| seq >= 2.0).await;
    until_metric(own, "lockstep_user_log_others_heard", |heard| heard < 1.0).await;
    let told = degraded(own).await;
    assert!(!told.contains("another log ("), "{told}");
    process.stop();
}
