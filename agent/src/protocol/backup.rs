//! The order for a backup, and the report of it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What shall be backed up, and how: bring the service to rest, read its parts one after another, wake it, prove.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupOrder {
    /// Brings the service to rest, in order; the first failure ends the backup.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quiesce: Vec<Step>,
    /// Wakes the service, in order; always run, each of them, also after a failure.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub resume: Vec<Step>,
    /// Seconds after which the host wakes the service by itself, whatever has become of agent and controller.
    pub resume_within: u64,
    /// Read in this order. One that fails does not keep the others from being tried.
    pub parts: Vec<Part>,
    /// What a restored copy will be measured by.
    #[serde(default)]
    pub proof: ProofOrder,
    /// Values that the agent masks in everything it says; the engine's passwords are masked without being named here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<String>,
}

/// One program to run on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    pub user: String,
    /// Seconds after which it is ended and counts as failed.
    pub timeout: u64,
    /// What it reads on standard input.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Environment beside PATH, HOME, USER, LANG.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

/// One call of the engine, restic. The controller builds it; the agent adds the password's pipe, the cache and a low priority.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineCall {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Environment beside the agent's own; never a secret.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The repository's password; it reaches the engine by an inherited pipe.
    pub password: String,
    /// The bridge that `argv` names: asked for by [`super::Event::Bridge`] just before the engine is started.
    pub bridge: String,
}

/// The password stays out of what is printed.
impl std::fmt::Debug for EngineCall {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("EngineCall")
            .field("argv", &self.argv)
            .field("env", &self.env)
            .field("bridge", &self.bridge)
            .finish_non_exhaustive()
    }
}

/// What becomes one snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// `files`, or `dump:` and the dump's id.
    pub id: String,
    /// How the engine is called; for a dump it reads standard input.
    pub engine: EngineCall,
    /// What it reads.
    pub source: Source,
}

/// What a part reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Source {
    /// Files and folders; those that are there are added to the engine's arguments, the others are complained about.
    Files {
        /// Absolute.
        paths: Vec<String>,
        /// Those that were file systems of their own at the last backup, and are missing something if they are none now.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        mount_points: Vec<String>,
    },
    /// What a program writes; the agent feeds the engine with it.
    Dump(Dump),
}

/// Something that is written out rather than copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dump {
    /// A smaller one is a failure.
    pub minimum_bytes: u64,
    /// Where it comes from.
    pub from: DumpSource,
}

/// The kinds of dumps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DumpSource {
    /// A database of the host's PostgreSQL.
    Postgres {
        /// Its name.
        database: String,
    },
    /// A database of the host's MariaDB.
    Mariadb {
        /// Its name.
        database: String,
    },
    /// What a program writes.
    Command {
        /// Writes the dump to standard output.
        argv: Vec<String>,
        /// Reads it from standard input.
        load: Vec<String>,
        /// The Unix user that runs both.
        user: String,
    },
}

/// What is measured beside the backup.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofOrder {
    /// Numbers that databases know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<CountOrder>,
    /// Files that there have to be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FilesOrder>,
    /// What is left out below them: absolute, `*` stands for any name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<String>,
    /// How many files are hashed, chosen at random among all of [`ProofOrder::files`].
    #[serde(default)]
    pub sample: u32,
}

/// A number that a database knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountOrder {
    /// The part whose database is asked, just before and just after it is dumped.
    pub part: String,
    /// A query that gives one number.
    pub query: String,
}

/// Files below one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesOrder {
    /// A file or folder, absolute.
    pub path: String,
    /// With fewer files the backup is incomplete.
    pub minimum: u64,
}

/// What came of a backup, secrets masked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BackupReport {
    /// One for each part that was tried, in order.
    pub parts: Vec<PartReport>,
    /// What is missing in it; a backup with complaints is incomplete.
    pub complaints: Vec<Complaint>,
    /// What a restored copy is measured by.
    pub proof: Proof,
    /// Seconds for which the service was at rest; none if it did not have to be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_rest_seconds: Option<u64>,
    /// Set when the backup stopped before its end: what failed, or that the connection ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// How the engine ended.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EngineEnd {
    /// Its exit code; none when a signal ended it, or it was never started.
    pub code: Option<i32>,
    /// The last JSON line on its standard output that is a summary, as it came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub summary: Option<String>,
    /// Lines that tell errors, as they came: the first ones, at most [`EngineEnd::LINES`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<String>,
    /// How many more there were.
    #[serde(default)]
    pub more_errors: u64,
    /// Milliseconds that it ran.
    #[serde(default)]
    pub millis: u64,
}

impl EngineEnd {
    /// How many error lines are handed back.
    pub const LINES: usize = 100;
}

/// What came of one part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PartReport {
    /// [`Part::id`].
    pub id: String,
    /// How the engine ended.
    pub engine: EngineEnd,
    /// Why there is no snapshot of it whatever the engine says: a dump that failed, was too small or had no end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<String>,
    /// Bytes that the agent fed to the engine; 0 for files, which it reads by itself.
    #[serde(default)]
    pub fed_bytes: u64,
}

/// Something that makes a backup incomplete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Complaint {
    /// A path of the order is not there.
    Missing {
        /// Which.
        path: String,
    },
    /// A path is a link: what it leads to is not in the backup.
    Link {
        /// Which.
        path: String,
    },
    /// A path was a file system of its own at the last backup, and is none now.
    NotMounted {
        /// Which.
        path: String,
    },
    /// Fewer files than there have to be.
    TooFew {
        /// Below which path.
        path: String,
        /// How many were found.
        found: u64,
        /// How many there have to be.
        minimum: u64,
    },
    /// A number could not be asked for.
    NoCount {
        /// The query.
        query: String,
        /// What came back.
        reason: String,
    },
    /// The backup took so long that the host woke the service meanwhile; what was read afterwards may not fit together.
    WokenEarly {
        /// After how many seconds.
        seconds: u64,
    },
    /// The service could not be woken; it may still be at rest.
    NotResumed {
        /// What came back.
        reason: String,
    },
}

/// What a restored copy is measured by.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// What databases said.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counts: Vec<Counted>,
    /// How many files there were.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<FilesFound>,
    /// Files that did not change while the backup ran.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sample: Vec<HashedFile>,
    /// Those of the backed up paths that are file systems of their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mount_points: Vec<String>,
    /// The host's users and groups, for another host, where they have other numbers.
    #[serde(default)]
    pub owners: Owners,
}

/// Users and groups by their numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Owners {
    /// Users.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<u32, String>,
    /// Groups.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub groups: BTreeMap<u32, String>,
}

/// A number, as a database knew it before and after its dump: what is in the dump lies between the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Counted {
    /// [`CountOrder::part`].
    pub part: String,
    /// [`CountOrder::query`].
    pub query: String,
    /// Before.
    pub before: i64,
    /// After.
    pub after: i64,
}

/// Files below one path.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilesFound {
    /// [`FilesOrder::path`].
    pub path: String,
    /// Regular files.
    pub files: u64,
    /// Their sizes.
    pub bytes: u64,
}

/// A file that did not change while the backup ran.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HashedFile {
    /// Absolute.
    pub path: String,
    /// Bytes.
    pub size: u64,
    /// Lower-case hex.
    pub sha256: String,
}
