//! The key to everything: a file with mode 0600 in the data directory, or a credential that systemd hands over.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::VaultError;
use super::cipher::{KEY, random_key};

/// The file's name in the data directory.
pub const FILE: &str = "vault.key";

/// The credential's name.
const CREDENTIAL: &str = "allmende-vault-key";

/// Makes a key; one that is there stays.
pub fn create(data_dir: &Path) -> Result<(), VaultError> {
    let path = place(data_dir);
    let unusable = |source| VaultError::Unusable {
        path: path.clone(),
        source,
    };
    let mut file = match OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
    {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        Err(source) => return Err(unusable(source)),
    };
    let key = random_key()?;
    let hex: Zeroizing<String> = Zeroizing::new(key.iter().map(|byte| format!("{byte:02x}")).collect());
    let text = Zeroizing::new(format!(
        "# The key to all secrets in allmende.db. Keep a copy of this file away from this machine.\n{}\n",
        hex.as_str()
    ));
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .map_err(unusable)
}

/// Reads the key.
pub fn load(data_dir: &Path) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let path = place(data_dir);
    let metadata = match std::fs::metadata(&path) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(VaultError::NoKey { path }),
        Err(source) => return Err(VaultError::Unusable { path, source }),
    };
    let mode = metadata.permissions().mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(VaultError::Exposed { path, mode });
    }
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => parse(&text).ok_or(VaultError::NotAKey { path }),
        Err(source) => Err(VaultError::Unusable { path, source }),
    }
}

fn place(data_dir: &Path) -> PathBuf {
    std::env::var_os("CREDENTIALS_DIRECTORY")
        .map(|directory| PathBuf::from(directory).join(CREDENTIAL))
        .filter(|path| path.exists())
        .unwrap_or_else(|| data_dir.join(FILE))
}

fn parse(text: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let line = text.lines().find(|line| !line.starts_with('#'))?.trim();
    if line.len() != KEY * 2 || !line.is_ascii() {
        return None;
    }
    let mut key = Zeroizing::new([0; KEY]);
    for (place, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&line[place * 2..place * 2 + 2], 16).ok()?;
    }
    Some(key)
}
