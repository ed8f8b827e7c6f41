//! The files of private keys: `signing-<kid>.key`, one for each key that may still sign.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::token_record::{KeyId, SigningAlgorithm};
use shared::secrets::load_or_create;
use shared::tokens::{SigningKey, SigningKeyError};

/// How the names of these files begin.
pub const PREFIX: &str = "signing-";
const SUFFIX: &str = ".key";

fn path_of(directory: &Path, kid: &KeyId) -> PathBuf {
    directory.join(format!("{PREFIX}{kid}{SUFFIX}"))
}

/// Makes a key and stores its private half.
pub(super) fn create(
    directory: &Path,
    algorithm: SigningAlgorithm,
) -> Result<Arc<SigningKey>, SigningKeyError> {
    let text = SigningKey::generate(algorithm);
    let key = SigningKey::parse(&text)?;
    load_or_create(&path_of(directory, &key.id()), || text.into_bytes())?;
    Ok(Arc::new(key))
}

/// Reads the private half of this key; `None` if it has no file.
pub(super) fn load(
    directory: &Path,
    kid: &KeyId,
) -> Result<Option<Arc<SigningKey>>, SigningKeyError> {
    let path = path_of(directory, kid);
    if !path.exists() {
        return Ok(None);
    }
    let key = SigningKey::load(&path)?;
    // Under another key's name it would sign tokens that nobody can verify.
    let is_right = key.id() == *kid;
    is_right.then(|| Some(Arc::new(key))).ok_or(SigningKeyError::FileContent { path })
}

/// Deletes the private half of this key, if it has a file.
pub(super) fn delete(directory: &Path, kid: &KeyId) -> io::Result<()> {
    delete_file(&path_of(directory, kid))?;
    // The name must be gone after a loss of power, too.
    File::open(directory)?.sync_all()
}

fn delete_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Deletes the private keys that are none of `named`: of another `tokens.db`, of an earlier version,
/// or of a moment before the key was stored.
pub(super) fn delete_others(directory: &Path, named: &[KeyId]) -> io::Result<()> {
    let named: Vec<PathBuf> = named.iter().map(|kid| path_of(directory, kid)).collect();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy()).unwrap_or_default();
        let is_private_key = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        if is_private_key && !named.contains(&path) {
            delete_file(&path)?;
            tracing::info!(path = %path.display(), "deleted a private key that signs nothing");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_private_key_is_private_and_found_by_its_name_until_it_is_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let [key, other] = [(); 2].map(|()| create(directory, SigningAlgorithm::EdDsa).unwrap());
        let path = path_of(directory, &key.id());
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(load(directory, &key.id()).unwrap().unwrap().jwk(), key.jwk());
        fs::write(directory.join("signing-0123456789abcdef.key"), "of an earlier version").unwrap();
        fs::write(directory.join("sealing.key"), "another kind of key").unwrap();
        delete_others(directory, &[key.id()]).unwrap();
        assert!(load(directory, &other.id()).unwrap().is_none());
        assert_eq!(fs::read_dir(directory).unwrap().count(), 2);
        for _ in 0..2 {
            delete(directory, &key.id()).unwrap();
            assert!(!path.exists());
        }
    }

    #[test]
    fn the_file_of_another_key_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let directory = directory.path();
        let [key, other] =
            [(); 2].map(|()| create(directory, SigningAlgorithm::EdDsa).unwrap().id());
        fs::rename(path_of(directory, &other), path_of(directory, &key)).unwrap();
        assert!(matches!(load(directory, &key), Err(SigningKeyError::FileContent { .. })));
    }
}
