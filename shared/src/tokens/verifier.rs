//! Verification of a token, all but the question whether it was revoked.

use std::collections::HashMap;

use data_encoding::BASE64URL_NOPAD;
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode};
use serde::Deserialize;

use super::TOKEN_TYPE;
use contract::Claims;

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

/// Verifies tokens against a set of public keys.
pub struct Verifier {
    keys: HashMap<String, DecodingKey>,
    validation: Validation,
    leeway_s: i64,
}

/// All that the header of a token of ours says, each once. A header that says more asks for something
/// that is not done here, such as `crit`, `zip`, or a key that it brings along (RFC 8725, 3.10).
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TokenHeader {
    typ: String,
    alg: Algorithm,
    kid: String,
}

impl TokenHeader {
    fn parse(token: &str) -> Option<Self> {
        let (header, _) = token.split_once('.')?;
        let header = BASE64URL_NOPAD.decode(header.as_bytes()).ok()?;
        serde_json::from_slice(&header).ok()
    }
}

/// Why a token is not good. Told to the log, not to its bearer.
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

impl Verifier {
    /// A verifier that takes tokens of these keys.
    ///
    /// # Errors
    /// A key is not an Ed25519 public key.
    pub fn new<'a>(
        rules: &TokenRules,
        keys: impl IntoIterator<Item = &'a Jwk>,
    ) -> Result<Self, jsonwebtoken::errors::Error> {
        let mut named = HashMap::new();
        for jwk in keys {
            let kid = jwk.common.key_id.clone().unwrap_or_default();
            named.insert(kid, DecodingKey::from_jwk(jwk)?);
        }
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_issuer(&[&rules.issuer]);
        validation.set_audience(&[&rules.audience]);
        validation.set_required_spec_claims(&["exp", "nbf", "iss", "aud", "sub"]);
        // Times are compared below, with the clock that was passed in.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        Ok(Self { keys: named, validation, leeway_s: rules.leeway_s })
    }

    /// Verifies everything that can be told from the token and the time, in seconds since 1970.
    ///
    /// # Errors
    /// See [`TokenRefused`].
    pub fn verify(&self, token: &str, now_s: i64) -> Result<Claims, TokenRefused> {
        let header = TokenHeader::parse(token).ok_or(TokenRefused::NotOurs)?;
        if !header.typ.eq_ignore_ascii_case(TOKEN_TYPE) || header.alg != Algorithm::EdDSA {
            return Err(TokenRefused::NotOurs);
        }
        let key = self.keys.get(&header.kid).ok_or(TokenRefused::UnknownKey)?;
        let claims: Claims =
            decode(token, key, &self.validation).map_err(|_| TokenRefused::NotOurs)?.claims;
        self.check_time(&claims, now_s)?;
        Ok(claims)
    }

    /// Whether the claims are good at this time, in seconds since 1970.
    pub(super) fn check_time(&self, claims: &Claims, now_s: i64) -> Result<(), TokenRefused> {
        let is_in_time = claims.nbf.saturating_sub(self.leeway_s) <= now_s
            && now_s < claims.exp.saturating_add(self.leeway_s);
        if is_in_time { Ok(()) } else { Err(TokenRefused::OutOfTime) }
    }
}

#[cfg(test)]
pub(super) mod tests {
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
            client_id: "c".into(),
            username: "testuser".into(),
            pv: 1,
        }
    }

    pub(in crate::tokens) fn key() -> SigningKey {
        SigningKey::parse(&SigningKey::generate()).unwrap()
    }

    #[test]
    fn a_token_of_ours_is_good_for_its_time() {
        let key = key();
        let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
        let token = key.sign(&claims()).unwrap();
        assert_eq!(verifier.verify(&token, NOW), Ok(claims()));
        assert_eq!(verifier.verify(&token, NOW + 904), Ok(claims()));
        assert_eq!(verifier.verify(&token, NOW + 905), Err(TokenRefused::OutOfTime));
        assert_eq!(verifier.verify(&token, NOW - 6), Err(TokenRefused::OutOfTime));
    }

    #[test]
    fn a_time_at_the_end_of_the_range_does_not_overflow() {
        let key = key();
        let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
        let token = key.sign(&Claims { exp: i64::MAX, nbf: 0, ..claims() }).unwrap();
        assert!(verifier.verify(&token, NOW).is_ok());
    }

    #[test]
    fn tokens_of_others_and_changed_tokens_are_refused() {
        let key = key();
        let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
        let other_issuer = key.sign(&Claims { iss: "x".into(), ..claims() }).unwrap();
        let other_audience = key.sign(&Claims { aud: "x".into(), ..claims() }).unwrap();
        let mut changed = key.sign(&claims()).unwrap();
        let cut = changed.pop();
        changed.push(if cut == Some('A') { 'B' } else { 'A' });
        let unsigned = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.";
        for bad in [&other_issuer, &other_audience, &changed, unsigned, "", "a.b.c"] {
            assert_eq!(verifier.verify(bad, NOW), Err(TokenRefused::NotOurs), "{bad}");
        }
        let stranger = self::key().sign(&claims()).unwrap();
        assert_eq!(verifier.verify(&stranger, NOW), Err(TokenRefused::UnknownKey));
    }

    #[test]
    fn a_jwt_of_another_type_or_with_demands_of_its_own_is_refused() {
        let text = SigningKey::generate();
        let key = SigningKey::parse(&text).unwrap();
        let verifier = Verifier::new(&rules(), [key.jwk()]).unwrap();
        let der = data_encoding::BASE64.decode(text.as_bytes()).unwrap();
        let encoding = jsonwebtoken::EncodingKey::from_ed_der(&der);
        let mut header = jsonwebtoken::Header::new(Algorithm::EdDSA);
        header.kid = Some(key.kid().to_owned());
        let outcome_of = |header: &jsonwebtoken::Header| {
            let token = jsonwebtoken::encode(header, &claims(), &encoding).unwrap();
            verifier.verify(&token, NOW)
        };
        assert_eq!(outcome_of(&header), Err(TokenRefused::NotOurs), "the type is JWT");
        header.typ = Some(TOKEN_TYPE.to_owned());
        assert_eq!(outcome_of(&header), Ok(claims()));
        for demands in [vec![], vec!["b64".to_owned()], vec!["unheard-of".to_owned()]] {
            header.crit = Some(demands);
            assert_eq!(outcome_of(&header), Err(TokenRefused::NotOurs), "{:?}", header.crit);
        }
    }
}
