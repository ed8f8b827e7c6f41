//! With parts of the system away, the rest does its work.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use awc::http::Method;
use serde_json::{Value, json};
use testkit::sample::Sample;
use testkit::wait::until;

use crate::check::{read, read_seqs};
use crate::driver::password;
use crate::rig::{Rig, Side};

/// How many users each phase makes, reads, changes and deletes.
const USERS: usize = 60;
/// A call without the broker may take so many times as long as with it, for the noise of a busy
/// machine.
const RATIO: u32 = 3;
/// What is too short to measure a ratio.
const NOISE: Duration = Duration::from_millis(10);
/// How many events wait for the broker.
const BACKLOG: usize = 3_000;
/// More than the backlog: it comes as records in their order, not as a snapshot.
pub(crate) const REPLAY_LIMIT: i64 = 10_000;
/// How long a state may take to come.
pub(crate) const BOUND: Duration = Duration::from_mins(1);

/// The status and body of an answer, and how long it took.
pub(crate) async fn call(
    method: Method,
    at: SocketAddr,
    path: &str,
    token: Option<&str>,
    body: Option<Value>,
) -> (u16, Value, Duration) {
    let started = Instant::now();
    let client = awc::Client::builder().timeout(Duration::from_secs(10)).finish();
    let mut request = client.request(method, format!("http://{at}{path}"));
    if let Some(token) = token {
        request = request.insert_header(("authorization", format!("Bearer {token}")));
    }
    let mut response = match body {
        Some(body) => request.send_json(&body).await.unwrap(),
        None => request.send().await.unwrap(),
    };
    let body = response.body().await.unwrap();
    let body = serde_json::from_slice(&body).unwrap_or_default();
    (response.status().as_u16(), body, started.elapsed())
}

/// Every call of the contract, for a number of users whose names begin with `prefix`, and the times
/// of each call. `known` can log in.
pub(crate) async fn every_call(
    rig: &Rig,
    prefix: &str,
    known: &str,
) -> Vec<(&'static str, Vec<Duration>)> {
    let (users, auth) = (rig.address(Side::User), rig.address(Side::Auth));
    let mut times: [Vec<Duration>; 7] = Default::default();
    for number in 0..USERS {
        let name = format!("{prefix}{number}");
        let body = json!({"username": name, "password": password(1)});
        let created = call(Method::POST, users, "/users", None, Some(body)).await;
        assert_eq!(created.0, 201, "{}", created.1);
        let path = format!("/users/{}", created.1["id"]);
        let read = call(Method::GET, users, &path, None, None).await;
        assert_eq!((read.0, &read.1), (200, &created.1));
        let listed = call(Method::GET, users, "/users", None, None).await;
        assert_eq!(listed.0, 200);
        let body = json!({"username": format!("{name}b")});
        let changed = call(Method::PUT, users, &path, None, Some(body)).await;
        assert_eq!(changed.0, 200, "{}", changed.1);
        let deleted = call(Method::DELETE, users, &path, None, None).await;
        assert_eq!((deleted.0, &deleted.1), (200, &changed.1));
        let body = json!({"username": known, "password": password(1)});
        let login = call(Method::POST, auth, "/login", None, Some(body)).await;
        assert_eq!(login.0, 200, "{}", login.1);
        let token = login.1["token"].as_str().unwrap();
        let logout = call(Method::POST, auth, "/logout", Some(token), None).await;
        assert_eq!((logout.0, logout.1), (200, json!({"status": "logout successful"})));
        let all = [created.2, read.2, listed.2, changed.2, deleted.2, login.2, logout.2];
        for (times, time) in times.iter_mut().zip(all) {
            times.push(time);
        }
    }
    let names =
        ["POST /users", "GET /users/{id}", "GET /users", "PUT", "DELETE", "login", "logout"];
    names.into_iter().zip(times).collect()
}

/// Makes the user, with the password that the drivers take it to have, and waits until it can log in.
pub(crate) async fn make_known(rig: &Rig, name: &str) {
    let body = json!({"username": name, "password": password(1)});
    let users = rig.address(Side::User);
    assert_eq!(call(Method::POST, users, "/users", None, Some(body.clone())).await.0, 201);
    let auth = rig.address(Side::Auth);
    until("the known user can log in", BOUND, async || {
        let login = call(Method::POST, auth, "/login", None, Some(body.clone())).await;
        (login.0 == 200).then_some(())
    })
    .await;
}

/// Every call answers as with the broker, and about as soon.
pub(crate) async fn without_the_broker(rig: &mut Rig) {
    make_known(rig, "known").await;
    let with = every_call(rig, "with", "known").await;
    rig.bus.as_mut().unwrap().broker.stop().await;
    let without = every_call(rig, "without", "known").await;
    let median =
        |times: &[Duration]| Duration::from_secs_f64(Sample::of_times(times).median() / 1e3);
    for ((name, with), (_, without)) in with.into_iter().zip(without) {
        let (with, without) = (median(&with), median(&without));
        println!("{name:<16} median {with:?} with the broker, {without:?} without");
        assert!(without <= with * RATIO + NOISE, "{name}: {without:?} instead of {with:?}");
    }
}

/// What was written while the broker was away arrives when it is back, in its order.
pub(crate) async fn the_backlog_drains(rig: &mut Rig) {
    let users = rig.address(Side::User);
    for number in 0..BACKLOG / 2 {
        let name = format!("backlog{number}");
        let body = json!({"username": name, "password": password(1)});
        let (status, user, _) = call(Method::POST, users, "/users", None, Some(body)).await;
        assert_eq!(status, 201);
        let path = format!("/users/{}", user["id"]);
        assert_eq!(call(Method::DELETE, users, &path, None, None).await.0, 200);
    }
    let (of_users, of_auth) = (rig.database(Side::User), rig.database(Side::Auth));
    let before = read_seqs(&of_users, &of_auth).unwrap();
    rig.bus.as_mut().unwrap().broker.restart().await;
    let (back, mut moments, mut last) = (Instant::now(), vec![], before.1);
    until("the backlog is applied", BOUND, async || {
        let (head, applied) = read_seqs(&of_users, &of_auth).ok()?;
        assert!(applied >= last, "the projection went back from {last} to {applied}");
        if applied > last {
            last = applied;
            moments.push(Instant::now());
        }
        (applied == head).then_some(())
    })
    .await;
    let stored = read(&of_users, &of_auth).unwrap();
    assert_eq!(stored.users, stored.projection);
    let events = last - before.1;
    let took = moments.last().unwrap().duration_since(back);
    #[expect(clippy::cast_precision_loss, reason = "some thousands")]
    let rate = events as f64 / took.as_secs_f64();
    println!(
        "a backlog of {events} events was applied {took:?} after the broker was back: {rate:.0}/s"
    );
}
