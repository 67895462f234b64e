//! Targets: where repositories are.

use std::fmt;
use std::path::PathBuf;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{HostKey, JumpAddress, MonthlyCost, Name, Retention, Size};

/// A place for repositories. Its password or key is in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Short name, unique.
    pub name: Name,
    /// Where it is and how it is reached.
    #[serde(flatten)]
    pub location: Location,
    /// Where the disks stand, for people: "cellar of the parish hall".
    pub place: Option<String>,
    /// What is kept there of each service.
    pub retention: Retention,
    /// All repositories together may grow so large.
    pub quota_bytes: Option<Size>,
    /// What it costs.
    pub monthly_cost: Option<MonthlyCost>,
    /// Whose services it serves; empty for all.
    pub organisations: Vec<Name>,
    /// When it was added.
    pub created_at: Timestamp,
}

/// Where a target is and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Location {
    /// A folder of the controller's. Only such a target takes in what hosts write.
    Disk {
        /// The folder, absolute.
        folder: PathBuf,
        /// Whether it must be on a disk of its own, mounted at the folder or above it, before anything is written there.
        mounted: bool,
    },
    /// A folder on a server with SFTP.
    Sftp {
        /// The account, the server and its port.
        #[serde(flatten)]
        at: JumpAddress,
        /// The key that it must show.
        host_key: HostKey,
        /// The folder there, absolute.
        folder: String,
    },
    /// A bucket of a store that speaks S3.
    S3 {
        /// Server, bucket and, if wanted, a folder in it: `https://s3.example.org/bucket/folder`.
        url: String,
        /// The public half of the access key.
        access_key: String,
        /// The region, where the store asks for one.
        region: Option<String>,
    },
    /// A server of restic's own kind.
    Rest {
        /// `https://backup.example.org:8000/folder`.
        url: String,
        /// The account; none where it asks for no password.
        user: Option<String>,
    },
}

/// The kinds of targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A folder of the controller's.
    Disk,
    /// A server with SFTP.
    Sftp,
    /// A store that speaks S3.
    S3,
    /// A server of restic's own kind.
    Rest,
}

/// A service's repository in a target. Its password is in the vault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// 16 hexadecimal digits, by chance.
    pub id: String,
    /// Where it is.
    pub target: Name,
    /// Whose it is.
    pub organisation: Name,
    /// The service, which may be gone by now.
    pub service: Name,
    /// Its folder below the target's location: `kita-sonne/cloud-3f9a2c1b`.
    pub folder: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// How large it is, and when that was counted.
    pub size_bytes: Option<Size>,
    /// When it was measured.
    pub counted_at: Option<Timestamp>,
    /// The last look at whether it is whole.
    pub check: Option<IntegrityCheck>,
    /// What is wrong with it, since somebody or something found out.
    pub damaged: Option<String>,
    /// When data that nothing needs any more were last removed.
    pub pruned_at: Option<Timestamp>,
}

/// A look at whether a repository is whole: each reads one of several parts of the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IntegrityCheck {
    /// When it ended well.
    pub at: Timestamp,
    /// The part of the data that was read, from 1.
    pub part: u32,
    /// Into how many parts the data are divided.
    pub parts: u32,
}

/// How large a target was on a day.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSize {
    /// The day, UTC.
    pub day: Date,
    /// All repositories together.
    pub bytes: Size,
    /// What was free on its disk, where that is known.
    pub free_bytes: Option<Size>,
}

impl Location {
    /// Its kind.
    pub fn kind(&self) -> TargetKind {
        match self {
            Self::Disk { .. } => TargetKind::Disk,
            Self::Sftp { .. } => TargetKind::Sftp,
            Self::S3 { .. } => TargetKind::S3,
            Self::Rest { .. } => TargetKind::Rest,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disk { folder, .. } => f.pad(&folder.display().to_string()),
            Self::Sftp { at, folder, .. } => f.pad(&format!("{at}{folder}")),
            Self::S3 { url, .. } | Self::Rest { url, .. } => f.pad(url),
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disk => "disk",
            Self::Sftp => "sftp",
            Self::S3 => "s3",
            Self::Rest => "rest",
        })
    }
}
