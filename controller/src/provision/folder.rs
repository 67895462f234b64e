//! A folder on the controller as an archive: the same files give the same archive, byte for byte.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha2::{Digest, Sha256};
use tar::{Builder, EntryType, Header};

/// A hidden name that belongs to a site nevertheless.
const WELL_KNOWN: &str = ".well-known";

/// What could not be packed.
#[derive(Debug)]
pub struct Unpackable {
    /// The file or folder.
    pub path: PathBuf,
    /// What the system said.
    pub source: io::Error,
}

/// Packs a folder as a tar archive and gives its SHA-256, as raw bytes.
///
/// Hidden files are left out, except for `.well-known`. Owners do not matter, times and links are kept; files are readable
/// for everybody.
///
/// # Errors
/// The first entry that cannot be read, or that is neither file, folder nor link.
pub fn pack(folder: &Path, into: impl Write) -> Result<Vec<u8>, Unpackable> {
    let hashed = Hashed {
        into,
        hasher: Sha256::new(),
    };
    let mut builder = Builder::new(hashed);
    add_entries(&mut builder, folder, Path::new(""))?;
    let mut hashed = builder.into_inner().map_err(about(folder))?;
    hashed.flush().map_err(about(folder))?;
    Ok(hashed.hasher.finalize().to_vec())
}

fn add_entries(builder: &mut Builder<impl Write>, folder: &Path, inside: &Path) -> Result<(), Unpackable> {
    let mut names = fs::read_dir(folder)
        .map_err(about(folder))?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(about(folder))?;
    names.retain(|name| name == WELL_KNOWN || !name.as_encoded_bytes().starts_with(b"."));
    names.sort();
    for name in names {
        let path = folder.join(&name);
        let failed = about(&path);
        let found = fs::symlink_metadata(&path).map_err(&failed)?;
        let inside = inside.join(&name);
        if found.is_dir() {
            let mut header = header(EntryType::Directory, 0o755);
            builder
                .append_data(&mut header, &inside, io::empty())
                .map_err(&failed)?;
            add_entries(builder, &path, &inside)?;
        } else if found.is_symlink() {
            let target = fs::read_link(&path).map_err(&failed)?;
            let mut header = header(EntryType::Symlink, 0o777);
            builder
                .append_link(&mut header, &inside, target)
                .map_err(&failed)?;
        } else if found.is_file() {
            add_file(builder, &path, &found, &inside).map_err(&failed)?;
        } else {
            return Err(failed(io::Error::other(
                "it is neither a file, a folder nor a link",
            )));
        }
    }
    Ok(())
}

fn add_file(
    builder: &mut Builder<impl Write>,
    path: &Path,
    found: &Metadata,
    inside: &Path,
) -> io::Result<()> {
    let executable = found.permissions().mode() & 0o111 != 0;
    let mut header = header(EntryType::Regular, if executable { 0o755 } else { 0o644 });
    header.set_size(found.len());
    // Web servers tell by a file's time whether it changed.
    let modified = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    header.set_mtime(modified.as_secs());
    let mut content = File::open(path)?.take(found.len());
    builder.append_data(&mut header, inside, &mut content)?;
    if content.limit() > 0 {
        return Err(io::Error::other("it became shorter while it was read"));
    }
    Ok(())
}

fn header(kind: EntryType, mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(0);
    header
}

fn about(path: &Path) -> impl Fn(io::Error) -> Unpackable {
    let path = path.to_owned();
    move |source| Unpackable {
        path: path.clone(),
        source,
    }
}

/// Hashes what it writes.
struct Hashed<W> {
    into: W,
    hasher: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.into.write(bytes)?;
        self.hasher.update(bytes.get(..count).unwrap_or_default());
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.into.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn packed(folder: &Path) -> (Vec<u8>, Vec<String>) {
        let mut bytes = Vec::new();
        let hash = pack(folder, &mut bytes).expect("packed");
        assert_eq!(hash, Sha256::digest(&bytes).to_vec());
        let names = tar::Archive::new(bytes.as_slice())
            .entries()
            .expect("an archive")
            .map(|entry| {
                let entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                format!("{path} {:o}", entry.header().mode().expect("a mode"))
            })
            .collect();
        (hash, names)
    }

    fn site() -> TempDir {
        let folder = TempDir::new().expect("a folder");
        let long = format!("{}/{}", "a".repeat(90), "b".repeat(90));
        for (path, text) in [
            ("index.html", "<h1>Hallo</h1>"),
            (".env", "SECRET=1"),
            (".git/config", "x"),
            (".well-known/security.txt", "Contact: x"),
            ("bilder/.DS_Store", "x"),
            ("bilder/a.svg", "<svg/>"),
            (long.as_str(), "deep"),
        ] {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().expect("a parent")).expect("made");
            fs::write(path, text).expect("written");
        }
        std::os::unix::fs::symlink("index.html", folder.path().join("start.html")).expect("linked");
        fs::set_permissions(
            folder.path().join("index.html"),
            fs::Permissions::from_mode(0o600),
        )
        .expect("set");
        folder
    }

    #[test]
    fn hidden_files_stay_at_home_and_all_others_can_be_read() {
        let (a, b) = ("a".repeat(90), "b".repeat(90));
        assert_eq!(
            packed(site().path()).1,
            [
                ".well-known 755".to_owned(),
                ".well-known/security.txt 644".to_owned(),
                format!("{a} 755"),
                format!("{a}/{b} 644"),
                "bilder 755".to_owned(),
                "bilder/a.svg 644".to_owned(),
                "index.html 644".to_owned(),
                "start.html 777".to_owned(),
            ]
        );
    }

    #[test]
    fn only_another_content_gives_another_archive() {
        let folder = site();
        let first = packed(folder.path()).0;
        fs::write(folder.path().join(".env"), "SECRET=2").expect("written");
        assert_eq!(packed(folder.path()).0, first);
        fs::write(folder.path().join("bilder/a.svg"), "<svg></svg>").expect("written");
        assert_ne!(packed(folder.path()).0, first);
    }

    #[test]
    fn what_is_no_file_is_named() {
        let folder = site();
        let socket = folder.path().join("socket");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).expect("bound");
        let refused = pack(folder.path(), io::sink()).expect_err("refused");
        assert_eq!(refused.path, socket);
    }
}
