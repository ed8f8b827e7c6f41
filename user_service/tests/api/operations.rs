use std::process::Command;

use crate::test_app::TestApp;

#[actix_web::test]
async fn the_probes_the_metrics_and_the_documents_answer() {
    let app = TestApp::start().await;
    app.create("anna").await;
    assert_eq!(app.get("/healthz").await.status, 200);
    assert_eq!(app.get("/readyz").await.json()["status"], "ready");
    let metrics = app.get("/metrics").await.text;
    for line in
        ["user_log_head_seq 1", "user_writes_total ", "http_requests_total{", "hash_seconds"]
    {
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
    assert_eq!(without_broker.status.code(), Some(2));
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
