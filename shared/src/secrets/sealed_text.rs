//! Encryption of whole messages between replicas of auth_service: AES-256-GCM under a key that is
//! derived for each message from a random salt. So the number of messages is not limited by the
//! length of a random nonce (NIST SP 800-38D, section 8.3).

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use aws_lc_rs::hmac;
use data_encoding::BASE64URL_NOPAD;

use super::random::random_bytes;
use super::sealing::{SealingKeys, UnsealError, seal_in_place};

/// The prefix, which names the form.
const FORM: &str = "v1";
/// Bytes of the salt.
const SALT_LEN: usize = 16;

impl SealingKeys {
    /// Encrypts a text for one purpose: `v1.<key id>.<base64url(salt, nonce, ciphertext)>`.
    pub fn seal_text(&self, purpose: &str, text: Vec<u8>) -> String {
        let (key_id, secrets) = self.first_for_texts();
        let salt = random_bytes::<SALT_LEN>();
        let mut sealed = text;
        // A key of 32 bytes is always accepted.
        let Some(key) = derive(secrets, &salt) else { return String::new() };
        let nonce = seal_in_place(&key, purpose.as_bytes(), &mut sealed);
        let payload = [salt.as_slice(), nonce.as_ref(), &sealed].concat();
        format!("{FORM}.{key_id}.{}", BASE64URL_NOPAD.encode(&payload))
    }

    /// Opens what [`SealingKeys::seal_text`] sealed for the same purpose.
    ///
    /// # Errors
    /// See [`UnsealError`].
    pub fn unseal_text(&self, purpose: &str, sealed: &str) -> Result<Vec<u8>, UnsealError> {
        let mut words = sealed.splitn(3, '.');
        let (Some(FORM), Some(key_id), Some(payload)) = (words.next(), words.next(), words.next())
        else {
            return Err(UnsealError::NotGenuine);
        };
        let unknown = || UnsealError::UnknownKey { key_id: key_id.to_owned() };
        let secrets = self.for_texts(key_id).ok_or_else(unknown)?;
        open(secrets, purpose, payload).ok_or(UnsealError::NotGenuine)
    }
}

fn open(secrets: &hmac::Key, purpose: &str, payload: &str) -> Option<Vec<u8>> {
    let mut bytes = BASE64URL_NOPAD.decode(payload.as_bytes()).ok()?;
    let (salt, rest) = bytes.split_at_mut_checked(SALT_LEN)?;
    let (nonce, sealed) = rest.split_at_mut_checked(NONCE_LEN)?;
    let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
    let key = derive(secrets, salt)?;
    let opened = key.open_in_place(nonce, Aad::from(purpose.as_bytes()), sealed).ok()?;
    Some(opened.to_vec())
}

fn derive(secrets: &hmac::Key, salt: &[u8]) -> Option<RandomizedNonceKey> {
    RandomizedNonceKey::new(&AES_256_GCM, hmac::sign(secrets, salt).as_ref()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> SealingKeys {
        SealingKeys::parse(&SealingKeys::generate()).unwrap()
    }

    #[test]
    fn a_sealed_text_opens_for_its_purpose_alone() {
        let keys = keys();
        let sealed = keys.seal_text("a", b"secret".to_vec());
        assert!(!sealed.contains("secret"));
        assert_ne!(keys.seal_text("a", b"secret".to_vec()), sealed, "salt and nonce are new");
        assert_eq!(keys.unseal_text("a", &sealed), Ok(b"secret".to_vec()));
        assert_eq!(keys.unseal_text("b", &sealed), Err(UnsealError::NotGenuine));
        let unknown = self::keys().unseal_text("a", &sealed);
        assert!(matches!(unknown, Err(UnsealError::UnknownKey { .. })), "{unknown:?}");
        let short = format!("v1.{}.AAAA", keys.first_id());
        let altered = format!("{}A{}", &sealed[..30], &sealed[31..]);
        for bad in ["", "v1", "v1.x", "v2.x.AAAA", &short, &altered] {
            assert!(bad == sealed || keys.unseal_text("a", bad).is_err(), "{bad}");
        }
    }
}
