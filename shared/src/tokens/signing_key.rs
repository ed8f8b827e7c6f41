//! The key that tokens are signed with.

use std::path::{Path, PathBuf};

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair};
use contract::Claims;
use contract::token_record::{KeyId, SigningAlgorithm};
use data_encoding::BASE64;
use jsonwebtoken::jwk::{Jwk, PublicKeyUse, ThumbprintHash};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};

use super::TOKEN_TYPE;
use crate::secrets::{KeyFileError, read_secret_file, warn_if_open};

/// A private key with the name that its thumbprint gives it (RFC 7638).
pub struct SigningKey {
    encoding: EncodingKey,
    algorithm: SigningAlgorithm,
    jwk: Jwk,
    id: KeyId,
    kid: String,
}

/// The key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// Its file cannot be read or created.
    #[error("cannot use the signing key's file")]
    File(#[from] KeyFileError),
    /// The text is something else.
    #[error("not an Ed25519 or P-256 key (PKCS #8 in base64)")]
    Content,
    /// Its file contains something else.
    #[error(
        "{} does not contain the Ed25519 or P-256 key that it is named after (PKCS #8 in base64): \
         delete it; then another key signs, and the tokens of this one stay valid until they expire",
        path.display()
    )]
    FileContent {
        /// The file.
        path: PathBuf,
    },
    /// Signing failed.
    #[error("cannot sign")]
    Sign(#[source] jsonwebtoken::errors::Error),
}

impl SigningKey {
    /// A new random key: PKCS #8 in base64.
    #[expect(clippy::expect_used, reason = "fails only without randomness")]
    pub fn generate(algorithm: SigningAlgorithm) -> String {
        match algorithm {
            SigningAlgorithm::EdDsa => {
                let pair = Ed25519KeyPair::generate().expect("the random generator works");
                let document = pair.to_pkcs8v1().expect("a new key has a PKCS #8 form");
                BASE64.encode(document.as_ref())
            }
            SigningAlgorithm::Es256 => {
                let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING)
                    .expect("the random generator works");
                let document = pair.to_pkcs8v1().expect("a new key has a PKCS #8 form");
                BASE64.encode(document.as_ref())
            }
        }
    }

    /// Reads the key file.
    ///
    /// # Errors
    /// See [`SigningKeyError`].
    pub fn load(path: &Path) -> Result<Self, SigningKeyError> {
        let content = read_secret_file(path)?;
        warn_if_open(path);
        Self::parse(&String::from_utf8_lossy(&content)).map_err(|error| match error {
            SigningKeyError::Content => SigningKeyError::FileContent { path: path.to_owned() },
            other => other,
        })
    }

    /// Reads what [`SigningKey::generate`] made. The key says itself how it signs.
    ///
    /// # Errors
    /// It is no key.
    pub fn parse(text: &str) -> Result<Self, SigningKeyError> {
        let content = |_| SigningKeyError::Content;
        let der = BASE64.decode(text.trim().as_bytes()).map_err(|_| SigningKeyError::Content)?;
        let (algorithm, encoding) = if Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der).is_ok() {
            (SigningAlgorithm::EdDsa, EncodingKey::from_ed_der(&der))
        } else if EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &der).is_ok() {
            (SigningAlgorithm::Es256, EncodingKey::from_ec_der(&der))
        } else {
            return Err(SigningKeyError::Content);
        };
        let mut jwk = Jwk::from_encoding_key(&encoding, library(algorithm)).map_err(content)?;
        let kid = jwk.thumbprint(ThumbprintHash::SHA256).map_err(content)?;
        let id = KeyId::parse(&kid).ok_or(SigningKeyError::Content)?;
        jwk.common.key_id = Some(kid.clone());
        jwk.common.public_key_use = Some(PublicKeyUse::Signature);
        Ok(Self { encoding, algorithm, jwk, id, kid })
    }

    /// The key's name.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key's name as a token's header has it: its RFC 7638 thumbprint.
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// How it signs.
    pub fn algorithm(&self) -> SigningAlgorithm {
        self.algorithm
    }

    /// The public half, as `/.well-known/jwks.json` shows it.
    pub fn jwk(&self) -> &Jwk {
        &self.jwk
    }

    /// Signs the claims. With Ed25519 the same claims give the same token (RFC 8032); with ECDSA
    /// each signature is another one.
    pub fn sign(&self, claims: &Claims) -> Result<String, SigningKeyError> {
        let mut header = Header::new(library(self.algorithm));
        header.typ = Some(TOKEN_TYPE.to_owned());
        header.kid = Some(self.kid.clone());
        encode(&header, claims, &self.encoding).map_err(SigningKeyError::Sign)
    }
}

/// The algorithm as the library names it.
pub(super) fn library(algorithm: SigningAlgorithm) -> Algorithm {
    match algorithm {
        SigningAlgorithm::EdDsa => Algorithm::EdDSA,
        SigningAlgorithm::Es256 => Algorithm::ES256,
    }
}
