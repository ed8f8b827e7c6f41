//! The verifiers of docs/proxies.md and docs/integrate.md, run by Debian's Python with its `PyJWT`, and by Node.js with
//! Debian's `jose`.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use contract::Claims;
use contract::token_record::SigningAlgorithm;
use serde_json::json;
use shared::clock::Clock;
use shared::tokens::SigningKey;

use crate::documented::{INTEGRATE, PROXIES, block};
use crate::journeys::until_login_gives;
use crate::system::System;

const PASSWORD: &str = "testpassword";
/// Debian's: another Python on the PATH would not have the packages of scripts/install.sh.
const PYTHON: &str = "/usr/bin/python3";
const JOSE: &str = "/usr/share/nodejs/jose";

/// What a verifier says of each token: the user's id, or the class or code of the error. It lies in a directory
/// with the program that calls it.
fn verdicts(mut program: Command, tokens: &BTreeMap<&str, String>) -> BTreeMap<String, String> {
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(json!(tokens).to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "scripts/install.sh python3-jwt nodejs node-jose");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Debian's Python, in a directory with the verifier of docs/proxies.md.
fn python(directory: &Path, auth: SocketAddr) -> Command {
    let verifier = block(PROXIES, "python", &[("127.0.0.1:8002", auth)]);
    std::fs::write(directory.join("verifier.py"), verifier).unwrap();
    std::fs::write(directory.join("verify_tokens.py"), include_str!("verify_tokens.py")).unwrap();
    let mut python = Command::new(PYTHON);
    python.arg(directory.join("verify_tokens.py"));
    python
}

/// Node.js, in a directory with the verifier of docs/integrate.md.
fn node(directory: &Path, auth: SocketAddr) -> Command {
    let verifier = block(INTEGRATE, "js", &[("127.0.0.1:8002", auth)]);
    std::fs::write(directory.join("verifier.mjs"), verifier).unwrap();
    std::fs::write(directory.join("verify_tokens.mjs"), include_str!("verify_tokens.mjs")).unwrap();
    link_jose(directory);
    let mut node = Command::new("node");
    node.arg(directory.join("verify_tokens.mjs"));
    node.arg(format!("http://{auth}/.well-known/jwks.json"));
    node
}

/// Puts Debian's jose where `npm install` would.
pub(crate) fn link_jose(directory: &Path) {
    std::fs::create_dir(directory.join("node_modules")).unwrap();
    std::os::unix::fs::symlink(JOSE, directory.join("node_modules/jose")).unwrap();
}

fn expected<const N: usize>(verdicts: [(&str, &str); N]) -> BTreeMap<String, String> {
    verdicts.map(|(name, verdict)| (name.to_owned(), verdict.to_owned())).into()
}

fn claims_of(token: &str) -> Claims {
    let payload = token.split('.').nth(1).unwrap();
    let json = data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

/// Signed as auth_service would, after a change of the claims.
pub(crate) fn changed(key: &SigningKey, good: &str, change: impl FnOnce(&mut Claims)) -> String {
    let mut claims = claims_of(good);
    change(&mut claims);
    key.sign(&claims).unwrap()
}

#[actix_web::test]
async fn the_documented_verifiers_take_good_tokens_and_no_others() {
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
    let by_python = expected([
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
    ]);
    let by_node = expected([
        ("audience", "ERR_JWT_CLAIM_VALIDATION_FAILED"),
        ("expired", "ERR_JWT_EXPIRED"),
        ("foreign key", "ERR_JWKS_NO_MATCHING_KEY"),
        ("good", "1"),
        ("hs256", "ERR_JOSE_ALG_NOT_ALLOWED"),
        ("issuer", "ERR_JWT_CLAIM_VALIDATION_FAILED"),
        ("none", "ERR_JOSE_ALG_NOT_ALLOWED"),
        ("not yet", "ERR_JWT_CLAIM_VALIDATION_FAILED"),
        ("other type", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
        ("tampered", "ERR_JWS_SIGNATURE_VERIFICATION_FAILED"),
    ]);
    let auth = system.client.auth;
    let judge = || {
        let directory = tempfile::tempdir().unwrap();
        let python = verdicts(python(directory.path(), auth), &tokens);
        (python, verdicts(node(directory.path(), auth), &tokens))
    };
    let expected = (by_python, by_node);
    assert_eq!(judge(), expected);

    // As the pages say: the keys alone do not tell of logouts.
    assert_eq!(system.client.logout(&good).await.status, 200);
    assert!(!system.client.is_alive(&good).await);
    assert_eq!(judge(), expected);
    system.stop();
}
