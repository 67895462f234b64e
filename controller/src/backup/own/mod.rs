//! Copies of Allmende's own data, sealed with a passphrase, and the way back. `docs/controller-backup.md` documents the format.

mod contents;
mod folder;
mod reading;
#[cfg(test)]
mod tests;
mod writing;

use std::io;
use std::path::PathBuf;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::store::StoreError;
use crate::vault::SealedFileError;

pub use contents::{Contents, OwnFile};
pub use folder::OwnBackups;
pub use reading::{OwnCopy, read};
pub use writing::write;

/// The format that this program writes; it reads this and all before it.
const FORMAT: u32 = 1;

/// What the first entry is called.
const MANIFEST: &str = "manifest.json";

/// What a copy says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Counted up when an older program could not read it.
    pub format: u32,
    /// The version of Allmende that made it.
    pub allmende: String,
    /// The newest migration of the database.
    pub migration: i64,
    /// When.
    pub made_at: Timestamp,
    /// What the machine was called.
    pub machine: String,
    /// What the settings name and what is not in it, because it lies outside the data directory.
    pub left_out: Vec<PathBuf>,
}

/// Why a copy was not written or not read.
#[derive(Debug, thiserror::Error)]
pub enum OwnBackupError {
    /// The seal.
    #[error("cannot open the backup {path}: {problem}")]
    Closed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: SealedFileError,
    },
    /// It is from a newer program.
    #[error("{path} was made by a newer version of Allmende ({version}): restore it with that version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which.
        version: String,
    },
    /// What is sealed is no backup.
    #[error("{path} opens, but holds no data of Allmende: {problem}")]
    Nonsense {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that is there already.
    #[error("{0} is there already: name another file")]
    Exists(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {what} {path}: {source}")]
    File {
        /// `read`, `write`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
