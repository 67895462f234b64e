//! Incidents: runs of bad answers, from first to last; and how a check stands between its answers.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answer, CheckKey, Name, Status, Text};

/// How a check stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckState {
    /// How well it is, once that counted.
    pub status: Status,
    /// Since when it is so; none before the first answer.
    pub since: Option<Timestamp>,
    /// Bad answers in a row.
    pub bad: u32,
    /// Good answers in a row.
    pub good: u32,
    /// The first of the bad answers that have not been followed by a recovery.
    pub first_bad: Option<Timestamp>,
    /// The worst that its open incident has been; none while no incident is open.
    pub open: Option<Status>,
    /// Whether it comes and goes.
    pub flapping: bool,
    /// Whether the last answers were good, the newest last: for finding out whether it flaps.
    pub recent: VecDeque<bool>,
    /// When the last answer came.
    pub asked_at: Option<Timestamp>,
}

impl Default for CheckState {
    fn default() -> Self {
        Self {
            status: Status::Ok,
            since: None,
            bad: 0,
            good: 0,
            first_bad: None,
            open: None,
            flapping: false,
            recent: VecDeque::new(),
            asked_at: None,
        }
    }
}

/// How an answer changed what people should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IncidentChange {
    /// It is bad, and that counts.
    Opened(Status),
    /// It is worse than it ever was in this incident.
    Worsened(Status),
    /// It is less bad.
    Eased(Status),
    /// It comes and goes; until that ends it stays one incident.
    Flapping,
    /// It is over.
    Recovered,
}

/// What a judgement came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Judged {
    /// How the check stands now.
    pub state: CheckState,
    /// What people should know; at most one thing an answer.
    pub change: Option<IncidentChange>,
    /// Whether it should be asked again soon, because the answer does not count yet.
    pub again_soon: bool,
}

/// What keeps an incident from being opened. Nothing keeps one from being closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Surroundings {
    /// Whether a maintenance window is open.
    pub maintenance: bool,
    /// How well is what it depends on.
    pub ground: Ground,
}

/// How well everything is on which a check depends: that its host is reached, that the web server runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ground {
    /// It depends on nothing that is watched.
    None,
    /// The last answers were good ones; this is when the oldest of them was given.
    Good(Timestamp),
    /// A last answer was bad, the worst of them so bad: whatever depends on it and is no worse is explained by it.
    Bad(Status),
}

/// A check, how it stands, and its last answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckStanding {
    /// Its name.
    #[serde(serialize_with = "displayed")]
    pub key: CheckKey,
    /// What is asked.
    pub title: Text,
    /// Whose it is.
    pub organisation: Option<Name>,
    /// The host that it depends on.
    pub host: Option<Name>,
    /// The checks that it depends on, with all that those depend on.
    pub depends_on: Vec<CheckKey>,
    /// How it stands.
    pub state: CheckState,
    /// The last answer.
    pub answer: Answer,
    /// When that came.
    pub asked_at: Timestamp,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
}

/// An incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Incident {
    /// Its number.
    pub id: i64,
    /// The check.
    #[serde(serialize_with = "displayed")]
    pub key: CheckKey,
    /// What is asked.
    pub title: Text,
    /// Whose it is.
    pub organisation: Option<Name>,
    /// The host that it depends on.
    pub host: Option<Name>,
    /// How bad it is now, or was in the end.
    pub severity: Status,
    /// The first bad answer.
    pub first_bad_at: Timestamp,
    /// When it counted.
    pub opened_at: Timestamp,
    /// When it was over.
    pub recovered_at: Option<Timestamp>,
    /// Who takes care of it.
    pub acknowledged: Option<Acknowledgement>,
}

/// Somebody takes care of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acknowledgement {
    /// Who.
    pub by: String,
    /// What they say to it.
    pub note: String,
    /// Until when; none: until it is over.
    pub until: Option<Timestamp>,
}

/// Something that happened to an incident.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IncidentEvent {
    /// When.
    pub at: Timestamp,
    /// `first_bad`, `opened`, `worsened`, `eased`, `flapping`, `acknowledged`, `recovered`; `told` and `not_told` for messages to
    /// people; `job` for what ran on its host meanwhile.
    pub kind: String,
    /// How bad it was then.
    pub severity: Status,
    /// What was found, or said.
    pub sentence: Text,
}

/// How many answers are looked at to find out whether something flaps.
pub const RECENT_ANSWERS: usize = 21;

impl Incident {
    /// How long it lasted, or lasts by now.
    pub fn duration(&self, now: Timestamp) -> SignedDuration {
        self.recovered_at.unwrap_or(now).duration_since(self.first_bad_at)
    }
}

fn displayed<S: serde::Serializer>(key: &CheckKey, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(key)
}
