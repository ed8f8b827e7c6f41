//! Tokens with the service's own signature whose header or claims say what ours never say.

use awc::http::Method;
use serde_json::json;

use crate::under_attack::{app_with_forge, assert_refused, assert_taken, send, stop};

/// How long the tokens of the service's key live, in seconds.
const LONGEST_LIFE_S: i64 = 15 * 60;
/// Tokens that were signed before these claims were there are good without them.
const MAY_BE_MISSING: [&str; 2] = ["sid", "stamp"];

#[actix_web::test]
async fn a_token_that_lives_at_another_time_or_for_too_long_is_refused() {
    let (app, token, forge) = app_with_forge().await;
    let now = forge.claims["iat"].as_i64().unwrap();
    let header = forge.header.to_string();
    let longest = json!({ "iat": now, "exp": now + LONGEST_LIFE_S });
    assert_taken(&app, &forge.signed(&header, &forge.claims_with(longest)), "15 minutes").await;
    for changes in [
        json!({ "exp": now + LONGEST_LIFE_S + 1 }),
        json!({ "exp": i64::MAX }),
        json!({ "exp": 99_999_999_999_i64 }),
        json!({ "exp": now + 900, "iat": now - LONGEST_LIFE_S }),
        json!({ "nbf": now - 600 }),
        json!({ "iat": i64::MIN }),
        json!({ "iat": 0 }),
        json!({ "iat": now + 600 }),
        json!({ "iat": i64::MAX }),
        json!({ "iat": now + 600, "exp": now + 1_500 }),
        json!({ "iat": now.to_string() }),
        json!({ "iat": true }),
        json!({ "exp": now - 60 }),
        json!({ "exp": now - 60, "nbf": now + 600 }),
        json!({ "nbf": true }),
        json!({ "nbf": 1e19 }),
        json!({ "nbf": [0] }),
        json!({ "exp": true }),
        json!({ "exp": { "$gt": 0 } }),
        json!({ "exp": 1e18 }),
        json!({ "exp": "2099-01-01T00:00:00Z" }),
        json!({ "exp": "Infinity" }),
    ] {
        let forged = forge.signed(&header, &forge.claims_with(changes.clone()));
        assert_refused(&app, &forged, &changes.to_string()).await;
    }
    // As ours would be if our clock had been ahead: to whoever has it, it is not dead.
    let early = json!({ "nbf": now + 595, "iat": now + 600, "exp": now + 1_500 });
    let early = forge.signed(&header, &forge.claims_with(early));
    for (method, path) in [(Method::GET, "/verify"), (Method::POST, "/logout")] {
        let answer = send(&app, &method, path, &early).await;
        assert_eq!((answer.status, answer.problem().as_str()), (503, "not-yet-known"));
        assert_eq!(answer.header("retry-after"), Some("1"));
    }
    // Numbers that serde_json would not write.
    for exp in ["1e999", "-1e999", "NaN", "0x7fffffff", "9223372036854775808", "1800000000.0", "+1"]
    {
        let claims = forge.claims_with(json!({ "exp": "HERE" })).replace("\"HERE\"", exp);
        assert_refused(&app, &forge.signed(&header, &claims), exp).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_claim_that_is_missing_or_of_another_kind_makes_no_token() {
    let (app, token, forge) = app_with_forge().await;
    let header = forge.header.to_string();
    let claims = forge.claims.as_object().unwrap();
    for (name, good) in claims.iter().filter(|(name, _)| !MAY_BE_MISSING.contains(&&***name)) {
        let of_another_kind = if good.is_string() { json!(7) } else { json!(good.to_string()) };
        for value in [json!([good]), json!({ name: good }), json!(true), of_another_kind] {
            let changed = forge.claims_with(json!({ name: value }));
            assert_refused(&app, &forge.signed(&header, &changed), &changed).await;
        }
        let missing = forge.claims_with(json!({ name: null }));
        assert_refused(&app, &forge.signed(&header, &missing), &missing).await;
        let null = forge.claims_with(json!({ name: "HERE" })).replace("\"HERE\"", "null");
        assert_refused(&app, &forge.signed(&header, &null), &null).await;
    }
    for changes in [
        json!({ "iss": "lockstep " }),
        json!({ "iss": "https://lockstep" }),
        json!({ "iss": "lockstep\u{0}" }),
        json!({ "iss": ["lockstep"] }),
        json!({ "aud": "LOCKSTEP" }),
        json!({ "aud": ["lockstep"] }),
        json!({ "aud": ["lockstep", "other"] }),
        json!({ "aud": "lockstep other" }),
        json!({ "aud": "*" }),
        json!({ "sub": "1.0" }),
        json!({ "sub": "１" }),
        json!({ "sub": "+1" }),
        json!({ "sub": "1\u{0}" }),
        json!({ "sub": "1 OR 1=1" }),
        json!({ "sub": "9223372036854775808" }),
    ] {
        let forged = forge.signed(&header, &forge.claims_with(changes.clone()));
        assert_refused(&app, &forged, &changes.to_string()).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_claim_writes_no_header_of_the_answer() {
    let (app, token, forge) = app_with_forge().await;
    let header = forge.header.to_string();
    let claims = forge.claims_with(json!({ "username": "a\r\nX-User-Id: 2\r\n\r\n\u{85}é%" }));
    let answer = send(&app, &Method::GET, "/verify", &forge.signed(&header, &claims)).await;
    assert_eq!((answer.status, answer.header("x-user-id")), (200, Some("1")));
    let shown = "a%0D%0AX-User-Id:%202%0D%0A%0D%0A%C2%85%C3%A9%25";
    assert_eq!(answer.header("x-username"), Some(shown));
    assert_eq!(answer.headers.get_all("x-user-id").count(), 1);
    for sub in ["1\r\nX-User-Id: 2", "1\n", "1\t", "1, 2", "1;2"] {
        let claims = forge.claims_with(json!({ "sub": sub }));
        assert_refused(&app, &forge.signed(&header, &claims), sub).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn header_and_claims_are_one_object_in_utf_8_each() {
    let (app, token, forge) = app_with_forge().await;
    let (header, claims) = (forge.header.to_string(), forge.claims.to_string());
    let spaced = |text: &str| format!(" \r\n\t{text}\n ");
    assert_taken(&app, &forge.signed(&spaced(&header), &spaced(&claims)), "white space").await;
    let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>();
    let odd = |text: &str| -> Vec<(Vec<u8>, &'static str)> {
        let unclosed = text.trim_end_matches('}');
        vec![
            (format!("\u{feff}{text}").into(), "a byte order mark"),
            (utf_16(text), "UTF-16"),
            ([text.as_bytes(), b"\xff"].concat(), "a byte that is no text behind it"),
            ([unclosed.as_bytes(), b",\"x\":\"\xc0\xaf\"}"].concat(), "an overlong encoding"),
            ([unclosed.as_bytes(), b",\"x\":\"\xed\xa0\x80\"}"].concat(), "half a pair"),
            (format!("{text}{text}").into(), "two"),
            (format!("{text}\u{0}").into(), "a zero byte behind it"),
            (format!("[{text}]").into(), "in a list"),
            (json!(text).to_string().into(), "in a text"),
            (format!("{unclosed},}}").into(), "a comma too many"),
            (unclosed.into(), "cut"),
            (format!("/**/{text}").into(), "a comment"),
            (text.replace('"', "'").into(), "other quotes"),
            (format!("{unclosed},\"x\":\"\n\"}}").into(), "a line end in a text"),
            (vec![], "nothing"),
        ]
    };
    for (bytes, what) in odd(&header) {
        let forged = forge.signed_bytes(&bytes, claims.as_bytes());
        assert_refused(&app, &forged, &format!("header: {what}")).await;
    }
    for (bytes, what) in odd(&claims) {
        let forged = forge.signed_bytes(header.as_bytes(), &bytes);
        assert_refused(&app, &forged, &format!("claims: {what}")).await;
    }
    let escaped = claims.replace("testuser", "\\ud800");
    assert_refused(&app, &forge.signed(&header, &escaped), "half a pair, escaped").await;
    let deep = format!("{}{}", "[".repeat(9_000), "]".repeat(9_000));
    for text in [&header, &claims] {
        let deep = text.replacen("\"lockstep\"", &deep, 1).replacen("\"EdDSA\"", &deep, 1);
        let parts = if text == &header { [&deep, &claims] } else { [&header, &deep] };
        assert_refused(&app, &forge.signed(parts[0], parts[1]), "deep").await;
    }
    stop(app, &token).await;
}
