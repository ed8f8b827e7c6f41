//! What a collector of OpenTelemetry sees of a request.

use std::time::Duration;

use actix_web::http::StatusCode;
use awc::http::Method;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use testkit::wait::until;

use crate::collector::{AUTHORIZATION, Collected, Collector};
use crate::journeys::until_login_gives;
use crate::system::System;

const BOUND: Duration = Duration::from_secs(30);
const NAME: &str = "anna-the-first";
const PASSWORD: &str = "testpassword";
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
/// The span of the client.
const CALLER: &str = "00f067aa0ba902b7";

/// The settings of services whose spans this collector gets.
pub(crate) fn traced_by(collector: &Collector) -> Vec<(&'static str, String)> {
    let headers = format!("authorization={}", AUTHORIZATION.replace(' ', "%20"));
    vec![
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers),
        ("OTEL_BSP_SCHEDULE_DELAY", "50".to_owned()),
    ]
}

/// Creates a user, as a part of the client's trace, and logs in.
pub(crate) async fn create_traced(system: &System, flags: &str) {
    let client = system.client;
    let context = format!("00-{TRACE}-{CALLER}-{flags}");
    let headers = [("traceparent", context.as_str()), ("x-request-id", "r-7")];
    let body = json!({"username": NAME, "password": PASSWORD});
    let created = client.send(Method::POST, client.users, "/users", &headers, Some(body)).await;
    assert_eq!(created.status, 201, "{created:?}");
    until_login_gives(client, NAME, PASSWORD, 200).await;
}

fn the<'s>(spans: &'s [Collected], service: &str, name: &str) -> Option<&'s Collected> {
    spans.iter().find(|one| one.service == service && one.span.name == name)
}

/// One trace holds both services, and the transaction of the consumer is linked to what it applies.
pub(crate) async fn the_trace_of_a_creation_holds_both_services(
    collector: &Collector,
    messaging_system: &str,
) {
    let ours = |spans: &[Collected]| {
        let ours: Vec<_> = spans.iter().filter(|one| one.trace_id() == TRACE).cloned().collect();
        let all = [
            ("user_service", "POST /users"),
            ("user_service", "PasswordHasher HashPassword"),
            ("user_service", "UserRepository Change"),
            ("user_service", "send users"),
            ("auth_service", "process users"),
        ];
        all.iter().all(|(service, name)| the(&ours, service, name).is_some()).then_some(ours)
    };
    let spans = collector.until("both services have sent their spans", ours).await;
    let request = the(&spans, "user_service", "POST /users").unwrap();
    assert_eq!((request.parent().as_str(), request.span.kind), (CALLER, SpanKind::Server as i32));
    for (key, value) in [
        ("http.request.method", "POST"),
        ("http.route", "/users"),
        ("http.response.status_code", "201"),
        ("lockstep.request_id", "r-7"),
    ] {
        assert_eq!(request.attribute(key).as_deref(), Some(value), "{key}");
    }
    for step in ["PasswordHasher HashPassword", "UserRepository Change"] {
        let step = the(&spans, "user_service", step).unwrap();
        assert_eq!(step.parent(), request.id());
        assert!(step.span.start_time_unix_nano >= request.span.start_time_unix_nano);
        assert!(step.span.end_time_unix_nano <= request.span.end_time_unix_nano);
    }
    let sent = the(&spans, "user_service", "send users").unwrap();
    assert_eq!((sent.parent(), sent.span.kind), (request.id(), SpanKind::Producer as i32));
    assert_eq!(sent.attribute("messaging.system").as_deref(), Some(messaging_system));
    let applied = the(&spans, "auth_service", "process users").unwrap();
    assert_eq!(applied.span.kind, SpanKind::Consumer as i32);
    // The follower may have asked before the event came: then the record follows the request itself.
    let cause = applied.parent();
    assert!([sent.id(), request.id()].contains(&cause), "{applied:?}");
    let id = "messaging.message.id";
    assert_eq!(applied.attribute(id), sent.attribute(id));

    let batch = |spans: &[Collected]| {
        let linked = |one: &&Collected| one.links().contains(&cause);
        spans.iter().find(linked).cloned()
    };
    let batch = collector.until("the transaction is linked to the record's cause", batch).await;
    assert_eq!((batch.service.as_str(), batch.span.name.as_str()), ("auth_service", "apply users"));
    assert_ne!(batch.trace_id(), TRACE, "it may apply records of many traces");
    assert_eq!(applied.links(), [batch.id()]);
    let within = |spans: &[Collected]| {
        // Other transactions have such a span, too.
        let is_it = |one: &Collected| {
            one.span.name == "CredentialRepository ApplyEvents" && one.parent() == batch.id()
        };
        spans.iter().any(is_it).then_some(())
    };
    collector.until("the question to the repository is a part of it", within).await;
}

#[actix_web::test]
async fn one_trace_holds_both_services_and_nothing_that_is_secret() {
    let collector = Collector::start();
    let mut system = System::with_owned_settings(traced_by(&collector));
    create_traced(&system, "01").await;
    the_trace_of_a_creation_holds_both_services(&collector, "in_process").await;
    system.stop();
    let all = format!("{:?}", collector.spans());
    for secret in [NAME, PASSWORD, "eyJ", "argon2", AUTHORIZATION] {
        assert!(!all.contains(secret), "{secret}");
    }
    assert!(!all.contains("/readyz"), "probes have no spans");
}

#[actix_web::test]
async fn a_request_that_its_caller_does_not_record_has_no_spans() {
    let collector = Collector::start();
    let mut system = System::with_owned_settings(traced_by(&collector));
    create_traced(&system, "00").await;
    system.stop();
    let spans = collector.spans();
    assert!(the(&spans, "auth_service", "POST /login").is_some(), "{spans:#?}");
    assert!(spans.iter().all(|one| one.trace_id() != TRACE), "{spans:#?}");
}

/// The lines about the collector.
fn told(system: &System, log: &mut Vec<String>) {
    let lines = system.auth_service().take_log().into_iter();
    let entries = lines.filter_map(|line| serde_json::from_str::<Value>(&line).ok());
    let of_collector = entries.filter(|entry| entry["target"] == "shared::traces::exporter");
    log.extend(of_collector.map(|entry| entry["message"].as_str().unwrap().to_owned()));
}

#[actix_web::test]
async fn a_collector_that_fails_is_told_once_and_holds_up_nobody() {
    let collector = Collector::start();
    collector.answer_with(StatusCode::INTERNAL_SERVER_ERROR);
    let mut system = System::with_owned_settings(traced_by(&collector));
    create_traced(&system, "01").await;
    let mut log = Vec::new();
    let lost = async || {
        told(&system, &mut log);
        let lost = system.client.metric("lockstep_trace_spans_failed_total").await;
        (lost >= 3 && log.len() == 2).then_some(())
    };
    until("both services have lost spans", BOUND, lost).await;
    collector.answer_with(StatusCode::OK);
    until("spans arrive again", BOUND, async || {
        system.client.list().await;
        system.client.login(NAME, "a wrong password").await;
        told(&system, &mut log);
        (log.len() == 4).then_some(())
    })
    .await;
    assert!(log[..2].iter().all(|line| line.starts_with("spans are lost")), "{log:?}");
    assert!(log[2..].iter().all(|line| line == "traces are sent again"), "{log:?}");
    system.stop();
}
