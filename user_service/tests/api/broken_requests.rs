//! Requests that are broken, or that end early: nothing of them is carried out, and each gets one
//! answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::raw_socket::{
    BOUND, RawAnswer, connect, create, read_answer, read_to_end, read_user, statuses,
};
use crate::test_app::TestApp;

/// Long enough to arrive, and short enough not to be a test of patience.
const QUIET: Duration = Duration::from_millis(200);

const CHUNKED: &str = "HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";

#[actix_web::test]
async fn a_deletion_with_malformed_or_missing_chunks_is_refused_and_announces_the_close() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    stream.write_all(create("anna", "Connection: close\r\n").as_bytes()).await.unwrap();
    read_to_end(&mut stream).await;
    for chunks in [
        "zz\r\nabc\r\n0\r\n\r\n",
        "3\u{c}\r\nabc\r\n0\r\n\r\n",
        "3\u{b}\r\nabc\r\n0\r\n\r\n",
        "3\rabc\r\n0\r\n\r\n",
        "3\nabc\r\n0\r\n\r\n",
        "3\r\nabcd\r\n0\r\n\r\n",
        "-3\r\nabc\r\n0\r\n\r\n",
        "0x3\r\nabc\r\n0\r\n\r\n",
        "3\r\nab",
        "3\r\nabc\r\n",
        "3\r\nabc\r\n0\r\n",
        "ffffffffffffffff1\r\n",
        "",
    ] {
        for pieces in [vec![chunks], chunks.split_inclusive('\n').collect()] {
            let mut stream = connect(&app).await;
            stream.write_all(format!("DELETE /users/1 {CHUNKED}").as_bytes()).await.unwrap();
            for piece in pieces {
                stream.write_all(piece.as_bytes()).await.unwrap();
            }
            stream.shutdown().await.unwrap();
            let answers = read_to_end(&mut stream).await;
            assert_eq!(statuses(&answers), [400], "{chunks:?}");
            answers[0].assert_problem(400, "malformed-request");
            assert!(answers[0].closes(), "{chunks:?}: {answers:?}");
        }
    }
    assert_eq!(app.records().len(), 1, "nothing was deleted");
    app.stop().await;
}

#[actix_web::test]
async fn a_read_with_malformed_chunks_announces_the_close() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let request = format!("GET /users {CHUNKED}zz\r\n\r\n") + &read_user("");
    stream.write_all(request.as_bytes()).await.unwrap();
    let answers = read_to_end(&mut stream).await;
    assert_eq!(statuses(&answers), [200]);
    assert!(answers[0].closes(), "{answers:?}");
    app.stop().await;
}

#[actix_web::test]
async fn a_body_that_is_ignored_has_a_limit() {
    let app = TestApp::start().await;
    let mut stream = connect(&app).await;
    let large = "DELETE /users/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 16385\r\n\r\n";
    stream.write_all(large.as_bytes()).await.unwrap();
    read_answer(&mut stream).await.assert_problem(413, "body-too-large");
    app.stop().await;
}

#[actix_web::test]
async fn empty_lines_are_no_request_whatever_follows() {
    let app = TestApp::start().await;
    for lines in ["\r\n", "\n", "\r\n\r\n\n"] {
        let mut stream = connect(&app).await;
        let request = lines.to_owned() + &read_user("") + lines;
        stream.write_all(request.as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.status, 404);
        // Nothing is said, and the next request is answered.
        assert!(timeout(QUIET, stream.read_u8()).await.is_err(), "{lines:?}");
        stream.write_all(read_user("").as_bytes()).await.unwrap();
        assert_eq!(read_answer(&mut stream).await.status, 404);
        stream.write_all(lines.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        assert_eq!(read_to_end(&mut stream).await.len(), 0, "{lines:?}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn there_is_one_answer_after_which_the_connection_closes() {
    let app = TestApp::start().await;
    let junk = "x".repeat(40_000);
    for request in [
        "CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n\0".to_owned(),
        format!("CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n{junk}"),
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nabcde\0".to_owned(),
        format!("GET /healthz {CHUNKED}3\r\nabc\r\n0\r\n\r\n\0"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let answers = read_to_end(&mut stream).await;
        let closing = answers.iter().position(RawAnswer::closes);
        assert_eq!(closing, Some(answers.len() - 1), "{answers:?}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_refusal_of_head_has_no_body() {
    let app = TestApp::start().await;
    let long = "x".repeat(40_000);
    for request in [
        "HEAD /users HTTP/1.1\r\n\r\n".to_owned(),
        "HEAD /users HTTP/1.1\r\nHost x\r\n\r\n".to_owned(),
        format!("HEAD /users HTTP/1.1\r\nHost: x\r\nA: {long}\r\n\r\n"),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 4"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n"), "{answer}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_body_is_asked_for_only_if_it_is_wanted() {
    let app = TestApp::start().await;
    let whole = create("anna", "Expect: 100-continue\r\n");
    let (head, body) = whole.split_once("\r\n\r\n").unwrap();
    let head = head.to_owned() + "\r\n\r\n";
    let mut stream = connect(&app).await;
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut interim = [0; 25];
    timeout(BOUND, stream.read_exact(&mut interim)).await.unwrap().unwrap();
    assert_eq!(&interim, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(body.as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.status, 201);
    // The same connection, and a client that does not wait.
    stream.write_all(whole.replace("anna", "bert").as_bytes()).await.unwrap();
    assert_eq!(read_answer(&mut stream).await.status, 201);
    for (head, status) in [
        (head.replace("Content-Length: ", "Content-Length: 9999"), 413),
        (head.replace("application/json", "text/plain"), 415),
        (head.replace("Expect", "Content-Encoding: gzip\r\nExpect"), 415),
        (head.replace("/users", "/nothing"), 404),
        (head.replace("POST", "PATCH"), 405),
        (head.replace("Expect", "Idempotency-Key: \r\nExpect"), 400),
    ] {
        let mut stream = connect(&app).await;
        stream.write_all(head.as_bytes()).await.unwrap();
        let answer = read_answer(&mut stream).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    app.stop().await;
}
