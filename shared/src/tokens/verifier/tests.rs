use aws_lc_rs::hmac;
use aws_lc_rs::signature::Ed25519KeyPair;
use contract::token_record::SigningAlgorithm;

use super::*;
use crate::tokens::SigningKey;

pub(in crate::tokens) const NOW: i64 = 1_700_000_000;

pub(in crate::tokens) fn rules() -> TokenRules {
    TokenRules { issuer: "lockstep".into(), audience: "apps".into(), leeway_s: 5 }
}

pub(in crate::tokens) fn claims() -> Claims {
    Claims {
        iss: "lockstep".into(),
        sub: "1".into(),
        aud: "apps".into(),
        exp: NOW + 900,
        iat: NOW,
        nbf: NOW,
        jti: "j".into(),
        auth_time: NOW,
        client_id: "c".into(),
        username: "testuser".into(),
        sid: "s".into(),
        stamp: "place".into(),
        scope: None,
    }
}

pub(in crate::tokens) fn key() -> SigningKey {
    SigningKey::parse(&SigningKey::generate(SigningAlgorithm::EdDsa)).unwrap()
}

const BOTH: [SigningAlgorithm; 2] = [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256];

fn key_for(algorithm: SigningAlgorithm) -> (SigningKey, Verifier) {
    let key = SigningKey::parse(&SigningKey::generate(algorithm)).unwrap();
    let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
    (key, verifier)
}

/// A forger who has an Ed25519 private key of ours signs whatever text it likes.
struct Forger {
    pair: Ed25519KeyPair,
    kid: String,
    verifier: Verifier,
}

impl Forger {
    fn new() -> Self {
        let text = SigningKey::generate(SigningAlgorithm::EdDsa);
        let der = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
        let key = SigningKey::parse(&text).unwrap();
        let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).unwrap();
        Self { pair, kid: key.kid().to_owned(), verifier }
    }

    fn header(&self) -> String {
        format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{}"}}"#, self.kid)
    }

    fn sign(&self, header: &str, payload: &str) -> String {
        let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
        let message = format!("{}.{}", encode(header), encode(payload));
        let signature = self.pair.sign(message.as_bytes());
        format!("{message}.{}", BASE64URL_NOPAD.encode(signature.as_ref()))
    }

    fn outcome(&self, header: &str, payload: &str) -> Result<Claims, TokenRefused> {
        self.verifier.verify(&self.sign(header, payload), NOW)
    }
}

fn payload() -> String {
    serde_json::to_string(&claims()).unwrap()
}

#[test]
fn a_token_of_ours_is_good_for_its_time() {
    for (key, verifier) in BOTH.map(key_for) {
        let token = key.sign(&claims()).unwrap();
        assert_eq!(verifier.verify(&token, NOW), Ok(claims()));
        assert_eq!(verifier.verify(&token, NOW + 904), Ok(claims()));
        assert_eq!(verifier.verify(&token, NOW + 905), Err(TokenRefused::OutOfTime));
        assert_eq!(verifier.verify(&token, NOW - 6), Err(TokenRefused::OutOfTime));
    }
}

#[test]
fn header_and_jwk_name_the_same_algorithm() {
    for (algorithm, (key, _)) in BOTH.into_iter().zip(BOTH.map(key_for)) {
        let token = key.sign(&claims()).unwrap();
        assert_eq!(UnverifiedToken::parse(&token).unwrap().header.alg, algorithm.as_str());
        let jwk = serde_json::to_value(key.jwk()).unwrap();
        assert_eq!(jwk["alg"], algorithm.as_str());
        assert_eq!(jwk["kid"], key.kid());
    }
}

#[test]
fn a_token_without_a_session_or_a_stamp_is_refused() {
    let forger = Forger::new();
    assert_eq!(forger.outcome(&forger.header(), &payload()), Ok(claims()));
    for claim in ["sid", "stamp"] {
        let mut counted: serde_json::Value = serde_json::from_str(&payload()).unwrap();
        counted.as_object_mut().unwrap().remove(claim);
        counted["pv"] = 1.into();
        let outcome = forger.outcome(&forger.header(), &counted.to_string());
        assert_eq!(outcome, Err(TokenRefused::NotOurs), "{claim}");
    }
}

#[test]
fn a_time_at_the_end_of_the_range_does_not_overflow() {
    let (key, verifier) = key_for(SigningAlgorithm::EdDsa);
    let outcome = |claims: Claims| verifier.verify(&key.sign(&claims).unwrap(), NOW).map(drop);
    for exp in [i64::MAX, i64::MIN] {
        assert!(outcome(Claims { exp, nbf: 0, ..claims() }).is_err());
        assert!(outcome(Claims { exp, iat: i64::MIN, ..claims() }).is_err());
        assert!(outcome(Claims { exp, iat: i64::MAX, ..claims() }).is_err());
    }
    assert!(outcome(Claims { nbf: i64::MAX, ..claims() }).is_err());
    assert_eq!(outcome(Claims { nbf: i64::MIN, ..claims() }), Ok(()));
}

#[test]
fn a_token_of_the_future_or_of_too_long_a_life_is_refused() {
    let (key, verifier) = key_for(SigningAlgorithm::EdDsa);
    let outcome = |iat: i64, exp: i64| {
        let token = key.sign(&Claims { iat, exp, ..claims() }).unwrap();
        verifier.verify(&token, NOW).map(drop)
    };
    let longest_s = LONGEST_LIFETIME_S;
    assert_eq!(outcome(NOW + 5, NOW + 900), Ok(()), "clocks may differ");
    assert_eq!(outcome(NOW + 6, NOW + 900), Err(TokenRefused::OutOfTime));
    assert_eq!(outcome(NOW, NOW + longest_s), Ok(()));
    assert_eq!(outcome(NOW, NOW + longest_s + 1), Err(TokenRefused::NotOurs));
    assert_eq!(outcome(NOW - longest_s, NOW + 1), Err(TokenRefused::NotOurs));
}

#[test]
fn tokens_of_others_and_changed_tokens_are_refused() {
    for (key, verifier) in BOTH.map(key_for) {
        let other_issuer = key.sign(&Claims { iss: "x".into(), ..claims() }).unwrap();
        let other_audience = key.sign(&Claims { aud: "x".into(), ..claims() }).unwrap();
        let token = key.sign(&claims()).unwrap();
        let cut = &token[..token.len() - 1];
        let unsigned = &token[..=token.rfind('.').unwrap()];
        let padded = format!("{token}=");
        let longer = format!("{token}.{token}");
        let spaced = token.replace('.', " .");
        for bad in
            [&other_issuer, &other_audience, cut, unsigned, &padded, &longer, &spaced, "", "a.b.c"]
        {
            assert_eq!(verifier.verify(bad, NOW), Err(TokenRefused::NotOurs), "{bad}");
        }
        let stranger = self::key().sign(&claims()).unwrap();
        assert_eq!(verifier.verify(&stranger, NOW), Err(TokenRefused::UnknownKey));
    }
}

#[test]
fn every_bit_of_a_token_counts() {
    for (key, verifier) in BOTH.map(key_for) {
        let token = key.sign(&claims()).unwrap();
        for n in 0..token.len() {
            let mut changed = token.clone().into_bytes();
            changed[n] = if changed[n] == b'A' { b'B' } else { b'A' };
            if let Ok(changed) = String::from_utf8(changed) {
                assert!(verifier.verify(&changed, NOW).is_err(), "character {n}");
            }
        }
    }
}

#[test]
fn the_other_spellings_of_a_signature_are_refused() {
    // 64 bytes in base64url leave four bits of the last character unused.
    let (key, verifier) = key_for(SigningAlgorithm::EdDsa);
    let token = key.sign(&claims()).unwrap();
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let good = alphabet.chars().filter(|last| {
        verifier.verify(&format!("{}{last}", &token[..token.len() - 1]), NOW).is_ok()
    });
    assert_eq!(good.count(), 1);
    // S + L is the same number modulo the group's order L (RFC 8032 section 5.1.7 refuses it).
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mut signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let mut carry = 0_u16;
    for (byte, addend) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(addend) + carry;
        *byte = u8::try_from(sum & 0xff).unwrap();
        carry = sum >> 8;
    }
    let malleable = format!("{message}.{}", BASE64URL_NOPAD.encode(&signature));
    assert_eq!(verifier.verify(&malleable, NOW), Err(TokenRefused::NotOurs));
}

#[test]
fn a_token_does_not_choose_how_it_is_verified() {
    let forger = Forger::new();
    assert_eq!(forger.outcome(&forger.header(), &payload()), Ok(claims()));
    let header = |members: &str| format!(r#"{{{members},"kid":"{}"}}"#, forger.kid);
    for members in [
        r#""typ":"at+jwt","alg":"none""#,
        r#""typ":"at+jwt","alg":"None""#,
        r#""typ":"at+jwt","alg":"eddsa""#,
        r#""typ":"at+jwt","alg":"Ed25519""#,
        r#""typ":"at+jwt","alg":"ES256""#,
        r#""typ":"at+jwt","alg":"HS256""#,
        r#""typ":"at+jwt""#,
        r#""alg":"EdDSA""#,
        r#""typ":"JWT","alg":"EdDSA""#,
        r#""typ":"dpop+jwt","alg":"EdDSA""#,
        r#""typ":"at+jwt","alg":["EdDSA"]"#,
        r#""typ":"at+jwt","alg":"EdDSA","alg":"EdDSA""#,
        r#""typ":"at+jwt","typ":"at+jwt","alg":"EdDSA""#,
        r#""typ":"at+jwt","alg":"EdDSA","kid":"x""#,
        r#""typ":"at+jwt","alg":"EdDSA","crit":[]"#,
        r#""typ":"at+jwt","alg":"EdDSA","crit":["b64"],"b64":false"#,
        r#""typ":"at+jwt","alg":"EdDSA","jku":"https://example.com/jwks.json""#,
        r#""typ":"at+jwt","alg":"EdDSA","jwk":{"kty":"OKP"}"#,
        r#""typ":"at+jwt","alg":"EdDSA","x5u":"https://example.com/x.pem""#,
        r#""typ":"at+jwt","alg":"EdDSA","x5c":["AA"]"#,
        r#""typ":"at+jwt","alg":"EdDSA","zip":"DEF""#,
        r#""typ":"at+jwt","alg":"EdDSA","cty":"JWT""#,
    ] {
        let outcome = forger.outcome(&header(members), &payload());
        assert_eq!(outcome, Err(TokenRefused::NotOurs), "{members}");
    }
    for kid in ["../../etc/passwd", "", "null", "' OR 1=1 --"] {
        let header = format!(r#"{{"typ":"at+jwt","alg":"EdDSA","kid":"{kid}"}}"#);
        assert_eq!(forger.outcome(&header, &payload()), Err(TokenRefused::UnknownKey), "{kid}");
    }
}

#[test]
fn a_claim_that_is_there_twice_or_of_another_type_is_refused() {
    let forger = Forger::new();
    let good = payload();
    for (from, to) in [
        (r#""sub":"1""#, r#""sub":"1","sub":"2""#),
        (r#""sub":"1""#, r#""sub":1"#),
        (r#""exp":"#, r#""exp":9,"exp":"#),
        (r#""aud":"apps""#, r#""aud":["apps","others"]"#),
        (r#""jti":"j","#, ""),
        (r#""iss":"lockstep""#, r#""iss":"Lockstep""#),
    ] {
        let bad = good.replace(from, to);
        assert_ne!(bad, good);
        let outcome = forger.outcome(&forger.header(), &bad);
        assert_eq!(outcome, Err(TokenRefused::NotOurs), "{to}");
    }
}

#[test]
fn the_public_key_is_no_secret_of_an_hmac() {
    let (key, verifier) = key_for(SigningAlgorithm::EdDsa);
    let header = format!(r#"{{"typ":"at+jwt","alg":"HS256","kid":"{}"}}"#, key.kid());
    let encode = |text: &str| BASE64URL_NOPAD.encode(text.as_bytes());
    let message = format!("{}.{}", encode(&header), encode(&payload()));
    let jwk = serde_json::to_value(key.jwk()).unwrap();
    let public = BASE64URL_NOPAD.decode(jwk["x"].as_str().unwrap().as_bytes()).unwrap();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &public), message.as_bytes());
    let forged = format!("{message}.{}", BASE64URL_NOPAD.encode(tag.as_ref()));
    assert_eq!(verifier.verify(&forged, NOW), Err(TokenRefused::NotOurs));
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_verifier_panic(text in "[ -~]{0,80}", dots in "[A-Za-z0-9_.-]{0,120}") {
        let (key, verifier) = key_for(SigningAlgorithm::EdDsa);
        let header = key.sign(&claims()).unwrap();
        let header = &header[..header.find('.').unwrap()];
        for token in [text.clone(), dots.clone(), format!("{header}.{dots}")] {
            proptest::prop_assert!(verifier.verify(&token, NOW).is_err());
        }
    }
}
