//! Tokens.

use std::sync::LazyLock;

use contract::Claims;
use contract::token_record::SigningAlgorithm;
use shared::tokens::{SigningKey, TokenRules, Verifier};

const NOW: i64 = 1_700_000_000;

struct Issuer {
    verifier: Verifier,
    token: String,
}

/// One key of each kind for all inputs: to make it is the only thing that takes time.
static ISSUERS: LazyLock<[Issuer; 2]> =
    LazyLock::new(|| [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256].map(issuer));

fn issuer(algorithm: SigningAlgorithm) -> Issuer {
    let key = SigningKey::parse(&SigningKey::generate(algorithm)).expect("a new key is a key");
    let rules = TokenRules { issuer: "lockstep".into(), audience: "lockstep".into(), leeway_s: 5 };
    let claims = Claims {
        iss: rules.issuer.clone(),
        sub: "1".into(),
        aud: rules.audience.clone(),
        exp: NOW + 900,
        iat: NOW,
        nbf: NOW,
        jti: "the-token".into(),
        auth_time: NOW,
        client_id: "lockstep".into(),
        username: "testuser".into(),
        sid: "s".into(),
        stamp: "place".into(),
        scope: None,
    };
    let token = key.sign(&claims).expect("claims can be signed");
    let verifier = Verifier::new(&rules, [key.jwk()]).expect("the key verifies");
    verifier.verify(&token, NOW).expect("the token is good");
    Issuer { verifier, token }
}

/// Nothing but the token itself is taken: not the input, and not the token changed by it.
pub(crate) fn check(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    for Issuer { verifier, token } in &*ISSUERS {
        for forged in [text.clone().into_owned(), spliced(token, input), inserted(token, &text)] {
            assert!(verifier.verify(&forged, NOW).is_err() || forged == *token, "{forged}");
        }
    }
}

/// The first two bytes say where, the others take the place of what is there.
fn spliced(token: &str, input: &[u8]) -> String {
    let [high, low, new @ ..] = input else { return String::new() };
    let at = usize::from(u16::from_be_bytes([*high, *low])) % token.len();
    let mut bytes = token.as_bytes().to_vec();
    for (old, new) in bytes[at..].iter_mut().zip(new) {
        *old = *new;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

/// As a part of its own, in each place.
fn inserted(token: &str, text: &str) -> String {
    let parts: Vec<&str> = token.split('.').collect();
    match text.len() % 4 {
        0 => format!("{text}.{}.{}", parts[1], parts[2]),
        1 => format!("{}.{text}.{}", parts[0], parts[2]),
        2 => format!("{}.{}.{text}", parts[0], parts[1]),
        _ => format!("{token}{text}"),
    }
}
