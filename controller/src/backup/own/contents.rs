//! What belongs into a copy beside the database: the key to the secrets, the settings, and what these name.

use std::fs;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::OwnBackupError;
use crate::settings::{self, Settings};
use crate::vault::{KEY_FILE, Vault, VaultError};

/// A file of the data directory.
pub struct OwnFile {
    /// Its path there.
    pub path: PathBuf,
    /// What is in it.
    pub content: Zeroizing<Vec<u8>>,
}

/// The files of a data directory that cannot be made again.
pub struct Contents {
    /// They themselves.
    pub files: Vec<OwnFile>,
    /// What the settings name, and what lies elsewhere.
    pub left_out: Vec<PathBuf>,
}

impl Contents {
    /// Reads them.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn of(data_dir: &Path, settings: &Settings) -> Result<Self, OwnBackupError> {
        let key = Vault::key_file(data_dir).map_err(|error| match error {
            VaultError::Store(error) => OwnBackupError::Store(error),
            error => OwnBackupError::File {
                what: "read",
                path: data_dir.join(KEY_FILE),
                source: std::io::Error::other(error),
            },
        })?;
        let mut contents = Self {
            files: vec![OwnFile {
                path: KEY_FILE.into(),
                content: Zeroizing::new(key.reveal().as_bytes().to_vec()),
            }],
            left_out: Vec::new(),
        };
        if data_dir.join(settings::FILE).exists() {
            contents.take(data_dir, &data_dir.join(settings::FILE))?;
        }
        for path in settings.files() {
            let path = data_dir.join(path);
            if path.starts_with(data_dir) && path.exists() {
                contents.take(data_dir, &path)?;
            } else {
                contents.left_out.push(path);
            }
        }
        Ok(contents)
    }

    /// Takes a file, or a folder with all that is in it.
    fn take(&mut self, data_dir: &Path, path: &Path) -> Result<(), OwnBackupError> {
        let unreadable = |source| OwnBackupError::File {
            what: "read",
            path: path.to_owned(),
            source,
        };
        if path.is_dir() {
            for entry in fs::read_dir(path).map_err(unreadable)? {
                self.take(data_dir, &entry.map_err(unreadable)?.path())?;
            }
            return Ok(());
        }
        let content = fs::read(path).map(Zeroizing::new).map_err(unreadable)?;
        if let Ok(inside) = path.strip_prefix(data_dir) {
            self.files.push(OwnFile {
                path: inside.to_owned(),
                content,
            });
        }
        Ok(())
    }
}
