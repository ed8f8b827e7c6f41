//! Forged tokens whose keys, algorithms, types or signatures are not ours. In most of them all but the
//! one fault that is named is as in a good token.

use awc::http::Method;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
};
use data_encoding::{BASE64, BASE64URL_NOPAD, HEXLOWER};
use serde_json::json;

use crate::forge::{Forge, encoded};
use crate::test_app::read;
use crate::under_attack::{app_with_forge, assert_refused, assert_taken, send, stop};

/// What a head may hold is 32 KiB; this much is left to its other lines.
const MOST_OF_A_HEAD: usize = 32_000;

#[actix_web::test]
async fn a_key_of_another_installation_is_not_ours_even_under_the_name_of_our_key() {
    let (app, token, forge) = app_with_forge().await;
    let (other, other_token, other_forge) = app_with_forge().await;
    let (header, claims) = (forge.header.to_string(), forge.claims.to_string());
    for (forged, what) in [
        (other_token.clone(), "a good token of theirs"),
        (other_forge.signed(&header, &claims), "theirs, under our key's name"),
        (forge.signed_by_foreigner(&header), "an attacker's, under our key's name"),
        (other_forge.signed(&other_forge.header.to_string(), &claims), "our claims"),
    ] {
        assert_refused(&app, &forged, what).await;
    }
    // With our key, and under the name of theirs.
    let renamed = forge.signed(&other_forge.header.to_string(), &claims);
    assert_refused(&app, &renamed, "our signature under their key's name").await;
    assert_refused(&other, &renamed, "the same, there").await;
    stop(other, &other_token).await;
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_key_of_another_curve_is_not_ours_even_under_the_name_of_our_key() {
    let (app, token, forge) = app_with_forge().await;
    let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
    let pair = EcdsaKeyPair::generate(algorithm).unwrap();
    let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    let jwk = json!({ "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y) });
    for changes in [
        json!({ "alg": "ES256" }),
        json!({ "alg": "EdDSA" }),
        json!({ "alg": "ES256", "jwk": jwk }),
        json!({ "alg": "ES256", "jwk": jwk, "kid": null }),
    ] {
        let signed = encoded(forge.header_with(changes.clone()).as_bytes(), &claims_of(&forge));
        let signature = pair.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        let forged = format!("{signed}.{}", text(signature.as_ref()));
        assert_refused(&app, &forged, &changes.to_string()).await;
        // r and s of nothing (CVE-2022-21449).
        assert_refused(&app, &format!("{signed}.{}", text(&[0; 64])), "zeros").await;
    }
    stop(app, &token).await;
}

fn claims_of(forge: &Forge) -> Vec<u8> {
    forge.claims.to_string().into_bytes()
}

#[actix_web::test]
async fn what_everybody_may_read_is_no_secret_to_sign_with() {
    let (app, token, forge) = app_with_forge().await;
    let set = app.get("/.well-known/jwks.json").await;
    let kid = forge.header["kid"].as_str().unwrap();
    let keys = set.json()["keys"].as_array().unwrap().clone();
    let jwk = keys.into_iter().find(|jwk| jwk["kid"] == kid).unwrap();
    let raw = BASE64URL_NOPAD.decode(jwk["x"].as_str().unwrap().as_bytes()).unwrap();
    let pem = String::from_utf8(forge.public_forms()[3].clone()).unwrap();
    for (key, what) in [
        (set.body.clone(), "the key set as it is served"),
        (jwk.to_string().into_bytes(), "its key"),
        (serde_json::to_vec_pretty(&jwk).unwrap(), "its key, printed"),
        (kid.into(), "the key's name"),
        (BASE64URL_NOPAD.decode(kid.as_bytes()).unwrap(), "its thumbprint"),
        (pem.replace('\n', "\r\n").into_bytes(), "PEM of another system"),
        (BASE64.encode(&raw).into_bytes(), "base64"),
        (HEXLOWER.encode(&raw).into_bytes(), "hexadecimal"),
        (b"secret".to_vec(), "a word"),
        (vec![0; 32], "zeros"),
    ] {
        for alg in ["HS256", "HS384", "HS512", "EdDSA"] {
            let forged = forge.signed_by_hmac(alg, &key);
            assert_refused(&app, &forged, &format!("{alg} under {what}")).await;
        }
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn of_all_algorithms_that_there_are_a_token_may_name_the_one_of_its_key() {
    let (app, token, forge) = app_with_forge().await;
    for alg in [
        "RS256",
        "RS384",
        "RS512",
        "PS256",
        "PS384",
        "PS512",
        "ES256",
        "ES256K",
        "ES384",
        "ES512",
        "HS256",
        "HS384",
        "HS512",
        "Ed25519",
        "Ed448",
        "ML-DSA-44",
        "RSA1_5",
        "dir",
        "A256GCM",
        "eddsa",
        "EdDSA ",
        " EdDSA",
        "EdDSA\u{0}",
        "EdDSA,none",
        "ＥｄＤＳＡ",
        "NoNe",
    ] {
        let header = forge.header_with(json!({ "alg": alg }));
        let forged = forge.signed(&header, &forge.claims.to_string());
        assert_refused(&app, &forged, alg).await;
    }
    for alg in [json!(true), json!(0), json!({}), json!(["EdDSA", "none"]), json!({"alg": "EdDSA"})]
    {
        let header = forge.header_with(json!({ "alg": alg }));
        let forged = forge.signed(&header, &forge.claims.to_string());
        assert_refused(&app, &forged, &header).await;
    }
    stop(app, &token).await;
}

/// RFC 9068 section 4 and RFC 8725 section 3.11: the type keeps other kinds of JWT out. A media type
/// has no case; its longer form is never written here, so nothing of ours is lost with it.
#[actix_web::test]
async fn a_token_is_of_our_type_or_refused() {
    let (app, token, forge) = app_with_forge().await;
    let claims = forge.claims.to_string();
    for typ in ["at+jwt", "AT+JWT", "At+Jwt", "at+JWT"] {
        let header = forge.header_with(json!({ "typ": typ }));
        assert_taken(&app, &forge.signed(&header, &claims), typ).await;
    }
    for typ in [
        json!("application/at+jwt"),
        json!("application/jwt"),
        json!("JOSE"),
        json!("JOSE+JSON"),
        json!("at+jwt;v=1"),
        json!("at+jwt\u{0}"),
        json!("secevent+jwt"),
        json!("id_token"),
        json!(["at+jwt"]),
        json!({ "typ": "at+jwt" }),
        json!(true),
    ] {
        let header = forge.header_with(json!({ "typ": typ }));
        assert_refused(&app, &forge.signed(&header, &claims), &header).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn parts_of_good_tokens_do_not_make_another_good_one() {
    let (app, token, forge) = app_with_forge().await;
    app.users.create("other", "otherpassword");
    app.bring().await;
    let other = app.login("other", "otherpassword").await.token();
    let [one, two] = [&token, &other].map(|token| token.split('.').collect::<Vec<_>>());
    for parts in [
        [one[0], two[1], one[2]],
        [one[0], one[1], two[2]],
        [one[1], one[0], one[2]],
        [one[0], one[2], one[1]],
        [one[2], one[1], one[0]],
        [one[0], one[0], one[0]],
    ] {
        assert_refused(&app, &parts.join("."), "other parts").await;
    }
    // The same in the other forms of RFC 7515 and RFC 7516.
    let json = json!({ "protected": one[0], "payload": one[1], "signature": one[2] });
    assert_refused(&app, &json.to_string(), "flattened").await;
    let signatures = json!([{ "protected": one[0], "signature": one[2] }]);
    let general = json!({ "payload": one[1], "signatures": signatures });
    assert_refused(&app, &general.to_string(), "general").await;
    let detached = format!("{}..{}", one[0], one[2]);
    assert_refused(&app, &detached, "detached").await;
    let nested = forge.signed(&forge.header.to_string(), &json!(token).to_string());
    assert_refused(&app, &nested, "a token in a token").await;
    assert!(app.is_alive(&other).await);
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_signature_of_nobody_is_none() {
    let (app, token, forge) = app_with_forge().await;
    let (signed, good) = token.rsplit_once('.').unwrap();
    let good = BASE64URL_NOPAD.decode(good.as_bytes()).unwrap();
    let (r, s) = good.split_at(32);
    let forms = forge.public_forms();
    let own = &forms[0][..];
    let identity = [&[1][..], &[0; 31]].concat();
    let order = HEXLOWER
        .decode(b"edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        .unwrap();
    for (signature, what) in [
        (vec![0; 64], "zeros"),
        (vec![0xff; 64], "ones"),
        ([r, &[0; 32]].concat(), "S is zero"),
        ([r, &order].concat(), "S is the order"),
        ([r, &[0xff; 32]].concat(), "S is all ones"),
        ([&[0; 32], s].concat(), "R is zero"),
        ([own, s].concat(), "R is the key"),
        ([own, &[0; 32]].concat(), "R is the key, S is zero"),
        ([&identity, &order[..]].concat(), "R is the identity, S is the order"),
        ([s, r].concat(), "turned round"),
        ([&good[..], &good].concat(), "twice"),
        (b"x".repeat(64), "a text"),
    ] {
        let forged = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        assert_refused(&app, &forged, what).await;
        // A key under which every signature of this kind is good, if it were taken from the token.
        let x = BASE64URL_NOPAD.encode(&identity);
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x });
        let header = forge.header_with(json!({ "jwk": jwk }));
        let signed = encoded(header.as_bytes(), &claims_of(&forge));
        let forged = format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature));
        assert_refused(&app, &forged, &format!("{what}, with a key of small order")).await;
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_good_token_anywhere_but_in_its_header_is_not_read() {
    let (app, token, _) = app_with_forge().await;
    for header in ["cookie", "x-authorization", "proxy-authorization", "x-access-token"] {
        for value in [format!("Bearer {token}"), format!("access_token={token}"), token.clone()] {
            let request = app.request(Method::GET, "/verify").insert_header((header, value));
            let answer = read(request.send().await.unwrap()).await;
            assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"), "{header}");
        }
    }
    let form = [("access_token", &token)];
    let sent = app.request(Method::POST, "/logout").send_form(&form).await.unwrap();
    assert_eq!(read(sent).await.problem(), "invalid-token");
    for scheme in ["Basic", "DPoP", "Digest", "Token", "Bearer:", "Bear", ""] {
        let value = format!("{scheme} {token}");
        let request = app.request(Method::GET, "/verify").insert_header(("authorization", value));
        let answer = read(request.send().await.unwrap()).await;
        assert_eq!((answer.status, &*answer.problem()), (401, "invalid-token"), "{scheme}");
    }
    stop(app, &token).await;
}

#[actix_web::test]
async fn what_was_refused_is_refused_again_and_costs_the_good_token_nothing() {
    let (app, token, forge) = app_with_forge().await;
    let foreign = forge.signed_by_foreigner(&forge.header.to_string());
    for _ in 0..3 {
        assert_refused(&app, &foreign, "again").await;
        assert!(app.is_alive(&token).await);
    }
    // Its own claims under another signature: a logout of it would be one of the good token.
    let same = Ed25519KeyPair::generate().unwrap();
    let signed = token.rsplit_once('.').unwrap().0;
    let signature = BASE64URL_NOPAD.encode(same.sign(signed.as_bytes()).as_ref());
    assert_refused(&app, &format!("{signed}.{signature}"), "the claims of the good token").await;
    stop(app, &token).await;
}

#[actix_web::test]
async fn a_token_of_any_size_is_answered() {
    let (app, token, forge) = app_with_forge().await;
    for size in [20_000, 30_000, 40_000, 100_000, 1_000_000] {
        for large in [
            format!("{token}{}", "A".repeat(size)),
            ".".repeat(size),
            "e30.".repeat(size / 4),
            forge.signed(&forge.header_with(json!({ "kid": "k".repeat(size) })), "{}"),
        ] {
            if large.len() < MOST_OF_A_HEAD {
                assert_refused(&app, &large, &format!("{} bytes", large.len())).await;
                continue;
            }
            let answer = send(&app, &Method::GET, "/verify", &large).await;
            assert_eq!((answer.status, &*answer.problem()), (431, "head-too-large"), "{size}");
        }
    }
    stop(app, &token).await;
}
