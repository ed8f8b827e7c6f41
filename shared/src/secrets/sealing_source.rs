//! Where the sealing keys come from: a setting, or a file.

use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::key_file::{KeyFileError, load_or_create, read_secret_file};
use super::sealing::{NotAKey, SealingKeys};
use crate::config::SealingKeyConfig;

/// The keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SealingKeyError {
    /// The file cannot be used.
    #[error("cannot use the sealing key file")]
    File(#[from] KeyFileError),
    /// The setting contains something else.
    #[error("SEALING_KEY is not valid")]
    Setting(#[from] NotAKey),
    /// The file contains something else.
    #[error("the sealing key file {} is not valid", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is expected.
        source: NotAKey,
    },
}

impl SealingKeys {
    /// Reads the key file, or creates it with one key.
    ///
    /// # Errors
    /// The file cannot be used, or contains no valid key.
    pub fn load_or_create(path: &Path) -> Result<Self, SealingKeyError> {
        parse_file(path, &load_or_create(path, || Self::generate().into_bytes())?)
    }

    /// The keys in the settings: given directly, or in a file that is created if it does not exist.
    ///
    /// # Errors
    /// There is no key, or it is not valid.
    pub fn from_config(
        config: &SealingKeyConfig,
        data_dir: &Path,
    ) -> Result<Self, SealingKeyError> {
        match &config.sealing_key {
            Some(key) => Ok(Self::parse(key.expose_secret())?),
            None => Self::load_or_create(&file_of(config, data_dir)),
        }
    }

    /// Whether [`SealingKeys::from_config`] will find valid keys. A file that does not exist yet is
    /// one that will be made.
    ///
    /// # Errors
    /// It will not.
    pub fn check_config(config: &SealingKeyConfig, data_dir: &Path) -> Result<(), SealingKeyError> {
        if let Some(key) = &config.sealing_key {
            return Ok(Self::parse(key.expose_secret()).map(drop)?);
        }
        let path = file_of(config, data_dir);
        match read_secret_file(&path) {
            Ok(content) => parse_file(&path, &content).map(drop),
            Err(error) if error.is_not_found() => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn file_of(config: &SealingKeyConfig, data_dir: &Path) -> PathBuf {
    config.sealing_key_file.clone().unwrap_or_else(|| data_dir.join("sealing.key"))
}

fn parse_file(path: &Path, content: &[u8]) -> Result<SealingKeys, SealingKeyError> {
    let text = String::from_utf8_lossy(content);
    let invalid = |source| SealingKeyError::Content { path: path.to_owned(), source };
    SealingKeys::parse(&text).map_err(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::ErrorChain;

    #[test]
    fn what_is_no_key_is_told_with_its_place_and_without_its_text() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("sealing.key");
        let key = SealingKeys::generate();
        let unset = SealingKeyConfig { sealing_key: None, sealing_key_file: None };
        assert!(SealingKeys::check_config(&unset, directory.path()).is_ok());
        assert!(!path.exists(), "nothing is made by looking");
        let cut = &key[..40];
        for bad in ["", &format!("\u{feff}{key}"), cut, &format!("{key}=")] {
            std::fs::write(&path, bad).unwrap();
            let error = SealingKeys::check_config(&unset, directory.path()).unwrap_err();
            let text = ErrorChain(&error).to_string();
            assert!(text.contains(path.to_str().unwrap()) && text.contains("base64url"), "{text}");
            assert!(!text.contains(cut), "{text}");
            let set = SealingKeyConfig { sealing_key: Some(bad.into()), sealing_key_file: None };
            let error = SealingKeys::check_config(&set, directory.path()).unwrap_err();
            let text = ErrorChain(&error).to_string();
            assert!(text.starts_with("SEALING_KEY is not valid: ") && !text.contains(cut));
        }
        std::fs::write(&path, &key).unwrap();
        assert!(SealingKeys::check_config(&unset, directory.path()).is_ok());
    }
}
