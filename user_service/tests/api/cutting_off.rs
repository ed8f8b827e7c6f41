use std::time::Duration;

use testkit::wait::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::test_app::TestApp;

/// Long enough for a slow machine, and far too short for a gigabyte that never comes.
const BOUND: Duration = Duration::from_secs(10);

async fn head(app: &TestApp, path: &str, length: &str) -> TcpStream {
    let mut stream = TcpStream::connect(app.address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}

async fn first_line(stream: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        line.push(within("an answer", BOUND, stream.read_u8()).await.unwrap());
    }
    String::from_utf8(line).unwrap()
}

#[actix_web::test]
async fn a_body_that_is_announced_too_large_is_refused_before_it_comes() {
    let app = TestApp::start().await;
    let mut stream = head(&app, "/users", "Content-Length: 1000000000").await;
    assert!(first_line(&mut stream).await.contains("413"));
    app.stop().await;
}

/// Sends without end; the answer, once the service has closed the connection.
async fn send_without_end(app: &TestApp, path: &str) -> String {
    let (mut reading, mut writing) =
        head(app, path, "Transfer-Encoding: chunked").await.into_split();
    let chunk = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    let sending = async move {
        // Ends when the service closes the connection.
        while writing.write_all(chunk.as_bytes()).await.is_ok() {}
    };
    let (answer, ()) = tokio::join!(first_line(&mut reading), within("the end", BOUND, sending));
    answer
}

#[actix_web::test]
async fn a_body_without_end_is_refused_at_the_limit() {
    let app = TestApp::start().await;
    let answer = send_without_end(&app, "/users").await;
    assert!(answer.contains("413"), "{answer}");
    app.stop().await;
}

#[actix_web::test]
async fn a_body_without_end_is_cut_off_where_nobody_reads_bodies() {
    let app = TestApp::start().await;
    for (path, status) in [("/nothing", "404"), ("/users/1", "405")] {
        let answer = send_without_end(&app, path).await;
        assert!(answer.contains(status), "{answer}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_body_of_exactly_the_limit_is_read() {
    let app = TestApp::start().await;
    let json = [("content-type", "application/json")];
    let at_limit = app.send("POST", "/users", &json, vec![b' '; 16 * 1024]).await;
    at_limit.assert_problem(400, "malformed-request");
    let beyond = app.send("POST", "/users", &json, vec![b' '; 16 * 1024 + 1]).await;
    beyond.assert_problem(413, "body-too-large");
    app.stop().await;
}
