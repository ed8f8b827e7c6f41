//! `POST /internal/sync`: questions of followers over HTTP.

use std::sync::Arc;
use std::time::Duration;

use contract::{Cursor, EndSessions, EventKind, LogRecord, Position, SyncRequest, UserId};
use shared::bus::cloud_event::Codec;
use shared::bus::direct::{DirectClient, DirectError, SYNC_PATH, to_line};
use shared::bus::{Bus, InProcessBus};
use shared::log_sync::Input;
use shared::secrets::SealingKeys;
use testkit::wait::until;

use super::test_app::{Setup, TestApp};

/// How long a state may take to come about.
const BOUND: Duration = Duration::from_secs(10);

fn question() -> SyncRequest {
    SyncRequest {
        nonce: "1".into(),
        reply_to: "follower".into(),
        cursor: Cursor::default(),
        snapshot: false,
        credit: None,
        highest_id: None,
    }
}

fn client(app: &TestApp) -> DirectClient {
    DirectClient::new(format!("http://{}", app.address).parse().unwrap(), SYNC_PATH)
}

fn keys_of(app: &TestApp) -> Arc<SealingKeys> {
    let file = app.directory.path().join("sealing.key");
    Arc::new(SealingKeys::load_or_create(&file).unwrap())
}

#[actix_web::test]
async fn a_follower_with_the_same_keys_gets_the_answers_that_the_bus_would_bring() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let codec = Codec::new(keys_of(&app));
    for (snapshot, expected) in [(false, "records"), (true, "users")] {
        let request = SyncRequest { snapshot, ..question() };
        let answers = client(&app).ask(codec.encode_question(&request)).await.unwrap();
        assert_eq!(answers.len(), 1);
        match codec.decode_control(&answers[0]).unwrap().input {
            Input::Continue(answer) => assert_eq!((expected, answer.records.len()), ("records", 1)),
            Input::SnapshotPart(part) => assert_eq!((expected, part.users.len()), ("users", 1)),
            other => panic!("{other:?}"),
        }
    }
    app.stop().await;
}

#[actix_web::test]
async fn whoever_lacks_the_keys_or_sends_another_message_gets_nothing() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let (codec, other) = (Codec::new(keys_of(&app)), SealingKeys::generate());
    let foreign = Codec::new(Arc::new(SealingKeys::parse(&other).unwrap()));
    let mut altered = codec.encode_question(&question());
    altered.message.body = to_line(codec.encode_question(&question())).into();
    let mut without_mac = codec.encode_question(&question());
    without_mac.message.headers.clear();
    let answer = client(&app).ask(codec.encode_question(&question())).await.unwrap();
    let incarnation = codec.decode_control(&answer[0]).unwrap().input;
    let Input::Continue(continued) = incarnation else { panic!("{incarnation:?}") };
    // Genuine, but no question.
    let answer = contract::Continue {
        nonce: "1".into(),
        at: Cursor::default(),
        incarnation: continued.incarnation,
        records: vec![],
        head_seq: 0,
    };
    let answer =
        codec.encode_answer("user_service.sync.v2", &contract::SyncAnswer::<()>::Continue(answer));
    for bad in [foreign.encode_question(&question()), altered, without_mac, answer] {
        let refused = client(&app).ask(bad).await;
        assert!(
            matches!(&refused, Err(DirectError::Refused(status)) if *status == 401),
            "{refused:?}"
        );
    }
    app.stop().await;
}

#[actix_web::test]
async fn what_is_no_message_is_a_problem_like_everywhere() {
    let app = TestApp::start().await;
    let long = format!("{{\"a\":\"{}\"}}", "x".repeat(20_000));
    for (body, status) in [("{}", 400), ("", 400), ("[1]", 400), ("{\"id\":1}", 400), (&*long, 413)]
    {
        let headers = [("content-type", "application/json")];
        let answer = app.send("POST", "/internal/sync", &headers, body.to_owned()).await;
        assert_eq!(answer.status, status, "{body:.20}");
        assert_eq!(answer.headers.get("content-type").unwrap(), "application/problem+json");
    }
    assert_eq!(app.get("/internal/sync").await.status, 405);
    app.stop().await;
}

/// Where the sessions of the first user were ended, after their creation.
fn ends(app: &TestApp) -> Vec<LogRecord> {
    let records = app.records().into_iter();
    records.filter(|record| record.kind == EventKind::SESSIONS_ENDED).collect()
}

fn end(stamp: Position) -> EndSessions {
    EndSessions { id: UserId(1), stamp }
}

#[actix_web::test]
async fn sessions_are_ended_before_the_answer_and_once_for_each_stamp() {
    let app = TestApp::start().await;
    app.create("anna").await;
    let (codec, stamp) = (Codec::new(keys_of(&app)), app.records()[0].position);
    for _ in 0..2 {
        let answer = client(&app).ask(codec.encode_end_sessions(&end(stamp), None)).await.unwrap();
        assert!(answer.is_empty());
        assert_eq!(ends(&app).len(), 1);
    }
    let next = ends(&app)[0].position;
    let traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".to_owned();
    let command = codec.encode_end_sessions(&end(next), Some(traceparent.clone()));
    client(&app).ask(command).await.unwrap();
    assert_eq!(ends(&app).len(), 2);
    assert_eq!(ends(&app)[1].traceparent, Some(traceparent));
    let nobody = EndSessions { id: UserId(9), stamp };
    assert!(client(&app).ask(codec.encode_end_sessions(&nobody, None)).await.unwrap().is_empty());
    let foreign = Codec::new(Arc::new(SealingKeys::parse(&SealingKeys::generate()).unwrap()));
    let refused =
        client(&app).ask(foreign.encode_end_sessions(&end(ends(&app)[1].position), None)).await;
    assert!(matches!(&refused, Err(DirectError::Refused(status)) if *status == 401), "{refused:?}");
    assert_eq!(ends(&app).len(), 2);
    app.stop().await;
}

#[actix_web::test]
async fn sessions_are_ended_over_the_bus_too() {
    let bus = InProcessBus::new();
    let app = Setup { bus: Arc::new(bus.clone()), ..Setup::default() }.start().await;
    app.create("anna").await;
    let (codec, stamp) = (Codec::new(keys_of(&app)), app.records()[0].position);
    // Sent until it is done: what comes before the queue was declared is lost.
    until("the sessions are ended", BOUND, async || {
        bus.publish(vec![codec.encode_end_sessions(&end(stamp), None)]).await.unwrap();
        (ends(&app).len() == 1).then_some(())
    })
    .await;
    app.stop().await;
}
