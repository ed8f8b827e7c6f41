//! The verifier of docs/proxies.md, run by Debian's Python with its `PyJWT`.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use contract::Claims;
use contract::token_record::SigningAlgorithm;
use serde_json::json;
use shared::clock::Clock;
use shared::tokens::SigningKey;

use crate::documented;
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
/// Debian's: another Python on the PATH would not have the packages of scripts/install.sh.
const PYTHON: &str = "/usr/bin/python3";
const DRIVER: &str = include_str!("verify_tokens.py");

/// What the verifier says of each token: the user's id, or the class of the error.
fn verdicts(system: &System, tokens: &BTreeMap<&str, String>) -> BTreeMap<String, String> {
    let directory = tempfile::tempdir().unwrap();
    let verifier = documented::block("python", &[("127.0.0.1:8002", system.client.auth)]);
    std::fs::write(directory.path().join("verifier.py"), verifier).unwrap();
    std::fs::write(directory.path().join("verify_tokens.py"), DRIVER).unwrap();
    let mut python = Command::new(PYTHON)
        .arg(directory.path().join("verify_tokens.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = json!(tokens).to_string();
    python.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = python.wait_with_output().unwrap();
    assert!(output.status.success(), "scripts/install.sh python3-jwt");
    serde_json::from_slice(&output.stdout).unwrap()
}

fn claims_of(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap();
    let json = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Signed as auth_service would, after a change of the claims.
fn changed(key: &SigningKey, good: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = claims_of(good);
    change(&mut claims);
    key.sign(&claims).unwrap()
}

#[actix_web::test]
async fn the_documented_python_verifier_takes_good_tokens_and_no_others() {
    let mut system = System::in_one_process();
    system.client.create("testuser", PASSWORD).await;
    until_login_gives(system.client, "testuser", PASSWORD, 200).await;
    let good = system.client.token("testuser", PASSWORD).await;
    let ours = system.signing_key();
    let foreign = SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap();
    let now_s = Clock::system().unix_s();
    let tokens = BTreeMap::from([
        ("good", good.clone()),
        ("audience", changed(&ours, &good, |claims| claims.aud = "other".into())),
        ("issuer", changed(&ours, &good, |claims| claims.iss = "other".into())),
        ("expired", changed(&ours, &good, |claims| claims.exp = now_s - 60)),
        ("not yet", changed(&ours, &good, |claims| claims.nbf = now_s + 60)),
        ("foreign key", changed(&foreign, &good, |_| {})),
    ]);
    let expected = [
        ("audience", "InvalidAudienceError"),
        ("expired", "ExpiredSignatureError"),
        ("foreign key", "PyJWKClientError"),
        ("good", "1"),
        ("hs256", "InvalidAlgorithmError"),
        ("issuer", "InvalidIssuerError"),
        ("none", "InvalidAlgorithmError"),
        ("not yet", "ImmatureSignatureError"),
        ("other type", "InvalidTokenError"),
        ("tampered", "InvalidSignatureError"),
    ];
    let expected: BTreeMap<String, String> =
        expected.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())).into();
    assert_eq!(verdicts(&system, &tokens), expected);

    // As the page says: the keys alone do not tell of logouts.
    assert_eq!(system.client.logout(&good).await.status, 200);
    assert!(!system.client.is_alive(&good).await);
    assert_eq!(verdicts(&system, &tokens), expected);
    system.stop();
}
