//! Jobs: runs of operations.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// The number of a job, counted up from 1.
pub type JobId = i64;

/// One run of an operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// The operation's name: `host.add`, `service.apply`.
    pub operation: String,
    /// The operation's parameters as JSON, without secrets.
    pub parameters: serde_json::Value,
    /// In a few words what it is about: "apply kita-sonne/cloud on web1".
    pub title: String,
    /// Who asked for it.
    pub actor: String,
    /// Where it stands.
    pub state: JobState,
    /// The process that works on it: "pid 4711 on buero-pc".
    pub holder: Option<String>,
    /// Until when the holder has promised to be alive.
    pub lease_until: Option<Timestamp>,
    /// How often it was started.
    pub attempts: i64,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// What came of it.
    pub outcome: Option<Outcome>,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Nobody works on it yet.
    Queued,
    /// Its holder works on it.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended with an error.
    Failed,
    /// A person ended it.
    Cancelled,
    /// Its holder died.
    Interrupted,
}

impl JobState {
    /// The word for it, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Interrupted => "interrupted",
        }
    }

    /// The state with this word.
    pub fn from_word(word: &str) -> Option<Self> {
        [
            JobState::Queued,
            JobState::Running,
            JobState::Succeeded,
            JobState::Failed,
            JobState::Cancelled,
            JobState::Interrupted,
        ]
        .into_iter()
        .find(|state| state.as_str() == word)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What came of an operation.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// One sentence for people.
    pub message: String,
    /// Whether anything was changed.
    pub changed: bool,
    /// More for programs; its shape depends on the operation. Never secrets.
    #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
    pub details: serde_json::Value,
    /// What was asked for, for whoever asked and nobody else: it is not written down, because it may tell about people, or be a
    /// new password.
    #[serde(skip)]
    pub answer: serde_json::Value,
}

/// Something that happened during a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JobEvent {
    /// Counted up from 1 within the job.
    pub sequence: i64,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub event: JobEventKind,
}

/// The kinds of job events.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum JobEventKind {
    /// A sentence about what is being done now.
    Step {
        /// For people.
        text: String,
    },
    /// How far a long step is.
    Progress {
        /// What it is about: "sending nextcloud-34.0.1.tar.gz".
        what: String,
        /// Done so far.
        done: u64,
        /// Of how many.
        total: u64,
    },
    /// The agent of a host reports.
    Agent {
        /// The host.
        host: String,
        /// What it says.
        event: allmende_agent::protocol::Event,
    },
    /// Something a person should know although it did not stop the job.
    Warning {
        /// For people.
        text: String,
    },
}
