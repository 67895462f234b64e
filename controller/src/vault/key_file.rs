//! A key in a file of its own, for its owner alone.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::VaultError;
use super::cipher::{KEY, random_key};
use crate::model::Secret;

/// Makes a key below a comment that says what it is for; one that is there stays.
pub fn create(path: &Path, comment: &str) -> Result<(), VaultError> {
    if path.exists() {
        return Ok(());
    }
    let text = text(&*random_key()?, comment);
    write_new(path, text.reveal()).map_err(|source| VaultError::Unusable {
        path: path.to_owned(),
        source,
    })
}

/// A key below a comment.
pub fn text(key: &[u8; KEY], comment: &str) -> Secret {
    let mut text = String::with_capacity(comment.len() + KEY * 2 + 4);
    let _ = writeln!(text, "# {comment}");
    for byte in key {
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    Secret::new(text)
}

/// Writes the file whole or not at all: half a key in the place of the key would lock everybody out.
fn write_new(path: &Path, text: &str) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.new", std::process::id()));
    let temporary = PathBuf::from(temporary);
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
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

/// Reads a key that nobody else may read.
pub fn load(path: &Path) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let mode = match std::fs::metadata(path) {
        Ok(metadata) => metadata.permissions().mode() & 0o777,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(VaultError::NoKey {
                path: path.to_owned(),
            });
        }
        Err(source) => {
            return Err(VaultError::Unusable {
                path: path.to_owned(),
                source,
            });
        }
    };
    if mode & 0o077 != 0 {
        return Err(VaultError::Exposed {
            path: path.to_owned(),
            mode,
        });
    }
    read(path)
}

/// Reads a key that somebody else guards.
pub fn read(path: &Path) -> Result<Zeroizing<[u8; KEY]>, VaultError> {
    let path = path.to_owned();
    match std::fs::read_to_string(&path).map(Zeroizing::new) {
        Ok(text) => parse(&text).ok_or(VaultError::NotAKey { path }),
        Err(source) => Err(VaultError::Unusable { path, source }),
    }
}

/// The key in a file's text.
pub fn parse(text: &str) -> Option<Zeroizing<[u8; KEY]>> {
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
            format!("# a comment\n{key}\n"),
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
    fn a_key_is_made_whole_once_and_for_its_owner_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let path = folder.path().join("key");
        create(&path, "What for").expect("made");
        let mode = std::fs::metadata(&path).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).expect("read");
        create(&path, "What for").expect("left alone");
        assert_eq!(std::fs::read_to_string(&path).expect("read"), text);
        let left = std::fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 1, "nothing is left lying about");
    }
}
