//! The public half of a key: what verifies tokens, what JWKS shows, and what replicas publish.

use contract::token_record::{KeyId, PublishedKey, SigningAlgorithm};
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, ThumbprintHash};
use serde_json::json;

/// A public key, pinned to the one algorithm that its tokens may name (RFC 8725 section 3.1).
#[derive(Clone)]
pub struct VerifyingKey {
    pub(super) decoding: DecodingKey,
    pub(super) algorithm: SigningAlgorithm,
}

/// The key cannot verify tokens.
#[derive(Debug, thiserror::Error)]
pub enum VerifyingKeyError {
    /// Its kind, curve or algorithm is none of ours, or they contradict each other.
    #[error("not an Ed25519 or P-256 public key for signatures")]
    Unsupported,
    /// Its name is not its thumbprint.
    #[error("the key's name is not its thumbprint")]
    WrongName,
    /// The library refuses it.
    #[error(transparent)]
    Library(#[from] jsonwebtoken::errors::Error),
}

impl VerifyingKey {
    /// From a JWK.
    ///
    /// # Errors
    /// See [`VerifyingKeyError`].
    pub fn from_jwk(jwk: &Jwk) -> Result<Self, VerifyingKeyError> {
        let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
            (AlgorithmParameters::OctetKeyPair(key), Some(KeyAlgorithm::EdDSA))
                if key.curve == EllipticCurve::Ed25519 =>
            {
                SigningAlgorithm::EdDsa
            }
            (AlgorithmParameters::EllipticCurve(key), Some(KeyAlgorithm::ES256))
                if key.curve == EllipticCurve::P256 =>
            {
                SigningAlgorithm::Es256
            }
            _ => return Err(VerifyingKeyError::Unsupported),
        };
        Ok(Self { decoding: DecodingKey::from_jwk(jwk)?, algorithm })
    }

    /// From what a replica published.
    ///
    /// # Errors
    /// See [`VerifyingKeyError`].
    pub fn from_published(key: &PublishedKey) -> Result<Self, VerifyingKeyError> {
        let jwk = jwk_of(key)?;
        if jwk.thumbprint(ThumbprintHash::SHA256)? != key.kid.to_string() {
            return Err(VerifyingKeyError::WrongName);
        }
        Self::from_jwk(&jwk)
    }
}

/// The key as `/.well-known/jwks.json` shows it.
///
/// # Errors
/// Its bytes are no key.
pub fn jwk_of(key: &PublishedKey) -> Result<Jwk, VerifyingKeyError> {
    let text = |bytes: &[u8]| BASE64URL_NOPAD.encode(bytes);
    if key.public_key.len() != key.algorithm.public_key_length() {
        return Err(VerifyingKeyError::Unsupported);
    }
    let (kid, alg) = (key.kid.to_string(), key.algorithm.as_str());
    let jwk = match key.algorithm {
        SigningAlgorithm::EdDsa => json!({
            "kty": "OKP", "crv": "Ed25519", "x": text(&key.public_key),
            "kid": kid, "use": "sig", "alg": alg,
        }),
        SigningAlgorithm::Es256 => {
            let (x, y) = key.public_key.split_at(32);
            json!({
                "kty": "EC", "crv": "P-256", "x": text(x), "y": text(y),
                "kid": kid, "use": "sig", "alg": alg,
            })
        }
    };
    serde_json::from_value(jwk).map_err(|_| VerifyingKeyError::Unsupported)
}

/// The name and the bytes of a key, as they are published.
///
/// # Errors
/// It is no public key of ours.
pub fn public_bytes(jwk: &Jwk) -> Result<(KeyId, SigningAlgorithm, Vec<u8>), VerifyingKeyError> {
    let unsupported = VerifyingKeyError::Unsupported;
    let kid = jwk.common.key_id.as_deref().and_then(KeyId::parse);
    let kid = kid.ok_or(VerifyingKeyError::WrongName)?;
    let algorithm = VerifyingKey::from_jwk(jwk)?.algorithm;
    let coordinates = match &jwk.algorithm {
        AlgorithmParameters::OctetKeyPair(key) => vec![&key.x],
        AlgorithmParameters::EllipticCurve(key) => vec![&key.x, &key.y],
        _ => return Err(unsupported),
    };
    let mut bytes = Vec::with_capacity(64);
    for text in coordinates {
        let decoded = BASE64URL_NOPAD.decode(text.as_bytes());
        bytes.extend(decoded.map_err(|_| VerifyingKeyError::Unsupported)?);
    }
    if bytes.len() == algorithm.public_key_length() {
        Ok((kid, algorithm, bytes))
    } else {
        Err(unsupported)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tokens::SigningKey;

    #[test]
    fn a_key_is_the_same_after_it_was_published() {
        for algorithm in [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256] {
            let key = SigningKey::parse(&SigningKey::generate(algorithm)).unwrap();
            let (kid, algorithm, public_key) = public_bytes(key.jwk()).unwrap();
            let (until_s, signs_from_s, lifetime_s) = (9, 1, 900);
            let mut published =
                PublishedKey { until_s, signs_from_s, lifetime_s, kid, algorithm, public_key };
            assert_eq!(&jwk_of(&published).unwrap(), key.jwk());
            VerifyingKey::from_published(&published).unwrap();
            published.kid.0[0] ^= 1;
            let renamed = VerifyingKey::from_published(&published);
            assert!(matches!(renamed, Err(VerifyingKeyError::WrongName)));
            published.public_key.pop();
            assert!(VerifyingKey::from_published(&published).is_err());
        }
    }
}
