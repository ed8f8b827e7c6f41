//! Forged tokens: each is refused like any other, and none makes the service fail.

use std::net::TcpListener;

use awc::http::Method;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD};
use serde_json::{Value, json};

use crate::forge::{encoded, with_larger_scalar};
use crate::test_app::read;
use crate::under_attack::{app_with_forge, assert_refused, send, stop};

#[actix_web::test]
async fn an_algorithm_that_a_token_chooses_is_not_taken() {
    let (app, token, forge) = app_with_forge().await;
    let signature = token.rsplit('.').next().unwrap();
    for alg in ["none", "None", "NONE", "nOnE", "", "EDDSA", "Ed448", "HS256", "RS256", "ES256"] {
        let header = forge.header_with(json!({ "alg": alg }));
        let unsigned = encoded(header.as_bytes(), forge.claims_with(json!({})).as_bytes());
        assert_refused(&app, &format!("{unsigned}."), alg).await;
        assert_refused(&app, &format!("{unsigned}.{signature}"), alg).await;
        assert_refused(&app, &forge.signed(&header, &forge.claims_with(json!({}))), alg).await;
        assert_refused(&app, &forge.signed_by_foreigner(&header), alg).await;
    }
    for (n, key) in forge.public_forms().iter().enumerate() {
        for alg in ["HS256", "HS384", "HS512", "EdDSA"] {
            assert_refused(&app, &forge.signed_by_hmac(alg, key), &format!("{alg}, form {n}"))
                .await;
        }
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_key_that_a_token_brings_or_points_to_is_neither_taken_nor_fetched() {
    let (app, token, forge) = app_with_forge().await;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let url = format!("http://{}/jwks.json", listener.local_addr().unwrap());
    let x =
        BASE64URL_NOPAD.encode(aws_lc_rs::signature::KeyPair::public_key(&forge.foreign).as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "theirs", "alg": "EdDSA" });
    for changes in [
        json!({ "kid": "theirs" }),
        json!({ "jwk": jwk }),
        json!({ "jwk": jwk, "kid": "theirs" }),
        json!({ "jwk": jwk, "kid": null }),
        json!({ "jku": url }),
        json!({ "jku": url, "kid": "theirs" }),
        json!({ "x5u": url }),
        json!({ "x5u": url, "kid": null }),
        json!({ "x5c": [BASE64.encode(b"a certificate")] }),
        json!({ "kid": null }),
        json!({ "kid": "" }),
        json!({ "kid": 7 }),
        json!({ "kid": ["theirs"] }),
        json!({ "kid": "../../../../dev/null" }),
        json!({ "kid": "/proc/self/environ" }),
        json!({ "kid": "file:///etc/passwd" }),
        json!({ "kid": "' OR '1'='1" }),
        json!({ "kid": "theirs\u{0}" }),
        json!({ "kid": "k".repeat(4000) }),
    ] {
        let header = forge.header_with(changes.clone());
        assert_refused(&app, &forge.signed_by_foreigner(&header), &changes.to_string()).await;
        // With our own signature: a header of ours has no such members.
        let token = forge.signed(&header, &forge.claims_with(json!({})));
        assert_refused(&app, &token, &format!("ours, {changes}")).await;
    }
    let came = listener.accept().map(|(_, address)| address);
    assert!(came.is_err(), "nobody was asked for a key: {came:?}");
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_header_that_asks_for_something_is_not_ours() {
    let (app, token, forge) = app_with_forge().await;
    for changes in [
        json!({ "crit": ["exp"] }),
        json!({ "crit": [] }),
        json!({ "crit": "exp" }),
        json!({ "crit": ["b64"], "b64": false }),
        json!({ "b64": true }),
        json!({ "zip": "DEF" }),
        json!({ "enc": "A256GCM" }),
        json!({ "cty": "JWT" }),
        json!({ "nonce": "n" }),
        json!({ "unheard-of": 1 }),
        json!({ "typ": "JWT" }),
        json!({ "typ": "jwt" }),
        json!({ "typ": "dpop+jwt" }),
        json!({ "typ": "logout+jwt" }),
        json!({ "typ": "at+jwt " }),
        json!({ "typ": "" }),
        json!({ "typ": 1 }),
        json!({ "typ": null }),
        json!({ "alg": null }),
        json!({ "alg": ["EdDSA"] }),
    ] {
        let token =
            forge.signed(&forge.header_with(changes.clone()), &forge.claims_with(json!({})));
        assert_refused(&app, &token, &changes.to_string()).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_name_that_is_there_twice_makes_no_token() {
    let (app, token, forge) = app_with_forge().await;
    let (header, claims) = (forge.header_with(json!({})), forge.claims_with(json!({})));
    let twice = |object: &str, member: &str| format!("{{{member},{}", &object[1..]);
    for member in [
        r#""alg":"none""#,
        r#""\u0061lg":"none""#,
        r#""alg":"EdDSA""#,
        r#""typ":"JWT""#,
        r#""kid":"theirs""#,
    ] {
        assert_refused(&app, &forge.signed(&twice(&header, member), &claims), member).await;
        let last = format!("{},{member}}}", header.trim_end_matches('}'));
        assert_refused(&app, &forge.signed(&last, &claims), member).await;
    }
    for member in [
        r#""sub":"2""#,
        r#""s\u0075b":"2""#,
        r#""exp":99999999999"#,
        r#""jti":"other""#,
        r#""iss":"lockstep""#,
        r#""aud":"lockstep""#,
    ] {
        assert_refused(&app, &forge.signed(&header, &twice(&claims, member)), member).await;
        let last = format!("{},{member}}}", claims.trim_end_matches('}'));
        assert_refused(&app, &forge.signed(&header, &last), member).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn claims_that_are_out_of_time_of_others_or_of_no_sense_make_no_token() {
    let (app, token, forge) = app_with_forge().await;
    let now = forge.claims["iat"].as_i64().unwrap();
    for changes in [
        json!({ "exp": now - 60, "iat": now - 960, "nbf": now - 960 }),
        json!({ "exp": 0 }),
        json!({ "exp": -1 }),
        json!({ "exp": i64::MIN }),
        json!({ "exp": u64::MAX }),
        json!({ "exp": 1e300 }),
        json!({ "exp": (now + 900).to_string() }),
        json!({ "exp": [now + 900] }),
        json!({ "exp": null }),
        json!({ "nbf": now + 600 }),
        json!({ "nbf": i64::MAX }),
        json!({ "nbf": "now" }),
        json!({ "nbf": null }),
        json!({ "iat": null }),
        json!({ "iss": "other" }),
        json!({ "iss": "Lockstep" }),
        json!({ "iss": ["other"] }),
        json!({ "iss": null }),
        json!({ "aud": "other" }),
        json!({ "aud": ["other"] }),
        json!({ "aud": [] }),
        json!({ "aud": null }),
        json!({ "sub": null }),
        json!({ "sub": 1 }),
        json!({ "sub": "" }),
        json!({ "sub": "0" }),
        json!({ "sub": "-1" }),
        json!({ "sub": "01" }),
        json!({ "sub": " 1" }),
        json!({ "sub": "1e0" }),
        json!({ "sub": "99999999999999999999" }),
        json!({ "jti": null }),
        json!({ "jti": 1 }),
    ] {
        let token =
            forge.signed(&forge.header_with(json!({})), &forge.claims_with(changes.clone()));
        assert_refused(&app, &token, &changes.to_string()).await;
    }
    let deep = "[".repeat(5_000);
    for claims in ["", "null", "7", "[]", "{}", "\"x\"", "{\"exp\":", "\u{feff}{}", &deep] {
        assert_refused(&app, &forge.signed(&forge.header_with(json!({})), claims), claims).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_signature_has_one_form() {
    let (app, token, forge) = app_with_forge().await;
    assert_refused(&app, &with_larger_scalar(&token), "S + L").await;
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    for bit in 0..signature.len() * 8 {
        let mut changed = signature.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let token = format!("{signed}.{}", BASE64URL_NOPAD.encode(&changed));
        assert!(!app.is_alive(&token).await, "bit {bit}");
    }
    for length in [0, 1, 32, 63] {
        let cut = BASE64URL_NOPAD.encode(&signature[..length]);
        assert_refused(&app, &format!("{signed}.{cut}"), "a short signature").await;
    }
    let longer = BASE64URL_NOPAD.encode(&[&signature[..], &[0]].concat());
    assert_refused(&app, &format!("{signed}.{longer}"), "a long signature").await;
    for point in SMALL_ORDER {
        let point = data_encoding::HEXLOWER.decode(point.as_bytes()).unwrap();
        for scalar in [[0; 32], signature[32..].try_into().unwrap()] {
            let forged = BASE64URL_NOPAD.encode(&[&point[..], &scalar].concat());
            assert_refused(&app, &format!("{signed}.{forged}"), "a point of small order").await;
        }
    }
    assert!(
        app.is_alive(&forge.signed(&forge.header_with(json!({})), &forge.claims_with(json!({}))))
            .await
    );
    stop(app, &token).await;
}

/// Encodings of the points whose order divides 8, some of them not canonical.
const SMALL_ORDER: [&str; 10] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
];

#[actix_web::test]
async fn a_token_has_one_spelling() {
    let (app, token, forge) = app_with_forge().await;
    let parts: Vec<&str> = token.split('.').collect();
    let raw: Vec<Vec<u8>> =
        parts.iter().map(|part| BASE64URL_NOPAD.decode(part.as_bytes()).unwrap()).collect();
    for (n, part) in parts.iter().enumerate() {
        let respelled = |spelling: String| {
            let mut parts = parts.clone();
            parts[n] = &spelling;
            parts.join(".")
        };
        let mut spellings = vec![
            format!("{part}="),
            format!("{part}=="),
            format!("{part}%3D"),
            format!("{}\t{}", &part[..4], &part[4..]),
            format!("={part}"),
            part.to_lowercase(),
            String::new(),
            BASE64URL.encode(&raw[n]) + "=",
        ];
        if part.len() % 4 != 0 {
            spellings.push(BASE64URL.encode(&raw[n]));
            spellings.push(with_trailing_bits(part));
        }
        let standard = BASE64.encode(&raw[n]);
        if standard.trim_end_matches('=') != *part {
            spellings.push(standard.trim_end_matches('=').to_owned());
        }
        for spelling in spellings {
            assert_refused(&app, &respelled(spelling), &format!("part {n}")).await;
        }
    }
    // The standard alphabet differs only where the bytes want it to.
    let odd = forge.claims_with(json!({ "client_id": "???>>>~~~" }));
    let good = forge.signed(&forge.header_with(json!({})), &odd);
    assert!(app.is_alive(&good).await && good.contains(['-', '_']));
    assert_refused(&app, &good.replace('-', "+").replace('_', "/"), "the standard alphabet").await;
    for bad in [
        format!("{token}."),
        format!(".{token}"),
        format!("{token}.{token}"),
        format!("{}.{}", parts[0], parts[1]),
        format!("{}..{}.{}", parts[0], parts[1], parts[2]),
        format!("{}.e30.e30.e30.e30", parts[0]),
        token.replace('.', ".."),
        "...".into(),
        ".".into(),
    ] {
        assert_refused(&app, &bad, "another number of parts").await;
    }
    stop(app, &token).await;
}

/// The last character carries bits that belong to no byte: set one of them.
fn with_trailing_bits(part: &str) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let (rest, last) = part.split_at(part.len() - 1);
    let value = ALPHABET.iter().position(|byte| [*byte] == last.as_bytes()).unwrap();
    format!("{rest}{}", char::from(ALPHABET[value | 1]))
}

#[actix_web::test]
async fn a_token_that_was_cut_or_is_too_large_is_refused_and_nothing_fails() {
    let (app, token, forge) = app_with_forge().await;
    for length in 1..token.len() {
        assert!(!app.is_alive(&token[..length]).await, "{length}");
        assert!(!app.is_alive(&token[length..]).await, "{length}");
    }
    for size in [8_000, 60_000, 120_000] {
        let claims = forge.claims_with(json!({ "padding": "x".repeat(size), "exp": 0 }));
        for large in [
            forge.signed(&forge.header_with(json!({})), &claims),
            forge.signed_by_foreigner(&forge.header_with(json!({ "kid": "x".repeat(size) }))),
            "x".repeat(size),
        ] {
            let answer = send(&app, &Method::GET, "/verify", &large).await;
            assert!((400..500).contains(&answer.status), "{size}: {answer:?}");
        }
    }
    assert!(app.is_alive(&token).await);
    stop(app, &token).await;
}

#[actix_web::test]
async fn of_several_tokens_none_is_taken() {
    let (app, token, _) = app_with_forge().await;
    for values in [
        vec![format!("Bearer {token}"), format!("Bearer {token}")],
        vec![format!("Bearer {token}, Bearer {token}")],
        vec![format!("Bearer {token} {token}")],
        vec![format!("Bearer\t{token}")],
        vec![format!("Bearer \"{token}\"")],
        vec![format!("Bearer token={token}")],
    ] {
        let mut request = app.request(Method::GET, "/verify");
        for value in &values {
            request = request.append_header(("Authorization", value.as_str()));
        }
        let answer = read(request.send().await.unwrap()).await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (401, "invalid-token"),
            "{values:?}"
        );
    }
    let in_query = app.get(&format!("/verify?access_token={token}")).await;
    assert_eq!(in_query.status, 401);
    let document: Value = in_query.json();
    assert!(!document.to_string().contains(&token));
    stop(app, &token).await;
}
