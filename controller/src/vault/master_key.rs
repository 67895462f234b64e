//! The key to everything: a file with mode 0600 in the data directory, or a credential that systemd hands over.

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::cipher::KEY;
use super::{VaultError, key_file};
use crate::model::Secret;

/// The file's name in the data directory.
pub const FILE: &str = "vault.key";

/// The credential's name.
const CREDENTIAL: &str = "allmende-vault-key";

const COMMENT: &str =
    "The key to all secrets in allmende.db. Keep a copy of this file away from this machine.";

/// Where the key is.
#[derive(Debug)]
enum Place {
    /// A file that Allmende made; its mode is our business.
    File(PathBuf),
    /// systemd's, which guards it in its own way.
    Credential(PathBuf),
}

impl Place {
    fn find(data_dir: &Path, credentials: Option<&Path>) -> Self {
        match credentials.map(|directory| directory.join(CREDENTIAL)) {
            Some(path) if path.exists() => Self::Credential(path),
            _ => Self::File(data_dir.join(FILE)),
        }
    }

    fn of(data_dir: &Path) -> Self {
        let credentials = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        Self::find(data_dir, credentials.as_deref())
    }
}

/// Makes a key; one that is there stays.
pub fn create(data_dir: &Path) -> Result<(), VaultError> {
    match Place::of(data_dir) {
        Place::File(path) => key_file::create(&path, COMMENT),
        Place::Credential(_) => Ok(()),
    }
}

/// Reads the key.
pub fn load(data_dir: &Path) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    load_from(&Place::of(data_dir))
}

/// The key as the text of a file.
pub fn text(data_dir: &Path) -> Result<Secret, VaultError> {
    Ok(key_file::text(&*load(data_dir)?, COMMENT))
}

fn load_from(place: &Place) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    match place {
        Place::File(path) => key_file::load(path),
        Place::Credential(path) => key_file::read(path),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn systemds_credential_comes_first_and_keeps_its_own_mode() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let credentials = folder.path().join("credentials");
        std::fs::create_dir(&credentials).expect("made");
        let place = || Place::find(folder.path(), Some(&credentials));
        assert!(
            matches!(place(), Place::File(_)),
            "there is no such credential yet"
        );
        let path = credentials.join(CREDENTIAL);
        std::fs::write(&path, "0f".repeat(KEY)).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o440)).expect("changed");
        assert_eq!(*load_from(&place()).expect("read"), [0x0f; KEY]);
    }
}
