//! Requests as bytes on a socket: what HTTP libraries do not send.

use std::time::{Duration, Instant};

use serde_json::json;
use shared::hashing::{HashParams, HashingConfig};
use testkit::wait::until;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::raw_socket::{BOUND, connect, create, read_answer, read_to_end, read_user, statuses};
use crate::test_app::{Setup, TestApp};

#[actix_web::test]
async fn a_good_request_is_answered_whatever_garbage_follows_and_then_there_is_one_problem() {
    let app = TestApp::start().await;
    for (n, garbage) in
        ["\0", "\0\0\0\0", "}", "nonsense\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "GET /x\r\n"]
            .iter()
            .enumerate()
    {
        let mut stream = connect(&app).await;
        let request = create(&format!("user{n}"), "") + garbage;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert_eq!(statuses(&answers), [201, 400], "{garbage:?}");
        answers[1].assert_problem(400, "malformed-request");
        assert!(answers[1].closes());
    }
    assert_eq!(app.records().len(), 6);
    app.stop().await;
}

#[actix_web::test]
async fn line_ends_behind_a_body_are_ignored() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let requests =
        create("anna", "") + "\r\n\r\n" + &read_user("") + &read_user("Connection: close\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    assert_eq!(statuses(&read_to_end(&mut stream).await), [201, 200, 200]);
    app.stop().await;
}

#[actix_web::test]
async fn nothing_behind_an_answer_that_closes_is_carried_out() {
    let app = TestApp::start().await;
    let old = create("old", "").replace("HTTP/1.1", "HTTP/1.0");
    let bad_chunks = "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
                      Transfer-Encoding: chunked\r\n\r\nzz\r\n";
    let too_large = create("large", "").replace("Content-Length: ", "Content-Length: 9999");
    for (first, status) in [
        (create("anna", "Connection: close\r\n"), 201),
        (create("bert", "Connection: keep-alive, Close\r\n"), 201),
        (old, 201),
        (bad_chunks.to_owned(), 400),
        (too_large, 413),
    ] {
        let before = app.records().len();
        let mut stream = connect(&app).await;
        let requests = first + &create("never", "") + &create("never2", "");
        stream.write_all(requests.as_bytes()).await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert_eq!(statuses(&answers), [status]);
        assert!(answers[0].closes() || answers[0].head.starts_with("HTTP/1.0"), "{answers:?}");
        assert_eq!(app.records().len(), before + usize::from(status == 201));
    }
    app.stop().await;
}

#[actix_web::test]
async fn pipelined_requests_are_answered_in_their_order() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let chunked = "POST /users HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
        Transfer-Encoding: chunked\r\n\r\n15\r\n{\"username\":\"carl\",\"p\r\n\
        1b;x=y\r\nassword\":\"testpassword\"}   \r\n0\r\nTrailer: x\r\n\r\n";
    let mut requests = create("anna", "") + &create("ANNA", "") + chunked;
    for _ in 0..40 {
        requests += &read_user("");
    }
    requests += &read_user("Connection: close\r\n");
    stream.write_all(requests.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    assert_eq!(statuses(&answers[..3]), [201, 409, 201]);
    assert_eq!(answers.len(), 44);
    assert!(answers[3..].iter().all(|answer| answer.body == r#"{"id":1,"username":"anna"}"#));
    app.stop().await;
}

#[actix_web::test]
async fn what_is_no_request_is_a_problem() {
    let app = TestApp::start().await;
    let long = "x".repeat(40_000);
    let many = "a: b\r\n".repeat(200);
    for (request, status, slug) in [
        ("GET / HTTP/1.1\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("POST /users HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("POST /users HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned(), 400, "malformed-request"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".to_owned(),
            400,
            "malformed-request",
        ),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 505, "version-not-supported"),
        ("\u{16}\u{3}\u{1}\0\u{5}hello".to_owned(), 400, "malformed-request"),
        ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n".to_owned(), 400, "malformed-request"),
        ("GET /users/1#f HTTP/1.1\r\nHost: x\r\n\r\n".to_owned(), 400, "malformed-request"),
        (format!("GET /{long} HTTP/1.1\r\nHost: x\r\n\r\n"), 414, "target-too-long"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"), 431, "head-too-large"),
        (format!("GET / HTTP/1.1\r\nHost: x\r\n{many}\r\n"), 431, "head-too-large"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert_eq!(answers.len(), 1, "{answers:?}");
        answers[0].assert_problem(status, slug);
        assert!(answers[0].closes());
    }
    assert!(app.get("/metrics").await.text.contains("status=\"431\""));
    app.stop().await;
}

#[actix_web::test]
async fn an_upgrade_is_ignored_and_the_connection_stays() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    for (n, upgrade) in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
        "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n",
        "Upgrade: websocket\r\n",
    ]
    .iter()
    .enumerate()
    {
        stream.write_all(create(&format!("user{n}"), upgrade).as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert_eq!(answer.status, 201, "{answer:?}");
        assert!(!answer.head.contains("\r\nconnection: "), "{answer:?}");
        stream.write_all(read_user(upgrade).as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.status, 200);
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_client_that_half_closes_gets_its_answer() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    stream.write_all((create("anna", "") + &read_user("")).as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(statuses(&read_to_end(&mut stream).await), [201, 200]);
    // In the middle of a body, or of a head.
    for request in [create("bert", ""), read_user("")] {
        let mut stream = connect(&app).await;
        stream.write_all(&request.as_bytes()[..request.len() - 2]).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = read_to_end(&mut stream).await;
        assert_eq!(answers.len(), 1);
        answers[0].assert_problem(400, "malformed-request");
    }
    assert_eq!(app.records().len(), 1);
    app.stop().await;
}

/// Hashes of some hundred milliseconds, one after the other.
const SLOW: HashingConfig = HashingConfig {
    params: HashParams { memory_kib: 64, iterations: 4_000, parallelism: 1 },
    threads: 1,
    queue: 8,
};

#[actix_web::test]
async fn a_slow_answer_reaches_a_client_that_has_half_closed_too() {
    let app = Setup { hashing: SLOW, ..Setup::default() }.start().await;
    let mut stream = connect(&app).await;
    stream.write_all(create("anna", "").as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(statuses(&read_to_end(&mut stream).await), [201]);
    app.stop().await;
}

#[actix_web::test]
async fn in_a_crowd_half_closed_clients_are_answered_without_hashing() {
    let app = Setup { hashing: SLOW, ..Setup::default() }.start().await;
    let mut streams = Vec::new();
    for n in 0..16 {
        let mut stream = connect(&app).await;
        stream.write_all(create(&format!("user{n}"), "").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        streams.push(stream);
    }
    let mut refused = 0;
    for stream in &mut streams {
        let answers = read_to_end(stream).await;
        match answers.as_slice() {
            [answer] if answer.status == 503 => {
                answer.assert_problem(503, "overloaded");
                refused += 1;
            }
            answers => assert_eq!(statuses(answers), [201]),
        }
    }
    assert!(refused > 0);
    assert_eq!(app.records().len(), 16 - refused);
    // What was let go of leaves the queue when its turn comes.
    let anna = json!({"username": "anna", "password": "testpassword"});
    until("there is room again", BOUND, async || {
        (app.post(&anna).await.status == 201).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn a_head_that_does_not_end_is_a_problem_on_a_fresh_connection_and_on_a_used_one() {
    let app = TestApp::start().await;
    let (mut fresh, mut used) = (connect(&app).await, connect(&app).await);
    used.write_all(create("anna", "").as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut used).await.status, 201);
    for stream in [&mut fresh, &mut used] {
        stream.write_all(b"GET /users/1 HTTP/1.1\r\nHost:").await.unwrap();
    }
    for stream in [&mut fresh, &mut used] {
        let answers = read_to_end(stream).await;
        assert_eq!(answers.len(), 1);
        answers[0].assert_problem(408, "head-too-slow");
    }
    app.stop().await;
}

#[actix_web::test]
async fn an_early_answer_reaches_a_client_that_is_still_sending() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let head = create("x", "").replace("Content-Length: ", "Content-Length: 1000");
    stream.write_all(head.as_bytes()).await.unwrap();
    // The service may close at any of these.
    for _ in 0..100 {
        let _ = stream.write_all(&[b'x'; 1000]).await;
    }
    assert_eq!(read_answer(&mut stream).await.status, 413);
    app.stop().await;
}

/// Sends requests without reading an answer until the service takes no more.
async fn send_without_reading(app: &TestApp) -> TcpStream {
    let mut stream = connect(app).await;
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(100);
    let quiet = Duration::from_millis(500);
    while let Ok(sent) = tokio::time::timeout(quiet, stream.write_all(requests.as_bytes())).await {
        sent.unwrap();
    }
    stream
}

#[actix_web::test]
async fn a_stop_does_not_wait_for_a_client_that_never_reads() {
    let setup = Setup { flags: vec!["--shutdown-grace", "30s"], ..Setup::default() };
    let app = setup.start().await;
    let stuck = send_without_reading(&app).await;
    assert_eq!(app.get("/healthz").await.status, 200);
    let started_at = Instant::now();
    app.stop().await;
    assert!(started_at.elapsed() < Duration::from_secs(15), "{:?}", started_at.elapsed());
    drop(stuck);
}
