use std::path::Path;
use std::process::Command;
use std::time::Duration;

use awc::http::StatusCode;
use futures_util::StreamExt;
use serde_json::{Value, json};
use testkit::wait::{until, within};

use crate::test_app::{Setup, TestApp};

const BOUND: Duration = Duration::from_secs(10);

/// The events of one stream, as they come.
struct Stream {
    body: awc::ClientResponse,
    rest: String,
}

impl Stream {
    async fn open(app: &TestApp, headers: &[(&str, &str)]) -> Result<Self, StatusCode> {
        let url = format!("http://{}/console/events", app.address);
        let mut request = awc::Client::new().get(url).timeout(BOUND);
        for (name, value) in headers {
            request = request.insert_header((*name, *value));
        }
        let answer = request.send().await.unwrap();
        if answer.status() != StatusCode::OK {
            return Err(answer.status());
        }
        assert_eq!(answer.headers().get("content-type").unwrap(), "text/event-stream");
        assert_eq!(answer.headers().get("x-accel-buffering").unwrap(), "no");
        Ok(Self { body: answer, rest: String::new() })
    }

    /// The id and the data of the next event; `None` when the stream has ended.
    async fn next(&mut self) -> Option<(String, Value)> {
        loop {
            if let Some((event, rest)) = self.rest.split_once("\n\n") {
                let (id, data) = event.split_once('\n').unwrap();
                let data = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
                let event = (id.strip_prefix("id: ").unwrap().to_owned(), data);
                let rest = rest.to_owned();
                self.rest = rest;
                return Some(event);
            }
            let chunk = within("the next bytes", BOUND, self.body.next()).await?.ok()?;
            self.rest.push_str(str::from_utf8(&chunk).unwrap());
        }
    }
}

fn number(id: &str) -> u64 {
    id.split_once('-').unwrap().1.parse().unwrap()
}

#[actix_web::test]
async fn the_page_allows_its_own_code_alone_and_is_not_sent_twice() {
    let app = TestApp::start().await;
    let page = app.get("/console").await;
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy");
    assert!(policy.contains("script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let tag = page.header("etag").to_owned();
    let again = app.send("GET", "/console", &[("if-none-match", &tag)], "").await;
    assert_eq!((again.status, again.text.as_str()), (304, ""));
    assert_eq!(app.send("POST", "/console", &[], "").await.status, 405);
    app.get("/console/nothing.js").await.assert_problem(404, "no-such-path");
    app.stop().await;
}

#[actix_web::test]
async fn the_vendored_files_are_those_that_were_looked_at() {
    let vendor = Path::new(env!("CARGO_MANIFEST_DIR")).join("console/vendor");
    let mut check = Command::new("sha256sum");
    let outcome = check.args(["--check", "--strict", "SHA256SUMS"]).current_dir(&vendor).output();
    let outcome = outcome.unwrap();
    assert!(outcome.status.success(), "{}", String::from_utf8_lossy(&outcome.stdout));
    let sums = std::fs::read_to_string(vendor.join("SHA256SUMS")).unwrap();
    for entry in std::fs::read_dir(&vendor).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let is_code = !name.contains("LICENSE") && name != "SHA256SUMS" && name != "README.md";
        assert_eq!(sums.contains(&name), is_code, "{name}");
    }
}

#[actix_web::test]
async fn without_the_console_none_of_its_paths_is_there() {
    let app = Setup { flags: vec!["--console", "off"], ..Setup::default() }.start().await;
    for path in ["/console", "/console/events", "/console/auth/keys", "/console/app.js"] {
        app.get(path).await.assert_problem(404, "no-such-path");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_stream_shows_what_happens_and_continues_where_an_earlier_one_ended() {
    let app = TestApp::start().await;
    let mut first = Stream::open(&app, &[]).await.ok().unwrap();
    let (_, sample) = first.next().await.unwrap();
    assert_eq!(sample["broker"]["is_connected"], true);
    app.create("anna").await;
    let id = loop {
        let (id, sample) = first.next().await.unwrap();
        if sample["figures"]["user_log_head_seq"] == json!(1.0) {
            break id;
        }
    };
    // Another one missed them meanwhile.
    first.next().await.unwrap();
    drop(first);
    let mut second = Stream::open(&app, &[("last-event-id", &id)]).await.ok().unwrap();
    assert_eq!(number(&second.next().await.unwrap().0), number(&id) + 1);
    // The id of another run names nothing here: all samples come.
    let foreign = [("last-event-id", "ffffffff-9999")];
    let mut third = Stream::open(&app, &foreign).await.ok().unwrap();
    assert_eq!(number(&third.next().await.unwrap().0), 1);
    app.stop().await;
}

#[actix_web::test]
async fn streams_are_bounded_and_end_when_the_service_stops() {
    let app = TestApp::start().await;
    let mut streams = Vec::new();
    for _ in 0..16 {
        streams.push(Stream::open(&app, &[]).await.ok().unwrap());
    }
    assert_eq!(Stream::open(&app, &[]).await.err(), Some(StatusCode::SERVICE_UNAVAILABLE));
    streams.pop();
    until("a place is free", BOUND, async || Stream::open(&app, &[]).await.ok()).await;
    // The grace period is longer: the service does not wait for the streams.
    within("the stop", Duration::from_secs(5), app.stop()).await;
    for mut stream in streams {
        while stream.next().await.is_some() {}
    }
}

#[actix_web::test]
async fn where_access_is_not_open_the_figures_need_an_administrator() {
    let flags = vec!["--user-service-access", "owner"];
    let app = Setup { flags, ..Setup::default() }.start().await;
    assert_eq!(app.get("/console").await.status, 200);
    assert_eq!(Stream::open(&app, &[]).await.err(), Some(StatusCode::UNAUTHORIZED));
    let admin = app.admin();
    let mut stream = Stream::open(&app, &[("authorization", &admin)]).await.ok().unwrap();
    assert!(stream.next().await.is_some());
    app.stop().await;
}

#[actix_web::test]
async fn every_figure_of_this_service_that_the_page_draws_is_there() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let mut stream = Stream::open(&app, &[]).await.ok().unwrap();
    let (_, sample) = stream.next().await.unwrap();
    for name in [
        "user_log_head_seq",
        "user_log_published_seq",
        "user_log_publish_lag_records",
        "user_writes_total",
        "http_requests_total:201",
        "hash_wait_seconds_sum",
        "hash_wait_seconds_count",
        "hash_refused_total",
    ] {
        assert!(sample["figures"][name].is_number(), "{name} is not in {sample}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn without_auth_service_the_relay_says_so() {
    let app = TestApp::start().await;
    let without_address = app.get("/console/auth/keys").await;
    without_address.assert_problem(503, "overloaded");
    assert!(without_address.text.contains("AUTH_SERVICE_URL"));
    app.stop().await;
    let flags = vec!["--auth-service-url", "http://127.0.0.1:1"];
    let app = Setup { flags, ..Setup::default() }.start().await;
    let body = json!({"username": "anna", "password": "testpassword"});
    app.send_json("POST", "/console/auth/login", &[], &body)
        .await
        .assert_problem(503, "overloaded");
    let long = vec![b'x'; 20 * 1024];
    app.send("POST", "/console/auth/login", &[], long).await.assert_problem(413, "body-too-large");
    app.stop().await;
}
