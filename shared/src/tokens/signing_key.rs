//! The key that tokens are signed with.

use std::path::Path;

use aws_lc_rs::signature::Ed25519KeyPair;
use data_encoding::BASE64;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::TOKEN_TYPE;
use crate::secrets::{KeyFileError, load_or_create};
use contract::Claims;

/// An Ed25519 key with the name that its thumbprint gives it (RFC 7638).
pub struct SigningKey {
    encoding: EncodingKey,
    jwk: Jwk,
    kid: String,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Its file cannot be read or made.
    #[error("the signing key's file is of no use")]
    File(#[from] KeyFileError),
    /// The file holds something else.
    #[error("the signing key's file holds no Ed25519 key (PKCS #8 in base64)")]
    Content,
    /// Signing failed.
    #[error("cannot sign")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// A new random key: PKCS #8 in base64.
    #[expect(clippy::expect_used, reason = "fails only without randomness")]
    pub fn generate() -> String {
        let pair = Ed25519KeyPair::generate().expect("the system's random generator works");
        let document = pair.to_pkcs8v1().expect("a new key has a PKCS #8 form");
        BASE64.encode(document.as_ref())
    }

    /// Reads the key file, or makes it.
    ///
    /// # Errors
    /// See [`SigningKeyError`].
    pub fn load_or_create(path: &Path) -> Result<Self, SigningKeyError> {
        let content = load_or_create(path, || Self::generate().into_bytes())?;
        Self::parse(&String::from_utf8_lossy(&content))
    }

    /// Reads what [`SigningKey::generate`] made.
    ///
    /// # Errors
    /// It is no key.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let content = |_| SigningKeyError::Content;
        let der = BASE64.decode(text.trim().as_bytes()).map_err(|_| SigningKeyError::Content)?;
        Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).map_err(|_| SigningKeyError::Content)?;
        let encoding = EncodingKey::from_ed_der(&der);
        let mut jwk = Jwk::from_encoding_key(&encoding, Algorithm::EdDSA).map_err(content)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(content)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { encoding, jwk, kid })
    }

    /// The key's name: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The public half, as `/.well-known/jwks.json` shows it.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs the claims. The same claims give the same token (RFC 8032).
    ///
    /// # Errors
    /// The library failed.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningKeyError> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.encoding).map_err(SigningKeyError::Sign)
    }
}
