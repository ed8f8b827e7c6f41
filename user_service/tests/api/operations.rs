use std::fs::File;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testkit::wait::until;

use crate::test_app::TestApp;

#[actix_web::test]
async fn the_probes_the_metrics_and_the_documents_answer() {
    let app = TestApp::start().await;
    app.create("anna").await;
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.json()["status"], "ready");
    let metrics = app.get("/metrics").await.text;
    for line in [
        "lockstep_user_log_head_seq 1",
        "lockstep_user_log_published_seq ",
        "lockstep_user_log_publisher 1",
        "lockstep_user_log_publish_lag_records ",
        "lockstep_user_log_publish_lag_seconds ",
        "lockstep_users_checksum_info{seq=\"1\",checksum=\"",
        "lockstep_user_writes_total ",
        "lockstep_http_requests_total{",
        "lockstep_hash_seconds",
    ] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    let document = app.get("/openapi.json").await.json();
    let post = &document["paths"]["/users"]["post"];
    assert!(post["responses"]["409"]["content"]["application/problem+json"].is_object());
    assert!(post["responses"]["201"]["headers"]["Consistency-Token"].is_object());
    let new_user = &document["components"]["schemas"]["NewUser"];
    assert_eq!(new_user["additionalProperties"], false);
    assert_eq!(app.get("/docs/").await.status, 200);
    app.stop().await;
}

#[actix_web::test]
async fn metrics_come_in_the_format_that_the_client_accepts() {
    let app = TestApp::start().await;
    app.create("anna").await;
    for (accept, content_type, counter, ends_with_eof) in [
        ("*/*", "text/plain; version=0.0.4; charset=utf-8", "lockstep_http_requests_total", false),
        (
            "text/plain;version=0.0.4",
            "text/plain; version=0.0.4; charset=utf-8",
            "lockstep_http_requests_total",
            false,
        ),
        (
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5",
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            "lockstep_http_requests",
            true,
        ),
    ] {
        let answer = app.send("GET", "/metrics", &[("accept", accept)], "").await;
        assert_eq!(answer.header("content-type"), content_type);
        assert!(answer.text.contains(&format!("\n# TYPE {counter} counter\n")), "{}", answer.text);
        assert_eq!(answer.text.ends_with("# EOF\n"), ends_with_eof);
    }
    app.stop().await;
}

#[actix_web::test]
async fn the_binary_tells_its_settings_and_that_nobody_answers() {
    let binary = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_user_service"));
        command.env_clear();
        command
    };
    let help = binary().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for setting in ["USER_SERVICE_LISTEN", "AMQP_URL", "DATA_DIR", "PASSWORD_MIN_CHARS", "LOG"] {
        assert!(text.contains(setting), "{setting} is not in\n{text}");
    }
    // Port 1 is nobody's.
    let arguments = ["--user-service-listen", "127.0.0.1:1", "healthcheck"];
    let healthcheck = binary().args(arguments).output().unwrap();
    assert_eq!(healthcheck.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&healthcheck.stderr).contains("does not answer"));
    let without_broker = binary().output().unwrap();
    assert_eq!(without_broker.status.code(), Some(78));
    assert!(String::from_utf8_lossy(&without_broker.stderr).contains("AMQP_URL"));
}

#[actix_web::test]
async fn the_binarys_healthcheck_is_content_with_a_service_that_is_ready() {
    let app = TestApp::start().await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_user_service"));
    command.env_clear().args(["--user-service-listen", &app.address.to_string(), "healthcheck"]);
    let outcome = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    assert_eq!(outcome.status.code(), Some(0), "{}", String::from_utf8_lossy(&outcome.stderr));
    app.stop().await;
}

/// Ends the process whatever the test comes to.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[actix_web::test]
async fn the_binary_serves_without_its_broker_and_ends_in_order_on_sigterm() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let child = Command::new(env!("CARGO_BIN_EXE_user_service"))
        .env_clear()
        .env("AMQP_URL", "amqp://guest:guest@127.0.0.1:1")
        .env("DATA_DIR", directory.path().join("data"))
        .env("USER_SERVICE_LISTEN", "127.0.0.1:0")
        .stdout(File::create(&log).unwrap())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut process = Process(child);
    let logged = |text: &str| {
        let mut content = String::new();
        File::open(&log).unwrap().read_to_string(&mut content).unwrap();
        content.lines().any(|line| line.contains(text))
    };
    let bound = Duration::from_secs(30);
    until("it listens", bound, async || logged("user_service listens").then_some(())).await;
    assert!(logged("access is open"));
    let id = process.0.id().to_string();
    assert!(
        Command::new("/bin/sh").args(["-c", "kill -TERM \"$0\"", &id]).status().unwrap().success()
    );
    let status = until("it ends", bound, async || process.0.try_wait().unwrap()).await;
    assert_eq!(status.code(), Some(0));
    assert!(logged("user_service has stopped"));
}
