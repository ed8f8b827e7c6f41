//! auth_service while user_service can be asked over HTTP.

use std::sync::Arc;
use std::time::Instant;

use shared::bus::InProcessBus;
use shared::clock::Clock;
use testkit::mute_server::{Manner, MuteServer};
use testkit::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::faults::Unreachable;
use crate::test_app::{BOUND, TestApp};
use crate::user_service::UserService;

/// Takes questions over HTTP.
struct DirectServer {
    listener: TcpListener,
    url: String,
}

impl DirectServer {
    async fn bind() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// Answers until the test ends.
    fn serve(self, users: UserService) {
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = self.listener.accept().await {
                actix_web::rt::spawn(answer(stream, users.clone()));
            }
        });
    }
}

async fn answer(mut stream: TcpStream, users: UserService) {
    let mut request = Vec::new();
    let question = loop {
        let text = String::from_utf8_lossy(&request);
        if let Some((_, body)) = text.split_once("\r\n\r\n")
            && body.ends_with('}')
        {
            break body.to_owned();
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(length @ 1..) => request.extend_from_slice(&more[..length]),
            _ => return,
        }
    };
    let answer = match users.answer_directly(question.as_bytes()) {
        Some(lines) => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{lines}", lines.len()),
        None => "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n".to_owned(),
    };
    // The client may be gone.
    let _ = stream.write_all(answer.as_bytes()).await;
}

async fn is_followed_directly(app: &TestApp) -> bool {
    app.metric("lockstep_projection_followed_directly").await == 1
}

/// The service without a broker, in step with `app.users` over HTTP.
pub(crate) async fn without_a_broker() -> TestApp {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let server = DirectServer::bind().await;
    let url = server.url.clone();
    server.serve(app.users.clone());
    let settings = ["--user-service-url", &url];
    let app = app.restart_with(&settings, Arc::new(Unreachable), |_| {}).await;
    until("it is followed directly", BOUND, async || {
        is_followed_directly(&app).await.then_some(())
    })
    .await;
    app
}

#[actix_web::test]
async fn without_a_broker_a_new_user_and_a_new_password_log_in_at_once() {
    let app = without_a_broker().await;
    let ready = app.get("/readyz").await;
    let degraded = ready.json()["degraded"].to_string();
    assert_eq!(ready.status, 200);
    for shown in ["broker unreachable", "following user_service directly"] {
        assert!(degraded.contains(shown), "{degraded}");
    }
    app.users.create("newcomer", "testpassword");
    assert_eq!(app.login("newcomer", "testpassword").await.status, 200);
    app.users.change_password(1, "otherpassword");
    assert_eq!(app.login("testuser", "otherpassword").await.status, 200);
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn without_a_broker_a_deletion_ends_tokens_within_about_a_second() {
    let app = without_a_broker().await;
    let token = app.login("testuser", "testpassword").await.token();
    app.users.delete(1);
    let deleted_at = Instant::now();
    until("the token is dead", BOUND, async || (!app.is_alive(&token).await).then_some(())).await;
    assert!(deleted_at.elapsed().as_secs_f64() < 2.5, "{:?}", deleted_at.elapsed());
    // Tokens end first, and then the projection forgets the user.
    app.until_applied().await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn without_a_broker_an_empty_projection_is_filled_by_a_snapshot_in_parts() {
    let app = without_a_broker().await;
    for name in ["a", "b", "c", "d"] {
        app.users.create(name, "testpassword");
    }
    app.users.set_replay_limit(0);
    let server = DirectServer::bind().await;
    let url = server.url.clone();
    server.serve(app.users.clone());
    let remove = |dir: &std::path::Path| {
        for file in ["projection.db", "projection.db-wal", "projection.db-shm"] {
            let _ = std::fs::remove_file(dir.join(file));
        }
    };
    let settings = ["--user-service-url", &url];
    let app = app.restart_with(&settings, Arc::new(Unreachable), remove).await;
    app.until_applied().await;
    assert_eq!(app.checksum().await, app.users.checksum());
    for name in ["testuser", "a", "d"] {
        assert_eq!(app.login(name, "testpassword").await.status, 200, "{name}");
    }
    app.stop().await;
}

#[actix_web::test]
async fn a_broker_that_brings_heads_and_no_answers_is_not_followed() {
    let server = DirectServer::bind().await;
    let url = server.url.clone();
    let app = TestApp::start_with(&["--user-service-url", &url], Clock::system()).await;
    server.serve(app.users.clone());
    assert!(!is_followed_directly(&app).await);
    // The queue of questions is dead: what is lost is lost.
    app.users.set_answers(false);
    app.users.create("newcomer", "testpassword");
    until("the newcomer is known directly", BOUND, async || {
        app.users.publish_head().await;
        (app.metric("lockstep_projection_seq").await == app.users.seq()).then_some(())
    })
    .await;
    assert!(is_followed_directly(&app).await);
    for number in 0..5 {
        app.users.publish_head().await;
        let name = format!("user{number}");
        app.users.create(&name, "testpassword");
        assert_eq!(app.login(&name, "testpassword").await.status, 200, "{name}");
    }
    app.users.set_answers(true);
    until("the broker is followed again", BOUND, async || {
        app.users.publish_head().await;
        (!is_followed_directly(&app).await).then_some(())
    })
    .await;
    app.users.create("last", "testpassword");
    app.bring().await;
    app.stop().await;
}

/// What somebody without the key can do who may write to the broker, while user_service cannot.
#[actix_web::test]
async fn neither_an_old_head_nor_anything_forged_keeps_a_follower_from_asking_directly() {
    for is_head in [true, false] {
        let server = DirectServer::bind().await;
        let url = server.url.clone();
        let app = TestApp::start_with(&["--user-service-url", &url], Clock::system()).await;
        server.serve(app.users.clone());
        app.users.create("testuser", "testpassword");
        app.bring().await;
        let token = app.login("testuser", "testpassword").await.token();
        let mut again = app.users.head();
        if !is_head {
            again.message.headers.clear();
            again.message.body = b"{}".as_slice().into();
        }
        app.users.set_answers(false);
        app.users.delete(1);
        app.users.create("newcomer", "testpassword");
        until("the token is dead and the newcomer known", BOUND, async || {
            app.users.publish_again(again.clone()).await;
            let is_known = app.metric("lockstep_projection_seq").await == app.users.seq();
            (is_known && !app.is_alive(&token).await).then_some(())
        })
        .await;
        assert_eq!(app.login("newcomer", "testpassword").await.status, 200, "{is_head}");
        app.stop().await;
    }
}

#[actix_web::test]
async fn an_old_head_is_no_sign_that_the_projection_has_caught_up() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let again = app.users.head();
    app.users.set_answers(false);
    until("it is seen to be behind", BOUND, async || {
        app.users.publish_again(again.clone()).await;
        (app.lag_seconds().await > 8.0).then_some(())
    })
    .await;
    app.stop().await;
}

#[actix_web::test]
async fn a_user_service_that_answers_neither_way_costs_a_login_nothing() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let closing = MuteServer::start(Manner::Closing).await;
    let url = format!("http://127.0.0.1:{}", closing.port());
    let app = app.restart_with(&["--user-service-url", &url], Arc::new(Unreachable), |_| {}).await;
    until("it is said", BOUND, async || {
        let degraded = app.get("/readyz").await.json()["degraded"].to_string();
        degraded.contains("asking user_service directly: ").then_some(())
    })
    .await;
    assert!(!is_followed_directly(&app).await);
    assert_eq!(app.login("testuser", "testpassword").await.status, 200);
    assert_eq!(app.login("stranger", "testpassword").await.status, 401);
    app.stop().await;
}

#[actix_web::test]
async fn answers_under_other_keys_are_not_taken() {
    let app = TestApp::start().await;
    app.users.create("testuser", "testpassword");
    app.bring().await;
    let elsewhere = tempfile::tempdir().unwrap();
    let other = UserService::start(&InProcessBus::new(), elsewhere.path()).await;
    let server = DirectServer::bind().await;
    let url = server.url.clone();
    server.serve(other);
    let app = app.restart_with(&["--user-service-url", &url], Arc::new(Unreachable), |_| {}).await;
    until("it is said", BOUND, async || {
        let degraded = app.get("/readyz").await.json()["degraded"].to_string();
        degraded.contains("the same sealing keys").then_some(())
    })
    .await;
    assert_eq!(app.login("testuser", "testpassword").await.status, 200, "with what is here");
    app.stop().await;
}
