//! The orders for the way back, for undoing it and for a drill, and the reports of them.

use serde::{Deserialize, Serialize};

use super::backup::{DumpSource, EngineCall, Owners, Proof, Step};

/// What shall come back, and how: fetch all of it beside its place, bring the service to rest, exchange, wake the service.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreOrder {
    /// The service's name on the host. One restore of it can stand unfinished, and is found under this name.
    pub service: String,
    /// An absolute path of a folder that is not there yet or empty: everything goes there, and nothing else is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Brings the service to rest, in order, once everything is fetched; the first failure ends the restore.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Step>,
    /// Wakes the service, in order, when all is in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Step>,
    /// Files and folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathBack>,
    /// What was written out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<DumpBack>,
    /// What the files need, in bytes; 0 when nobody knows.
    #[serde(default)]
    pub bytes: u64,
    /// Who owned the files by name; empty to leave the numbers.
    #[serde(default)]
    pub owners: Owners,
    /// Values that the agent masks in everything it says; the engine's passwords are masked without being named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// A file or folder that comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PathBack {
    /// Absolute.
    pub path: String,
    /// Restores it; the agent adds the folder to restore to.
    pub engine: EngineCall,
}

/// A dump that comes back.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DumpBack {
    /// The dump's id in the template.
    pub id: String,
    /// Writes the dump to standard output.
    pub engine: EngineCall,
    /// Where it goes.
    pub to: DumpSource,
    /// Its size; 0 when nobody knows.
    #[serde(default)]
    pub bytes: u64,
}

/// What came of a restore, secrets masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RestoreReport {
    /// How it left the host.
    pub state: RestoreState,
    /// Paths that came back.
    pub paths: Vec<String>,
    /// Dumps that came back, by id.
    pub dumps: Vec<String>,
    /// Owners of files whom nobody has on this host: those files kept their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unknown_owners: Vec<String>,
    /// Milliseconds from the first step of `before` to the last of `after`: how long the service was away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub away_millis: Option<u64>,
    /// What failed, or that the agent was ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// How a restore left the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RestoreState {
    /// Nothing was changed, or all was put back.
    #[default]
    AsBefore,
    /// It stopped in the middle: what was there before is kept aside, until [`super::Request::UndoRestore`].
    Standing,
    /// All is back.
    Restored,
}

/// A restore that stopped in the middle and waits for a decision.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StandingRestore {
    /// [`RestoreOrder::service`].
    pub service: String,
    /// Whose it is, since when, and how far it came, for people.
    pub told: String,
    /// Whether all is in its place, so that it can be kept instead of undone.
    #[serde(default)]
    pub can_be_kept: bool,
}

/// The end of an interrupted restore.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UndoOrder {
    /// [`RestoreOrder::service`].
    pub service: String,
    /// Keeps what was restored instead of undoing it; refused unless all is in its place.
    #[serde(default)]
    pub keep: bool,
    /// Brings the service to rest, in order, before anything is put back: a host that was switched on again may have started it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<Step>,
    /// Wakes the service, in order, at the end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<Step>,
    /// Values that the agent masks in everything it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// A restore only to prove that it works: into scratch places, compared, damaged, compared again, removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillOrder {
    /// Restores all files; the agent adds the folder to restore to. None when the backup has no files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<EngineCall>,
    /// What the files need, in bytes.
    #[serde(default)]
    pub bytes: u64,
    /// What was written out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<DumpBack>,
    /// What the backup wrote down.
    pub proof: Proof,
    /// Values that the agent masks in everything it says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// What a drill found, secrets masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillReport {
    /// What it says about the backup.
    pub verdict: DrillVerdict,
    /// The copy held against what the backup wrote down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<DrillFinding>,
    /// What was damaged in the copy on purpose.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub damaged: Vec<String>,
    /// The damaged copy held against the same.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings_when_damaged: Vec<DrillFinding>,
    /// Milliseconds that the files took.
    #[serde(default)]
    pub files_millis: u64,
    /// Milliseconds that the dumps took.
    #[serde(default)]
    pub dumps_millis: u64,
    /// Bytes of files that came back.
    #[serde(default)]
    pub bytes: u64,
    /// Why it says nothing, or what failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What could not be removed again; empty when the host is as it was.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_over: Vec<String>,
}

/// What a drill says about the backup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DrillVerdict {
    /// Nothing: there was no room for the copy, or the connection ended.
    #[default]
    NotMade,
    /// The copy is what was backed up, and a damaged one would have been noticed.
    Passed,
    /// It is not, or a damaged one was not noticed.
    Failed,
}

/// One thing held against what the backup wrote down.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DrillFinding {
    /// A query with its dump, or a path.
    pub what: String,
    /// What the backup wrote down.
    pub expected: String,
    /// What the copy has.
    pub found: String,
    /// Whether they fit.
    pub fits: bool,
}
