//! The folder in which copies are kept, the newest of them.

use std::path::{Path, PathBuf};
use std::{fs, io};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::OwnBackupError;

/// What stands before and behind the time in their names.
const BEFORE: &str = "allmende-";
const BEHIND: &str = ".tar.gz.age";

/// The copies in a folder.
pub struct OwnBackups<'a>(pub &'a Path);

impl OwnBackups<'_> {
    /// Where a copy made at this time goes.
    pub fn at(&self, at: Timestamp) -> PathBuf {
        let at = at.strftime("%Y-%m-%dT%H%M%SZ");
        self.0.join(format!("{BEFORE}{at}{BEHIND}"))
    }

    /// All that are there with the time at which they were made, the oldest first.
    ///
    /// # Errors
    /// When the folder cannot be read. One that is not there holds none.
    pub fn list(&self) -> Result<Vec<(Timestamp, PathBuf)>, OwnBackupError> {
        let unreadable = |source| OwnBackupError::File {
            what: "read",
            path: self.0.to_owned(),
            source,
        };
        let entries = match fs::read_dir(self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let path = entry.map_err(unreadable)?.path();
            found.extend(made_at(&path).map(|at| (at, path)));
        }
        found.sort();
        Ok(found)
    }

    /// Removes all but the newest ones; how many.
    ///
    /// # Errors
    /// What cannot be removed.
    pub fn keep(&self, newest: usize) -> Result<usize, OwnBackupError> {
        let all = self.list()?;
        let old = &all[..all.len().saturating_sub(newest)];
        for (_, path) in old {
            fs::remove_file(path).map_err(|source| OwnBackupError::File {
                what: "remove",
                path: path.clone(),
                source,
            })?;
        }
        Ok(old.len())
    }
}

/// When the copy of this name was made; none when it is no copy.
fn made_at(path: &Path) -> Option<Timestamp> {
    let name = path.file_name()?.to_str()?;
    let at = name.strip_prefix(BEFORE)?.strip_suffix(BEHIND)?;
    let at = jiff::civil::DateTime::strptime("%Y-%m-%dT%H%M%SZ", at).ok()?;
    Some(at.to_zoned(TimeZone::UTC).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_copies_stay_and_other_files_are_left_alone() {
        let folder = tempfile::TempDir::new().expect("a folder");
        let backups = OwnBackups(folder.path());
        for second in [30, 10, 20] {
            let at = Timestamp::from_second(second).expect("a time");
            fs::write(backups.at(at), "").expect("written");
        }
        for other in ["allmende-notes.txt", "allmende-.tar.gz.age", "inventory.toml"] {
            fs::write(folder.path().join(other), "").expect("written");
        }
        assert_eq!(backups.keep(2).expect("removed"), 1);
        let left = backups.list().expect("read");
        let left: Vec<i64> = left.iter().map(|(at, _)| at.as_second()).collect();
        assert_eq!(left, [20, 30]);
        assert_eq!(fs::read_dir(folder.path()).expect("read").count(), 5);
        let none = folder.path().join("none");
        assert!(OwnBackups(&none).list().expect("read").is_empty());
    }
}
