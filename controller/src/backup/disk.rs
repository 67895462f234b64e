//! Targets on a disk of the controller's: a folder that holds repositories and nothing else.
//!
//! A file in it says whose it is. Where that file is missing, the disk is not there, or it is another one: nothing is written
//! into the empty folder that a disk leaves behind when it is taken out.

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use crate::model::{Location, Name, Size, Target};

/// The file that says whose folder it is.
const MARK: &str = "allmende-target";

/// Why a folder cannot be used as a target.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It is not a whole path.
    #[error("{0} is no absolute path: write it from / on, without ..")]
    NotAbsolute(PathBuf),
    /// Something else needs the folder for itself.
    #[error(
        "{folder} cannot hold backups: it overlaps with {other}. Give a folder of its own, best on another disk"
    )]
    Overlaps {
        /// The folder.
        folder: PathBuf,
        /// What is there.
        other: String,
    },
    /// It holds other things.
    #[error("{0} is not empty: backups need a folder of their own, for example {0}/allmende")]
    NotEmpty(PathBuf),
    /// Nothing is mounted there.
    #[error(
        "no disk is mounted at {0} or above it: it is part of the system's own disk. Mount it, then try again"
    )]
    NotMounted(PathBuf),
    /// The folder is there, its mark is not.
    #[error(
        "{folder} does not say that it belongs to target {target}: its disk is not mounted, or it is another one. Mount it, then try again; if it is a new disk: allmende target edit {target} --disk {folder}"
    )]
    NotMarked {
        /// The folder.
        folder: PathBuf,
        /// The target.
        target: Name,
    },
    /// The system said no.
    #[error("cannot {attempt} {path}: {source}")]
    System {
        /// What was tried: "write to".
        attempt: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What came back.
        source: std::io::Error,
    },
}

/// A folder of the controller's that is, or is to become, a target.
#[derive(Debug, Clone, Copy)]
pub struct Disk<'a> {
    /// The target.
    pub target: &'a Name,
    /// The folder.
    pub folder: &'a Path,
    /// Whether it must be on a disk of its own.
    pub mounted: bool,
}

impl<'a> Disk<'a> {
    /// The folder of a target, if it is on a disk of the controller's.
    pub fn of(target: &'a Target) -> Option<Self> {
        match &target.location {
            Location::Disk { folder, mounted } => Some(Self {
                target: &target.name,
                folder,
                mounted: *mounted,
            }),
            _ => None,
        }
    }

    /// Looks whether the folder may become a target; changes nothing. `taken` are folders that others need for themselves, with
    /// what they are for people.
    ///
    /// # Errors
    /// Why it may not.
    pub fn check(&self, taken: &[(PathBuf, String)]) -> Result<(), DiskError> {
        let folder = self.folder;
        let plain = folder.is_absolute() && !folder.components().any(|part| part.as_os_str() == "..");
        if !plain {
            return Err(DiskError::NotAbsolute(folder.to_owned()));
        }
        let own = resolved(folder);
        for (other, name) in taken {
            let other = resolved(other);
            if own.starts_with(&other) || other.starts_with(&own) {
                return Err(DiskError::Overlaps {
                    folder: folder.to_owned(),
                    other: name.clone(),
                });
            }
        }
        if self.mounted && !is_mounted(&own)? {
            return Err(DiskError::NotMounted(folder.to_owned()));
        }
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(failed("look into", folder, source)),
        };
        let names: Vec<_> = entries.flatten().map(|entry| entry.file_name()).collect();
        let ours = names.iter().any(|name| name == MARK);
        if !ours && names.iter().any(|name| name != "lost+found") {
            return Err(DiskError::NotEmpty(folder.to_owned()));
        }
        Ok(())
    }

    /// Makes the folder a target's: with its mark, for the owner of the data directory alone.
    ///
    /// # Errors
    /// What the system says.
    pub fn prepare(&self, data_dir: &Path) -> Result<(), DiskError> {
        let folder = self.folder;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(|source| failed("make", folder, source))?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))
            .map_err(|source| failed("keep others out of", folder, source))?;
        let mark = folder.join(MARK);
        let text = format!(
            "# This folder holds the backups of an Allmende; nothing in it is to be changed by hand.\ntarget = \"{}\"\n",
            self.target
        );
        fs::write(&mark, text).map_err(|source| failed("write", &mark, source))?;
        let owner = fs::metadata(data_dir).map_err(|source| failed("look at", data_dir, source))?;
        for path in [folder, &mark] {
            chown(path, Some(owner.uid()), Some(owner.gid()))
                .map_err(|source| failed("give the data directory's owner", path, source))?;
        }
        Ok(())
    }

    /// Makes sure that the folder is the target's, before anything is read or written.
    ///
    /// # Errors
    /// Its disk is not mounted, or another one is.
    pub fn ready(&self) -> Result<(), DiskError> {
        let text = fs::read_to_string(self.folder.join(MARK)).unwrap_or_default();
        if !text
            .lines()
            .any(|line| line == format!("target = \"{}\"", self.target))
        {
            return Err(DiskError::NotMarked {
                folder: self.folder.to_owned(),
                target: self.target.clone(),
            });
        }
        if self.mounted && !is_mounted(&resolved(self.folder))? {
            return Err(DiskError::NotMounted(self.folder.to_owned()));
        }
        Ok(())
    }

    /// What is free on the disk, for whoever is not root.
    ///
    /// # Errors
    /// What the system says.
    pub fn free(&self) -> Result<Size, DiskError> {
        Ok(self.room()?.0)
    }

    /// What is free on the disk, for whoever is not root, and how large the disk is.
    ///
    /// # Errors
    /// What the system says.
    pub fn room(&self) -> Result<(Size, Size), DiskError> {
        let room = rustix::fs::statvfs(self.folder)
            .map_err(|error| failed("look at the free room of", self.folder, error.into()))?;
        let bytes = |blocks: u64| Size(blocks.saturating_mul(room.f_frsize));
        Ok((bytes(room.f_bavail), bytes(room.f_blocks)))
    }

    /// Takes the mark off a folder that holds nothing any more.
    ///
    /// # Errors
    /// What the system says.
    pub fn release(&self) -> Result<(), DiskError> {
        let mark = self.folder.join(MARK);
        match fs::remove_file(&mark) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(failed("remove", &mark, source)),
            _ => Ok(()),
        }
    }
}

fn failed(attempt: &'static str, path: &Path, source: std::io::Error) -> DiskError {
    DiskError::System {
        attempt,
        path: path.to_owned(),
        source,
    }
}

/// The path without links, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let mut rest = Vec::new();
    for there in path.ancestors() {
        if let Ok(whole) = there.canonicalize() {
            return rest.iter().rev().fold(whole, |whole, part| whole.join(part));
        }
        rest.extend(there.file_name());
    }
    path.to_owned()
}

/// Whether a folder, or the nearest one above it that is there, is on another file system than the root.
fn is_mounted(folder: &Path) -> Result<bool, DiskError> {
    let device = |path: &Path| fs::metadata(path).map(|found| found.dev());
    let own = folder.ancestors().find_map(|path| device(path).ok());
    let root = device(Path::new("/")).map_err(|source| failed("look at", Path::new("/"), source))?;
    Ok(own.is_some_and(|own| own != root))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    fn name() -> Name {
        "usb".parse().expect("a name")
    }

    fn disk<'a>(target: &'a Name, folder: &'a Path) -> Disk<'a> {
        Disk {
            target,
            folder,
            mounted: false,
        }
    }

    #[test]
    fn a_folder_becomes_a_target_and_is_recognised() {
        let (base, name) = (TempDir::new().expect("a folder"), name());
        let folder = base.path().join("a/b");
        let disk = disk(&name, &folder);
        disk.check(&[]).expect("may be");
        assert!(!folder.exists(), "looking changes nothing");
        disk.prepare(base.path()).expect("prepared");
        let mode = fs::metadata(&folder).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        disk.ready().expect("ready");
        disk.check(&[]).expect("it may become one again");
        assert!(disk.free().expect("known") > Size(0));
        disk.release().expect("released");
        assert_eq!(fs::read_dir(&folder).expect("there").count(), 0);
    }

    #[test]
    fn the_bare_folder_of_a_disk_that_was_taken_out_is_not_written_to() {
        let (base, name) = (TempDir::new().expect("a folder"), name());
        let folder = base.path().join("usb");
        let disk = disk(&name, &folder);
        disk.prepare(base.path()).expect("prepared");
        fs::remove_dir_all(&folder).expect("taken out");
        fs::create_dir(&folder).expect("the bare folder");
        let error = disk.ready().expect_err("refused").to_string();
        assert!(error.contains("not mounted"), "{error}");
        let other: Name = "other".parse().expect("a name");
        Disk {
            target: &other,
            ..disk
        }
        .prepare(base.path())
        .expect("prepared");
        assert!(
            matches!(disk.ready(), Err(DiskError::NotMarked { .. })),
            "another disk"
        );
    }

    #[test]
    fn a_folder_of_others_is_refused() {
        let (base, name) = (TempDir::new().expect("a folder"), name());
        let data = base.path().join("data");
        fs::create_dir_all(data.join("lab")).expect("made");
        let taken = [
            (data.join("allmende.db"), "the database".to_owned()),
            (data.join("lab"), "the practice hosts".to_owned()),
        ];
        let link = base.path().join("link");
        std::os::unix::fs::symlink(data.join("lab"), &link).expect("linked");
        for folder in [
            data.clone(),
            data.join("lab/x"),
            link.join("y"),
            base.path().to_owned(),
        ] {
            let error = disk(&name, &folder).check(&taken).expect_err("refused");
            assert!(matches!(error, DiskError::Overlaps { .. }), "{error}");
        }
        disk(&name, &data.join("backups"))
            .check(&taken)
            .expect("beside them");
        fs::write(base.path().join("something"), "").expect("written");
        let error = disk(&name, base.path()).check(&[]).expect_err("refused");
        assert!(matches!(error, DiskError::NotEmpty(_)), "{error}");
        for bad in ["relative", "/srv/../etc"] {
            let error = disk(&name, Path::new(bad)).check(&[]).expect_err("refused");
            assert!(matches!(error, DiskError::NotAbsolute(_)), "{error}");
        }
    }

    #[test]
    fn the_systems_own_disk_is_no_mounted_one() {
        assert!(!is_mounted(Path::new("/etc/is/not/there")).expect("known"));
        assert!(is_mounted(Path::new("/proc")).expect("known"));
    }
}
