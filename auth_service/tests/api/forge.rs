//! Tokens as an attacker, or a broken issuer, could make them: from texts, signed with whatever key.

use std::path::Path;

use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use serde_json::{Value, json};

/// The parts of a good token, and keys to sign others with.
pub(crate) struct Forge {
    /// The service's own key: what nobody else has.
    own: Ed25519KeyPair,
    /// An attacker's.
    pub(crate) foreign: Ed25519KeyPair,
    pub(crate) header: Value,
    pub(crate) claims: Value,
}

impl Forge {
    /// From a good token and the directory of the service that has made it.
    pub(crate) fn new(token: &str, data_dir: &Path) -> Self {
        let part = |n| BASE64URL_NOPAD.decode(token.split('.').nth(n).unwrap().as_bytes()).unwrap();
        let header: Value = serde_json::from_slice(&part(0)).unwrap();
        let mut claims: Value = serde_json::from_slice(&part(1)).unwrap();
        // Of a session that nobody has logged out.
        claims["sid"] = BASE64URL_NOPAD.encode(b"a forged session").into();
        let signed = token.rsplit_once('.').unwrap().0;
        let own = keys_in(data_dir)
            .into_iter()
            .find(|key| key.sign(signed.as_bytes()).as_ref() == part(2))
            .unwrap();
        Self { own, foreign: Ed25519KeyPair::generate().unwrap(), header, claims }
    }

    /// The header with members changed, added, or (null) removed.
    pub(crate) fn header_with(&self, changes: Value) -> String {
        with(&self.header, changes)
    }

    /// The claims likewise.
    pub(crate) fn claims_with(&self, changes: Value) -> String {
        with(&self.claims, changes)
    }

    /// Signed with the service's key: what it would take if only the signature counted.
    pub(crate) fn signed(&self, header: &str, claims: &str) -> String {
        sign(&self.own, header.as_bytes(), claims.as_bytes())
    }

    /// A header or claims that are no text.
    pub(crate) fn signed_bytes(&self, header: &[u8], claims: &[u8]) -> String {
        sign(&self.own, header, claims)
    }

    /// Signed with the attacker's key.
    pub(crate) fn signed_by_foreigner(&self, header: &str) -> String {
        sign(&self.foreign, header.as_bytes(), self.claims.to_string().as_bytes())
    }

    /// With an HMAC under what is public of the service's key.
    pub(crate) fn signed_by_hmac(&self, alg: &str, key: &[u8]) -> String {
        let header = self.header_with(json!({ "alg": alg }));
        let signed = encoded(header.as_bytes(), self.claims.to_string().as_bytes());
        let algorithm = match alg {
            "HS384" => hmac::HMAC_SHA384,
            "HS512" => hmac::HMAC_SHA512,
            _ => hmac::HMAC_SHA256,
        };
        let tag = hmac::sign(&hmac::Key::new(algorithm, key), signed.as_bytes());
        format!("{signed}.{}", BASE64URL_NOPAD.encode(tag.as_ref()))
    }

    /// The service's public key, in every form in which a library might take it for a secret.
    pub(crate) fn public_forms(&self) -> Vec<Vec<u8>> {
        let raw = self.own.public_key().as_ref().to_vec();
        let spki = [b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", &raw[..]].concat();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            BASE64.encode(&spki)
        );
        let x = BASE64URL_NOPAD.encode(&raw);
        let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": x }).to_string();
        [raw, spki, pem.trim().into(), pem.into(), x.into(), jwk.into(), vec![]].into()
    }
}

/// What is signed: header and claims, encoded.
pub(crate) fn encoded(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", BASE64URL_NOPAD.encode(header), BASE64URL_NOPAD.encode(claims))
}

/// The signature with its scalar made larger by the order of the group: the same point, so that a
/// verifier that does not compare with the order takes it.
pub(crate) fn with_larger_scalar(token: &str) -> String {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let mut carry = 0;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let sum = u16::from(*byte) + u16::from(order) + u16::from(carry);
        [*byte, carry] = sum.to_le_bytes();
    }
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

fn sign(key: &Ed25519KeyPair, header: &[u8], claims: &[u8]) -> String {
    let signed = encoded(header, claims);
    format!("{signed}.{}", BASE64URL_NOPAD.encode(key.sign(signed.as_bytes()).as_ref()))
}

fn with(object: &Value, changes: Value) -> String {
    let mut object = object.as_object().unwrap().clone();
    let Value::Object(changes) = changes else { panic!("no object: {changes}") };
    for (name, value) in changes {
        if value.is_null() {
            object.remove(&name);
        } else {
            object.insert(name, value);
        }
    }
    Value::Object(object).to_string()
}

/// All files that hold an Ed25519 key in the form in which the service keeps it.
fn keys_in(dir: &Path) -> Vec<Ed25519KeyPair> {
    let mut keys = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            keys.extend(keys_in(&path));
        } else if let Ok(text) = std::fs::read_to_string(&path)
            && let Ok(der) = BASE64.decode(text.trim().as_bytes())
            && let Ok(key) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der)
        {
            keys.push(key);
        }
    }
    keys
}
