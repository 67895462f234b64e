//! The key to everything: a file with mode 0600 in the data directory, or a credential that systemd hands over.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::VaultError;
use super::cipher::{KEY, random_key};

/// The file's name in the data directory.
pub const FILE: &str = "vault.key";

/// The credential's name.
const CREDENTIAL: &str = "allmende-vault-key";

const HEADER: &str =
    "# The key to all secrets in allmende.db. Keep a copy of this file away from this machine.\n";

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
    let Place::File(path) = Place::of(data_dir) else {
        return Ok(());
    };
    if path.exists() {
        return Ok(());
    }
    let key = random_key()?;
    let mut text = Zeroizing::new(String::with_capacity(HEADER.len() + KEY * 2 + 1));
    text.push_str(HEADER);
    for byte in key.iter() {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    write_new(data_dir, &path, &text).map_err(|source| VaultError::Unusable { path, source })
}

/// Writes the file whole or not at all: half a key in the place of the key would lock everybody out.
fn write_new(data_dir: &Path, path: &Path, text: &str) -> io::Result<()> {
    let temporary = data_dir.join(format!("{FILE}.{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        // Unlike renaming, linking never replaces a key that another process made meanwhile.
        .and_then(|()| std::fs::hard_link(&temporary, path));
    let _ = std::fs::remove_file(&temporary);
    match written {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        written => written?,
    }
    File::open(data_dir)?.sync_all()
}

/// Reads the key.
pub fn load(data_dir: &Path) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    load_from(Place::of(data_dir))
}

fn load_from(place: Place) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let path = match place {
        Place::Credential(path) => path,
        Place::File(path) => {
            let metadata = match std::fs::metadata(&path) {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Err(VaultError::NoKey { path });
                }
                Err(source) => return Err(VaultError::Unusable { path, source }),
            };
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 != 0 {
                return Err(VaultError::Exposed { path, mode });
            }
            path
        }
    };
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => parse(&text).ok_or(VaultError::NotAKey { path }),
        Err(source) => Err(VaultError::Unusable { path, source }),
    }
}

fn parse(text: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let line = text.lines().find(|line| !line.starts_with('#'))?.trim();
    if line.len() != KEY * 2 || !line.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY]);
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[place * 2..place * 2 + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_key_is_none() {
        let key = "0f".repeat(KEY);
        for text in [
            key.clone(),
            format!("{HEADER}{key}\n"),
            format!("# a\n# b\n  {key} \n"),
        ] {
            assert_eq!(parse(&text).as_deref(), Some(&[0x0f; KEY]), "{text:?}");
        }
        for text in [
            "",
            "# only a comment\n",
            &key[1..],
            &format!("{key}0"),
            &"zz".repeat(KEY),
            &"+f".repeat(KEY),
        ] {
            assert!(parse(text).is_none(), "{text:?}");
        }
    }

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
        assert_eq!(*load_from(place()).expect("read"), [0x0f; KEY]);
    }

    #[test]
    fn a_key_is_made_whole_once_and_for_its_owner_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        create(folder.path()).expect("made");
        let path = folder.path().join(FILE);
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("read");
        create(folder.path()).expect("left alone");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        let left = std::fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 1, "nothing is left lying about");
    }
}
