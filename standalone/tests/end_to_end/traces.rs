//! A request is followed through both services, by the trace context that its client sends.

use std::time::Duration;

use awc::http::Method;
use serde_json::{Value, json};
use testkit::wait::until;

use crate::journeys::until_login_gives;
use crate::system::System;

const BOUND: Duration = Duration::from_secs(30);
const PASSWORD: &str = "testpassword";
/// Of the client, with another number for each request.
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e473";

fn traceparent(request: u8) -> String {
    format!("00-{TRACE}{request}-00f067aa0ba902b7-01")
}

/// The lines of the log that name this request, once there are `count` of them.
async fn lines_of(
    system: &System,
    log: &mut Vec<Value>,
    request: u8,
    count: usize,
) -> Vec<(String, Value)> {
    let trace = format!("{TRACE}{request}");
    until("the log tells of the request", BOUND, async || {
        let lines = system.auth_service().take_log().into_iter();
        log.extend(lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok()));
        let named = log.iter().filter(|line| {
            line["traceparent"].as_str().is_some_and(|context| context.contains(&trace))
        });
        let told = |line: &Value| (line["target"].as_str().unwrap().to_owned(), line.clone());
        let named: Vec<_> = named.map(told).collect();
        (named.len() >= count).then_some(named)
    })
    .await
}

#[actix_web::test]
async fn the_log_lines_of_both_services_name_the_trace_of_the_request() {
    let mut system = System::with_settings(vec![("LOG", "info,auth_service=debug")]);
    let client = system.client;
    let body = json!({"username": "anna", "password": PASSWORD});
    let context = [("traceparent", traceparent(1))];
    let headers = context.each_ref().map(|(name, value)| (*name, value.as_str()));
    let created = client.send(Method::POST, client.users, "/users", &headers, Some(body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    until_login_gives(client, "anna", PASSWORD, 200).await;
    let mut log = Vec::new();
    let lines = lines_of(&system, &mut log, 1, 2).await;
    let consumer = "auth_service::actors::user_event_consumer::sync_session::writing";
    let told = |lines: &[(String, Value)], expected: &[&str]| {
        let mut targets: Vec<_> = lines.iter().map(|(target, _)| target.clone()).collect();
        targets.sort();
        assert_eq!(targets, expected, "{lines:#?}");
    };
    told(&lines, &["access", consumer]);
    let applied = lines.iter().find(|(target, _)| target == consumer).unwrap();
    assert_eq!((&applied.1["level"], &applied.1["seq"]), (&json!("DEBUG"), &json!(1)));

    // auth_service has user_service end the sessions: the record that comes back names its request.
    let bearer = format!("Bearer {}", client.token("anna", PASSWORD).await);
    let context = traceparent(2);
    let headers = [("authorization", bearer.as_str()), ("traceparent", context.as_str())];
    let ended = client.send(Method::POST, client.auth, "/logout/all", &headers, None).await;
    assert_eq!(ended.status, 200, "{ended:?}");
    told(&lines_of(&system, &mut log, 2, 2).await, &["access", consumer]);
    system.stop();
}
