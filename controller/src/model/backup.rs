//! Backups: what one run for one service made, the snapshots that hold it, and the drills that prove it.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{JobId, Name, ServiceRef, Size};

/// The number of a backup, counted up from 1 over all services.
pub type BackupId = i64;

/// The number of a drill, counted up from 1.
pub type DrillId = i64;

/// What one run for one service made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Backup {
    /// Its number.
    pub id: BackupId,
    /// Whose it is.
    pub organisation: Name,
    /// The service, which may be gone by now.
    pub service: Name,
    /// The host on which it lived then.
    pub host: Name,
    /// The job that made it.
    pub job: Option<JobId>,
    /// What belongs to it.
    pub parts: Vec<Part>,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it; none before it has ended.
    pub outcome: Option<BackupOutcome>,
    /// Why it is not complete, one sentence each: a path that was missing, a dump that broke off.
    pub complaints: Vec<String>,
    /// What a drill compares with, as the agent wrote it down.
    pub proof: Option<serde_json::Value>,
    /// How many files there were.
    pub files: u64,
    /// How large all of it was.
    pub bytes: Size,
    /// How much of it was new to the repository, compressed.
    pub added_bytes: Size,
}

/// What came of a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BackupOutcome {
    /// Everything is in it.
    Complete,
    /// Something is in it; the complaints say what is not.
    Incomplete,
    /// Nothing is in it.
    Failed,
}

/// A part of a backup, each in a snapshot of its own.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Part {
    /// The files.
    Files,
    /// The dump with this id.
    Dump(String),
}

/// A part of a backup in a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// The backup that it belongs to.
    pub backup: BackupId,
    /// The repository that it is in.
    pub repository: String,
    /// Which part.
    pub part: Part,
    /// restic's name for it: 64 hexadecimal digits.
    pub id: String,
    /// Since when it is forgotten.
    pub removed_at: Option<Timestamp>,
}

/// A restore that was made only to prove that it works.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// Its number.
    pub id: DrillId,
    /// What was restored.
    pub backup: BackupId,
    /// From where.
    pub repository: String,
    /// The host on which that was tried.
    pub host: Name,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// What came of it.
    pub outcome: DrillOutcome,
    /// What was compared, and how it came out.
    pub evidence: serde_json::Value,
    /// How long the restore itself took, in seconds.
    pub seconds: f64,
}

/// What came of a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillOutcome {
    /// All was there again.
    Passed,
    /// Something was not.
    Failed,
    /// It could not be tried, which says nothing about the backup.
    Refused,
}

impl Backup {
    /// The service: `kita-sonne/cloud`.
    pub fn service(&self) -> ServiceRef {
        ServiceRef {
            organisation: Some(self.organisation.clone()),
            service: self.service.clone(),
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.split_once(':') {
            None if text == "files" => Ok(Self::Files),
            Some(("dump", id)) if !id.is_empty() => Ok(Self::Dump(id.to_owned())),
            _ => Err(format!(
                "{text:?} is no part of a backup: it is files, or dump:ID"
            )),
        }
    }
}

impl TryFrom<String> for Part {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Part> for String {
    fn from(part: Part) -> Self {
        part.to_string()
    }
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Files => f.pad("files"),
            Self::Dump(id) => f.pad(&format!("dump:{id}")),
        }
    }
}

impl fmt::Display for BackupOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Complete => "complete",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        })
    }
}

impl fmt::Display for DrillOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Refused => "refused",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_the_files_or_a_dump() {
        for (text, part) in [("files", Part::Files), ("dump:db", Part::Dump("db".to_owned()))] {
            assert_eq!(text.parse(), Ok(part.clone()));
            assert_eq!(part.to_string(), text);
        }
        for bad in ["", "dump", "dump:", "file", "files:x"] {
            assert!(bad.parse::<Part>().is_err(), "{bad:?}");
        }
    }
}
