//! Verification of what a token says itself: form, signature, issuer, audience, times. Whether it
//! is alive besides is for [`super::liveness`], which auth_service asks.

use std::collections::HashMap;

use contract::Claims;
use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::crypto;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;

use super::TOKEN_TYPE;
use super::signing_key::library;
use super::token_set::LONGEST_LIFETIME_S;
use super::verifying_key::{VerifyingKey, VerifyingKeyError};

/// What a token must say to be one of ours.
#[derive(Clone, Debug)]
pub struct TokenRules {
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
    /// By how many seconds clocks may differ.
    pub leeway_s: i64,
}

/// Why a token is not good. Logged; never sent to the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefused {
    /// Not a JWT of ours: form, type, algorithm, signature, issuer, audience or a claim is wrong.
    #[error("not a token of this service")]
    NotOurs,
    /// Signed with a key that is not in the set.
    #[error("signed with an unknown key")]
    UnknownKey,
    /// Not good yet, or no longer.
    #[error("expired, or not good yet")]
    OutOfTime,
}

/// The members that we put into a header. Any other is refused, and so is a duplicate:
/// `crit`, `jku`, `jwk`, `x5u`, `zip` and whatever may be invented tell a verifier how to verify,
/// which is not for the token to say (RFC 8725 sections 3.1 and 3.10).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenHeader {
    typ: String,
    alg: String,
    kid: String,
}

/// A token that was taken apart; nothing of it has been verified.
pub struct UnverifiedToken<'a> {
    header: TokenHeader,
    /// Header and payload, as they were signed.
    message: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> UnverifiedToken<'a> {
    /// Takes the token apart.
    ///
    /// # Errors
    /// It has not the form of our tokens.
    pub fn parse(token: &'a str) -> Result<Self, TokenRefused> {
        let (message, signature) = token.rsplit_once('.').ok_or(TokenRefused::NotOurs)?;
        let (header, payload) = message.split_once('.').ok_or(TokenRefused::NotOurs)?;
        let header: TokenHeader = from_base64(header)?;
        if !header.typ.eq_ignore_ascii_case(TOKEN_TYPE) {
            return Err(TokenRefused::NotOurs);
        }
        Ok(Self { header, message, payload, signature })
    }

    /// The key that the token says it was signed with.
    pub fn kid(&self) -> &str {
        &self.header.kid
    }

    /// Verifies the signature, the issuer and the audience. The algorithm is the key's: a token
    /// that names another one is refused.
    ///
    /// # Errors
    /// [`TokenRefused::NotOurs`].
    pub fn verify(&self, key: &VerifyingKey, rules: &TokenRules) -> Result<Claims, TokenRefused> {
        if self.header.alg != key.algorithm.as_str() {
            return Err(TokenRefused::NotOurs);
        }
        let message = self.message.as_bytes();
        let algorithm = library(key.algorithm);
        let is_signed = crypto::verify(self.signature, message, &key.decoding, algorithm);
        if !is_signed.unwrap_or(false) {
            return Err(TokenRefused::NotOurs);
        }
        let claims: Claims = from_base64(self.payload)?;
        let is_ours = claims.iss == rules.issuer && claims.aud == rules.audience;
        if is_ours && !lives_too_long(&claims) { Ok(claims) } else { Err(TokenRefused::NotOurs) }
    }
}

fn lives_too_long(claims: &Claims) -> bool {
    claims.exp.saturating_sub(claims.iat) > LONGEST_LIFETIME_S
}

fn from_base64<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, TokenRefused> {
    let json = BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenRefused::NotOurs)?;
    // From bytes, serde_json would not look at the texts that it passes over.
    let json = str::from_utf8(&json).map_err(|_| TokenRefused::NotOurs)?;
    serde_json::from_str(json).map_err(|_| TokenRefused::NotOurs)
}

/// Verifies tokens against a set of public keys.
pub struct Verifier {
    keys: HashMap<String, VerifyingKey>,
    rules: TokenRules,
}

impl Verifier {
    /// A verifier that takes tokens of these keys.
    ///
    /// # Errors
    /// A key cannot verify tokens.
    pub fn new<'a>(
        rules: &TokenRules,
        keys: impl IntoIterator<Item = &'a Jwk>,
    ) -> Result<Self, VerifyingKeyError> {
        let mut named = HashMap::new();
        for jwk in keys {
            let kid = jwk.common.key_id.clone().unwrap_or_default();
            named.insert(kid, VerifyingKey::from_jwk(jwk)?);
        }
        Ok(Self { keys: named, rules: rules.clone() })
    }

    /// Verifies everything that can be told from the token and the time, in seconds since 1970.
    ///
    /// # Errors
    /// See [`TokenRefused`].
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Claims, TokenRefused> {
        let token = UnverifiedToken::parse(token)?;
        let key = self.keys.get(token.kid()).ok_or(TokenRefused::UnknownKey)?;
        let claims = token.verify(key, &self.rules)?;
        self.check_time(&claims, now_s)?;
        Ok(claims)
    }

    /// Whether the claims are good at this time, in seconds since 1970. A token of the future is not:
    /// its life would be counted from a moment that has not come.
    fn check_time(&self, claims: &Claims, now_s: i64) -> Result<(), TokenRefused> {
        let leeway_s = self.rules.leeway_s;
        let is_in_time = claims.nbf.max(claims.iat).saturating_sub(leeway_s) <= now_s
            && now_s < claims.exp.saturating_add(leeway_s);
        if is_in_time { Ok(()) } else { Err(TokenRefused::OutOfTime) }
    }
}

#[cfg(test)]
pub(super) mod tests;
