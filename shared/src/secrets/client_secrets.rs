//! The secrets of services that ask auth_service about tokens.

use std::fmt;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};

/// The fewest characters of a secret: 32 of them, drawn at random, are beyond guessing, so a fast
/// hash is enough and no limit on guessing is needed.
const SECRET_MIN: usize = 32;
/// The most characters of an id or a secret.
const TEXT_MAX: usize = 256;

/// Ids of clients, each with the SHA-256 of a secret. An id may be there several times: during a
/// change of its secret both are accepted.
#[derive(Clone, Default)]
pub struct ClientSecrets(Arc<[(String, [u8; 32])]>);

/// An entry cannot be used. Its text is not told: it may contain a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "entry {entry} is not ID:SECRET, of letters, digits, '-', '.' and '_', with at least 32 characters \
     in the secret (openssl rand -hex 32)"
)]
pub struct NotAClient {
    /// Which one, from 1.
    entry: usize,
}

impl ClientSecrets {
    /// Reads entries `ID:SECRET`, separated by commas or white space. Their characters are those that
    /// the form encoding of RFC 6749 section 2.3.1 leaves as they are.
    ///
    /// # Errors
    /// An entry has another form.
    pub fn parse(text: &str) -> Result<Self, NotAClient> {
        let is_separator = |c: char| c == ',' || c.is_whitespace();
        let entries = text.split(is_separator).filter(|entry| !entry.is_empty());
        let parsed = entries.enumerate().map(|(index, entry)| {
            let (id, secret) =
                entry.split_once(':').filter(is_usable).ok_or(NotAClient { entry: index + 1 })?;
            Ok((id.to_owned(), sha_256(secret)))
        });
        Ok(Self(parsed.collect::<Result<_, _>>()?))
    }

    /// Whether there is no client at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is the id of a client, with its secret. The time does not depend on how much of the
    /// secret is right.
    pub fn contains(&self, id: &str, secret: &str) -> bool {
        let hash = sha_256(secret);
        let is_equal = |known: &[u8; 32]| verify_slices_are_equal(known, &hash).is_ok();
        // Without an early end.
        self.0.iter().fold(false, |found, (known, its)| found | (known == id && is_equal(its)))
    }
}

impl fmt::Debug for ClientSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

fn is_usable((id, secret): &(&str, &str)) -> bool {
    let is_plain = |text: &str| {
        text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    (1..=TEXT_MAX).contains(&id.len())
        && (SECRET_MIN..=TEXT_MAX).contains(&secret.len())
        && is_plain(id)
        && is_plain(secret)
}

fn sha_256(text: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: &str = "0123456789abcdef0123456789abcdef";
    const NEW: &str = "fedcba9876543210fedcba9876543210";

    #[test]
    fn a_client_is_known_by_each_of_its_secrets_and_by_no_other() {
        let clients = ClientSecrets::parse(&format!("a:{OLD}\nb:{NEW}, a:{NEW}\n")).unwrap();
        for (id, secret, is_known) in [
            ("a", OLD, true),
            ("a", NEW, true),
            ("b", NEW, true),
            ("b", OLD, false),
            ("c", OLD, false),
            ("", OLD, false),
            ("a", "", false),
            ("a", &OLD[1..], false),
        ] {
            assert_eq!(clients.contains(id, secret), is_known, "{id} {secret}");
        }
        assert!(!format!("{clients:?}").contains(OLD));
        assert!(ClientSecrets::parse(" \n").unwrap().is_empty());
    }

    #[test]
    fn what_is_no_entry_is_told_by_its_number_and_without_its_text() {
        for bad in ["a", "a:", "a:short", ":0123456789abcdef0123456789abcdef", &format!("a:{OLD}+")]
        {
            let error = ClientSecrets::parse(&format!("a:{OLD} {bad}")).unwrap_err();
            assert!(error.to_string().starts_with("entry 2 "), "{bad}");
            assert!(!error.to_string().contains(OLD));
        }
    }
}
