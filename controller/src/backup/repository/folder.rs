//! The repository's files on the controller's disk, in restic's own order: restic reads the folder without us.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::rand::{GetRandomFlags, getrandom};
use sha2::{Digest, Sha256};

use super::route::{Kind, Name};

/// What is written goes there first; restic never looks into it.
const UNFINISHED: &str = "tmp";

/// What has lain there for so long is of a controller that died.
const ABANDONED: Duration = Duration::from_hours(24);

/// A repository's folder.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

/// Free room of a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Bytes that can still be written.
    pub free: u64,
    /// Bytes of the whole.
    pub total: u64,
    /// Files that can still be made, in percent; 100 where the file system has no limit.
    pub free_files_percent: u64,
}

impl Folder {
    /// The repository in this folder, whether it is there or not.
    pub fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// Where a file is, or would be.
    pub fn file(&self, kind: Kind, name: &Name) -> PathBuf {
        let folder = self.0.join(kind.folder());
        match kind {
            Kind::Data => folder.join(&name.as_str()[..2]).join(name.as_str()),
            _ => folder.join(name.as_str()),
        }
    }

    /// Where the configuration is, or would be.
    pub fn config(&self) -> PathBuf {
        self.0.join("config")
    }

    /// Makes the folders of a new repository; those that are there are left as they are.
    ///
    /// # Errors
    /// What the disk says.
    pub fn create(&self) -> io::Result<()> {
        for kind in Kind::ALL {
            make(&self.0.join(kind.folder()))?;
        }
        let data = self.0.join(Kind::Data.folder());
        for first in 0..=u8::MAX {
            make(&data.join(format!("{first:02x}")))?;
        }
        sync(&data)?;
        sync(&self.0)
    }

    /// The files of one kind with their sizes; none where there is no folder for them.
    ///
    /// # Errors
    /// What the disk says.
    pub fn list(&self, kind: Kind) -> io::Result<Vec<(Name, u64)>> {
        let folder = self.0.join(kind.folder());
        let mut found = Vec::new();
        if kind == Kind::Data {
            for below in entries(&folder)? {
                if below.file_type()?.is_dir() {
                    files(&below.path(), &mut found)?;
                }
            }
        } else {
            files(&folder, &mut found)?;
        }
        Ok(found)
    }

    /// A file that is written under a name of its own until [`Unfinished::finish`].
    ///
    /// # Errors
    /// What the disk says.
    pub fn begin(&self) -> io::Result<Unfinished> {
        let folder = self.0.join(UNFINISHED);
        make(&folder)?;
        let mut name = [0; 16];
        getrandom(&mut name, GetRandomFlags::empty())?;
        let path = folder.join(hex(&name));
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path)?;
        Ok(Unfinished {
            file,
            path,
            sha256: Sha256::new(),
        })
    }

    /// Removes what controllers that died left unfinished.
    ///
    /// # Errors
    /// What the disk says.
    pub fn tidy(&self) -> io::Result<()> {
        let now = SystemTime::now();
        for entry in entries(&self.0.join(UNFINISHED))? {
            // Another connection may just have finished it.
            let Ok(written) = entry.metadata().and_then(|metadata| metadata.modified()) else {
                continue;
            };
            if now.duration_since(written).is_ok_and(|age| age > ABANDONED) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// How much room the file system has that the folder is on, or will be on.
    ///
    /// # Errors
    /// What the disk says.
    pub fn room(&self) -> io::Result<Room> {
        let there = self.0.ancestors().find(|folder| folder.exists());
        let told = rustix::fs::statvfs(there.unwrap_or(Path::new("/")))?;
        Ok(Room {
            free: told.f_bavail.saturating_mul(told.f_frsize),
            total: told.f_blocks.saturating_mul(told.f_frsize),
            free_files_percent: told
                .f_favail
                .saturating_mul(100)
                .checked_div(told.f_files)
                .unwrap_or(100),
        })
    }
}

/// A file that is being written; removed when it is dropped before it is finished.
pub struct Unfinished {
    file: File,
    path: PathBuf,
    sha256: Sha256,
}

impl Unfinished {
    /// Adds a piece.
    ///
    /// # Errors
    /// What the disk says.
    pub fn write(&mut self, piece: &[u8]) -> io::Result<()> {
        self.sha256.update(piece);
        self.file.write_all(piece)
    }

    /// SHA-256 of what was written until now, lower-case hex.
    pub fn sha256(&self) -> String {
        hex(&self.sha256.clone().finalize())
    }

    /// Brings it to the disk and gives it its name. It is there for good when this returns.
    ///
    /// # Errors
    /// What the disk says.
    pub fn finish(self, to: &Path) -> io::Result<()> {
        self.file.sync_all()?;
        let folder = to.parent().unwrap_or(to);
        if !folder.exists() {
            make(folder)?;
            sync(folder.parent().unwrap_or(folder))?;
        }
        fs::rename(&self.path, to)?;
        sync(folder)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // Once it is finished there is nothing of that name.
        let _ = fs::remove_file(&self.path);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a folder for nobody but ourselves, unless it is there.
fn make(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn entries(folder: &Path) -> io::Result<Vec<fs::DirEntry>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Adds the folder's files that are named as a repository's files are.
fn files(folder: &Path, found: &mut Vec<(Name, u64)>) -> io::Result<()> {
    for entry in entries(folder)? {
        let Some(name) = entry.file_name().to_str().and_then(Name::read) else {
            continue;
        };
        match entry.metadata() {
            Ok(metadata) if metadata.is_file() => found.push((name, metadata.len())),
            Ok(_) => {}
            // A lock that was removed meanwhile.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
