//! The token of the first administrator, made at the first start.

use std::error::Error;
use std::path::Path;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use data_encoding::BASE64URL_NOPAD;

use super::key_file::{KeyFileError, load_or_create};
use super::random::random_bytes;

/// The file in the data directory.
const FILE: &str = "admin.token";
/// The fewest characters of a token: nobody guesses 32 random ones.
const CHARS_MIN: usize = 32;

/// The token cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AdminTokenError {
    /// The file cannot be read or made.
    #[error(transparent)]
    File(#[from] KeyFileError),
    /// The file contains something else.
    #[error(
        "admin.token must contain at least 32 visible ASCII characters; delete it to get a new one"
    )]
    Content,
}

/// The SHA-256 of the token: it is random, so that is enough. Without one, nobody is the first
/// administrator.
#[derive(Clone, Copy)]
pub struct AdminToken(Option<[u8; 32]>);

impl AdminToken {
    /// Reads `admin.token` in this directory, or makes it, readable only by its owner. If it cannot be
    /// made, as on a disk that is full, there is none until the next start: the service has other work.
    ///
    /// # Errors
    /// See [`AdminTokenError`].
    pub fn load_or_create(data_dir: &Path) -> Result<Self, AdminTokenError> {
        let make = || BASE64URL_NOPAD.encode(&random_bytes::<32>()).into_bytes();
        let path = data_dir.join(FILE);
        let content = match load_or_create(&path, make) {
            Ok(content) => content,
            Err(error) if !path.exists() => {
                let error = &error as &dyn Error;
                tracing::warn!(
                    error,
                    "there is no administrator's token; the next start tries again"
                );
                return Ok(Self(None));
            }
            Err(error) => return Err(error.into()),
        };
        let token = content.trim_ascii();
        if token.len() < CHARS_MIN || !token.iter().all(u8::is_ascii_graphic) {
            return Err(AdminTokenError::Content);
        }
        Ok(Self(Some(sha_256(token))))
    }

    /// Whether this is the token. The time does not depend on how much of it is right.
    pub fn is(&self, token: &str) -> bool {
        let is_equal =
            |own: &[u8; 32]| verify_slices_are_equal(own, &sha_256(token.as_bytes())).is_ok();
        self.0.as_ref().is_some_and(is_equal)
    }
}

fn sha_256(text: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_stays_until_its_file_is_deleted_and_other_content_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let first = AdminToken::load_or_create(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}\n")).unwrap();
        let again = AdminToken::load_or_create(directory.path()).unwrap();
        assert!(first.is(&text) && again.is(&text));
        assert!(!first.is("") && !first.is(&text[1..]));
        std::fs::remove_file(&path).unwrap();
        assert!(!AdminToken::load_or_create(directory.path()).unwrap().is(&text));
        for bad in ["", "short", &"x y".repeat(20)] {
            std::fs::write(&path, bad).unwrap();
            let refused = AdminToken::load_or_create(directory.path());
            assert!(matches!(refused, Err(AdminTokenError::Content)), "{bad}");
        }
    }

    #[test]
    fn where_no_file_can_be_made_nobody_is_the_first_administrator() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let nobody = AdminToken::load_or_create(&file.path().join("data")).unwrap();
        assert!(!nobody.is("") && !nobody.is(&"x".repeat(43)));
    }
}
