//! Tokens and headers at random. An input that breaks a property is printed with its failure.

use data_encoding::BASE64URL_NOPAD;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use testkit::wait::within;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::forge::Forge;
use crate::test_app::{BOUND, TestApp};
use crate::under_attack::{app_with_forge, assert_refused, assert_taken, stop};

/// How many inputs each property is tried with.
const CASES: usize = 300;

fn samples<T: std::fmt::Debug>(strategy: impl Strategy<Value = T>) -> impl Iterator<Item = T> {
    let mut runner = TestRunner::default();
    (0..CASES).map(move |_| strategy.new_tree(&mut runner).unwrap().current())
}

/// Any JSON that is not deep.
fn json_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

#[actix_web::test]
async fn no_bit_of_a_token_may_change() {
    let (app, token, _) = app_with_forge().await;
    // The last bit of a byte stays clear: a header's value is ASCII here, and any bytes below.
    for (at, bit) in samples((0..token.len(), 0..7_u8)) {
        let mut bytes = token.clone().into_bytes();
        bytes[at] ^= 1_u8 << bit;
        if bytes[at].is_ascii_graphic() {
            let changed = String::from_utf8(bytes).unwrap();
            assert_refused(&app, &changed, &format!("bit {bit} of byte {at}")).await;
        }
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn no_byte_of_what_is_signed_may_change() {
    let (app, token, _) = app_with_forge().await;
    let parts: Vec<&str> = token.split('.').collect();
    for (n, at, new) in samples((0..3_usize, any::<prop::sample::Index>(), any::<u8>())) {
        let mut bytes = BASE64URL_NOPAD.decode(parts[n].as_bytes()).unwrap();
        let at = at.index(bytes.len());
        if bytes[at] == new {
            continue;
        }
        bytes[at] = new;
        let encoded = BASE64URL_NOPAD.encode(&bytes);
        let mut changed = parts.clone();
        changed[n] = &encoded;
        assert_refused(&app, &changed.join("."), &format!("part {n}, byte {at}")).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_header_that_says_anything_else_is_refused_however_well_it_is_signed() {
    let (app, token, forge) = app_with_forge().await;
    let claims = forge.claims.to_string();
    let name = prop_oneof![
        prop::sample::select(vec!["typ", "alg", "kid", "crit", "jku", "b64", "zip"])
            .prop_map(str::to_owned),
        ".{0,10}",
    ];
    for (name, value) in samples((name, json_value())) {
        if says_the_same(&forge, &name, &value) {
            continue;
        }
        let mut header = forge.header.clone();
        header[&name] = value;
        let header = header.to_string();
        assert_refused(&app, &forge.signed(&header, &claims), &header).await;
    }
    stop(app, &token).await;
}

/// A type has no case.
fn says_the_same(forge: &Forge, name: &str, value: &Value) -> bool {
    let has_no_case = |value: &Value| value.as_str().map(str::to_ascii_lowercase);
    *value == forge.header[name]
        || name == "typ" && has_no_case(value) == has_no_case(&forge.header["typ"])
}

/// A claim, and a value that none of our tokens has there.
fn wrong_claim(now: i64, lifetime_s: i64) -> impl Strategy<Value = (&'static str, Value)> {
    let texts = prop::sample::select(vec![
        "iss",
        "aud",
        "jti",
        "sid",
        "sub",
        "client_id",
        "username",
        "stamp",
    ]);
    let numbers = prop::sample::select(vec!["exp", "iat", "nbf"]);
    prop_oneof![
        (texts, json_value().prop_filter("no text", |value| !value.is_string())),
        (numbers, json_value().prop_filter("no integer", |value| !value.is_i64())),
        (prop::sample::select(vec!["iss", "aud"]), ".{0,12}".prop_map(Value::from))
            .prop_filter("not ours", |(_, value)| value != "lockstep"),
        (Just("sub"), "[^1-9].{0,8}|[0-9]{0,6}[^0-9].{0,6}|[1-9][0-9]{19,30}")
            .prop_map(|(name, text)| (name, Value::from(text))),
        (Just("exp"), (i64::MIN..now - 5).prop_map(Value::from)),
        (Just("exp"), (now + lifetime_s + 1..=i64::MAX).prop_map(Value::from)),
        (prop::sample::select(vec!["iat", "nbf"]), (now + 120..=i64::MAX).prop_map(Value::from)),
        (Just("iat"), (i64::MIN..now - lifetime_s).prop_map(Value::from)),
    ]
}

#[actix_web::test]
async fn claims_that_break_one_rule_are_refused_however_well_they_are_signed() {
    let (app, token, forge) = app_with_forge().await;
    let header = forge.header.to_string();
    let now = forge.claims["iat"].as_i64().unwrap();
    for (name, value) in samples(wrong_claim(now, 365 * 24 * 60 * 60)) {
        let mut claims = forge.claims.clone();
        claims[name] = value;
        let claims = claims.to_string();
        assert_refused(&app, &forge.signed(&header, &claims), &claims).await;
    }
    stop(app, &token).await;
}

/// Else the properties above might hold because everything is refused.
#[actix_web::test]
async fn claims_that_break_no_rule_are_taken() {
    let (app, token, forge) = app_with_forge().await;
    let header = forge.header.to_string();
    let now = forge.claims["iat"].as_i64().unwrap();
    for (name, value, exp) in samples(("x[a-z]{0,8}", json_value(), now + 60..now + 900)) {
        let claims = forge.claims_with(json!({ "exp": exp, name: value }));
        assert_taken(&app, &forge.signed(&header, &claims), &claims).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_payload_of_any_bytes_is_refused_however_well_it_is_signed() {
    let (app, token, forge) = app_with_forge().await;
    let header = forge.header.to_string();
    let bytes = || prop::collection::vec(any::<u8>(), 0..200);
    for (one, other) in samples((bytes(), bytes())) {
        let forged = forge.signed_bytes(&one, &other);
        assert_refused(&app, &forged, "header and claims").await;
        let forged = forge.signed_bytes(header.as_bytes(), &other);
        assert_refused(&app, &forged, "claims").await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn any_bytes_in_the_header_are_answered_with_400_or_401() {
    let (app, token, _) = app_with_forge().await;
    let byte = any::<u8>().prop_filter("part of the line", |byte| !matches!(byte, b'\r' | b'\n'));
    let scheme = prop::sample::select(vec!["", "Bearer ", "bearer\t", "Basic ", "Bearer a.b."]);
    for (scheme, rest) in samples((scheme, prop::collection::vec(byte, 0..300))) {
        let value = [scheme.as_bytes(), &rest].concat();
        let statuses = statuses_of(&app, &value).await;
        assert!(matches!(statuses[..], [400 | 401]), "{statuses:?} for {value:?}");
    }
    // With line ends, the bytes may be further lines and further requests: none is a good one.
    for value in samples(prop::collection::vec(any::<u8>(), 0..300)) {
        let statuses = statuses_of(&app, &value).await;
        let is_refused = |status: &u16| (400..500).contains(status);
        assert!(!statuses.is_empty() && statuses.iter().all(is_refused), "{value:?}");
    }
    stop(app, &token).await;
}

/// What is answered to these bytes as the value of the header, on a connection of their own.
async fn statuses_of(app: &TestApp, authorization: &[u8]) -> Vec<u16> {
    let mut stream = TcpStream::connect(app.address()).await.unwrap();
    let head = b"GET /verify HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: ";
    stream.write_all(&[head, authorization, b"\r\n\r\n"].concat()).await.unwrap();
    let mut answers = Vec::new();
    within("the answer", BOUND, stream.read_to_end(&mut answers)).await.unwrap();
    let answers = String::from_utf8(answers).unwrap();
    // A problem's text may name the protocol, too.
    answers.split("HTTP/1.1 ").skip(1).filter_map(|head| head.get(..3)?.parse().ok()).collect()
}
