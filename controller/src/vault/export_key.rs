//! The key to the secrets of an exported inventory: a file of its own, which travels another way than the export.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::cipher::Cipher;
use super::{VaultError, key_file};
use crate::model::Secret;

const COMMENT: &str =
    "The key to the secrets of exports by Allmende. Whoever has it and an export has the secrets.";

/// Seals and opens the secrets of exports.
pub struct ExportKey(Cipher);

impl ExportKey {
    /// The key in this file; made if there is none.
    ///
    /// # Errors
    /// A file that cannot be written, that others may read, or that holds no key.
    pub fn create_or_load(path: &Path) -> Result<Self, VaultError> {
        key_file::create(path, COMMENT)?;
        Self::load(path)
    }

    /// The key in this file.
    ///
    /// # Errors
    /// A file that is not there, that others may read, or that holds no key.
    pub fn load(path: &Path) -> Result<Self, VaultError> {
        Ok(Self(Cipher::new(&*key_file::load(path)?)))
    }

    /// A secret as text that only this key opens, and only as the secret of this name.
    ///
    /// # Errors
    /// No randomness.
    pub fn seal(&self, name: &str, secret: &Secret) -> Result<String, VaultError> {
        let sealed = self.0.encrypt(&purpose(name), secret.reveal().as_bytes())?;
        Ok(STANDARD.encode(sealed))
    }

    /// The secret in a text of [`ExportKey::seal`].
    ///
    /// # Errors
    /// [`VaultError::Sealed`] when it was sealed with another key or under another name, or was changed.
    pub fn open(&self, name: &str, sealed: &str) -> Result<Secret, VaultError> {
        let closed = || VaultError::Sealed {
            name: name.to_owned(),
        };
        let sealed = STANDARD.decode(sealed).map_err(|_| closed())?;
        let bytes = self.0.decrypt(&purpose(name), &sealed).map_err(|_| closed())?;
        let text = std::str::from_utf8(&bytes).map_err(|_| closed())?;
        Ok(Secret::new(text.to_owned()))
    }
}

fn purpose(name: &str) -> String {
    format!("export\n{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_opens_only_with_its_key_and_under_its_name() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let key = ExportKey::create_or_load(&folder.path().join("one")).expect("a key");
        let other = ExportKey::create_or_load(&folder.path().join("other")).expect("another key");
        let sealed = key
            .seal("kita/cloud/word", &Secret::new("Sonnenblume".to_owned()))
            .expect("sealed");
        assert!(!sealed.contains("Sonnenblume"));
        let again = ExportKey::load(&folder.path().join("one")).expect("the same key");
        assert_eq!(
            again.open("kita/cloud/word", &sealed).expect("opened").reveal(),
            "Sonnenblume"
        );
        assert!(key.open("kita/wiki/word", &sealed).is_err());
        assert!(other.open("kita/cloud/word", &sealed).is_err());
        assert!(key.open("kita/cloud/word", &sealed[4..]).is_err());
        assert!(ExportKey::load(&folder.path().join("none")).is_err());
    }
}
