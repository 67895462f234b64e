//! Notices: what happened to incidents, and what people are told of it.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Name, Status, Text};

/// Something that happened to an incident, as people are told of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct IncidentNotice {
    /// The event's number.
    pub event: i64,
    /// The incident's number.
    pub incident: i64,
    /// What happened.
    pub kind: NoticeKind,
    /// How bad it is.
    pub severity: Status,
    /// What is watched: `kita-sonne/cloud`, `web1`, `allmende`.
    pub subject: String,
    /// Whose it is.
    pub organisation: Option<Name>,
    /// What is asked: "The web page".
    pub title: Text,
    /// What was found.
    pub sentence: Text,
    /// What to do next.
    pub advice: Option<Text>,
    /// When the incident began.
    pub since: Timestamp,
    /// When this happened.
    pub at: Timestamp,
    /// Until when somebody takes care of it, if they said an end.
    #[serde(default)]
    pub acknowledged_until: Option<Timestamp>,
}

/// What can happen to an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// It began.
    Opened,
    /// It became worse.
    Worsened,
    /// It is less bad than it was.
    Eased,
    /// It comes and goes.
    Flapping,
    /// Somebody took it on.
    Acknowledged,
    /// It still lasts, and nobody took it on.
    Reminder,
    /// It is over.
    Recovered,
}

/// What one person was told of one incident that is not over, by one channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Thread {
    /// Who.
    pub person: Name,
    /// By which channel.
    pub channel: Name,
    /// How bad it was when they were told.
    pub severity: Status,
    /// How far the last alert came.
    pub standing: Standing,
    /// Whether any alert of the incident reached them.
    pub told: bool,
    /// The newest delivery with an alert that was tried and may still arrive.
    pub tried: Option<i64>,
    /// The delivery with the last alert.
    pub delivery: i64,
}

/// How far an alert came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// It was not tried yet, and can be taken back.
    Waiting,
    /// It was tried, and may have arrived.
    Tried,
    /// It arrived.
    Told,
    /// It was given up.
    Lost,
}

/// What is to be done about a notice.
#[derive(Debug, Clone, PartialEq)]
pub struct Telling {
    /// For whom.
    pub person: Name,
    /// By which channel.
    pub channel: Name,
    /// What.
    pub step: Step,
}

/// A step of a [`Telling`].
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Tells that something is bad.
    Alert {
        /// Not before.
        due: Timestamp,
        /// When it is told again.
        remind_at: Option<Timestamp>,
    },
    /// Tells that it is over.
    Recovery {
        /// Not before.
        due: Timestamp,
        /// Only after this delivery arrived.
        after: Option<i64>,
    },
    /// Tells it again.
    Reminder {
        /// Not before.
        due: Timestamp,
        /// When it is told again.
        remind_at: Option<Timestamp>,
    },
    /// Takes back what was not told yet.
    Withdraw,
    /// It is over for them.
    End,
    /// It is not told again before `until`; never, if there is none.
    Quieten {
        /// When somebody's promise to take care of it ends.
        until: Option<Timestamp>,
    },
}

/// A thread whose time has come to be told again.
#[derive(Debug, Clone, PartialEq)]
pub struct Overdue {
    /// Who and how far.
    pub thread: Thread,
    /// What they were told last.
    pub notice: IncidentNotice,
}

/// A message to one person by one channel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Delivery {
    /// Its number.
    pub id: i64,
    /// Its name everywhere in the world; the same for every attempt.
    pub uid: String,
    /// What it is.
    pub kind: DeliveryKind,
    /// For whom.
    pub person: Name,
    /// By which channel.
    pub channel: Name,
    /// Where it stands.
    pub state: DeliveryState,
    /// When it came about.
    pub created_at: Timestamp,
    /// When it is tried next, while it waits.
    pub due_at: Timestamp,
    /// How often it was tried.
    pub attempts: i64,
    /// When it arrived.
    pub sent_at: Option<Timestamp>,
    /// What the other side said: its answer, or why it did not take it.
    pub answer: Option<String>,
    /// What it is about, in a few words.
    pub about: Vec<String>,
}

/// The kinds of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryKind {
    /// Something is bad.
    Alert,
    /// It still is.
    Reminder,
    /// It is over.
    Recovery,
    /// What changed in a week.
    Digest,
    /// A channel does not work.
    ChannelFailing,
    /// It works again.
    ChannelRecovered,
    /// The controller was away.
    Away,
    /// Somebody tries a channel.
    Test,
}

/// Where a message stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryState {
    /// It waits for its time, or for the next attempt.
    Waiting,
    /// Somebody tries it.
    Sending,
    /// It arrived.
    Sent,
    /// It was given up.
    Failed,
    /// Nobody needs it any more.
    Dropped,
}

/// What a message says; incidents have their notices beside it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "about", rename_all = "snake_case")]
pub enum Content {
    /// Incidents.
    Incidents,
    /// A channel that fails, or works again.
    Channel {
        /// Which.
        channel: Name,
        /// What the other side said.
        error: String,
        /// Since when it failed.
        since: Timestamp,
        /// What did not arrive: "kita-sonne/cloud: The web page (for Anna Muster)".
        undelivered: Vec<Text>,
        /// Who cannot be reached by it; none if the channel itself fails.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        person: Option<String>,
    },
    /// The controller was away.
    Away {
        /// From when.
        from: Timestamp,
        /// Until when.
        until: Timestamp,
    },
    /// What changed in a week.
    Digest(Box<Digest>),
    /// Somebody tries a channel.
    Test,
}

/// What changed for an organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// The organisation.
    pub organisation: Name,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
    /// Hosts and services that came: "service cloud (nextcloud)".
    pub added: Vec<Text>,
    /// Hosts and services that went.
    pub removed: Vec<Text>,
    /// Incidents that were open in that time.
    pub incidents: Vec<DigestIncident>,
    /// What was done: jobs by their titles, the last first.
    pub done: Vec<DigestJob>,
    /// How much of the time services were well, in percent; only those that were not always.
    pub uptime: Vec<(String, f64)>,
    /// What somebody should look at.
    pub attention: Vec<Text>,
}

/// An incident in a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestIncident {
    /// What is watched.
    pub subject: String,
    /// What is asked.
    pub title: Text,
    /// When it began.
    pub since: Timestamp,
    /// When it was over; none while it lasts.
    pub until: Option<Timestamp>,
}

/// A job in a digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DigestJob {
    /// What it was about.
    pub title: String,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it ended well.
    pub succeeded: bool,
}

impl Content {
    /// What a message with these notices is about, in a few words.
    pub fn about(&self, notices: &[IncidentNotice]) -> Vec<Text> {
        let plain = |text: String| {
            vec![Text {
                de: text.clone(),
                en: text,
            }]
        };
        match self {
            Self::Incidents => notices
                .iter()
                .map(|notice| Text {
                    de: format!("{}: {}", notice.subject, notice.title.de),
                    en: format!("{}: {}", notice.subject, notice.title.en),
                })
                .collect(),
            Self::Channel { channel, .. } => plain(channel.to_string()),
            Self::Digest(digest) => plain(digest.organisation.to_string()),
            Self::Away { .. } => plain("allmende".to_owned()),
            Self::Test => Vec::new(),
        }
    }
}

impl Digest {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.added.is_empty()
            && self.removed.is_empty()
            && self.incidents.is_empty()
            && self.done.is_empty()
            && self.uptime.is_empty()
            && self.attention.is_empty()
    }
}

impl DeliveryKind {
    /// The word for it, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Reminder => "reminder",
            Self::Recovery => "recovery",
            Self::Digest => "digest",
            Self::ChannelFailing => "channel_failing",
            Self::ChannelRecovered => "channel_recovered",
            Self::Away => "away",
            Self::Test => "test",
        }
    }
}

impl DeliveryState {
    /// The word for it, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dropped => "dropped",
        }
    }
}

impl fmt::Display for DeliveryKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for DeliveryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A message that is being tried, with all that it is made of.
#[derive(Debug, Clone)]
pub struct Parcel {
    /// The delivery.
    pub delivery: Delivery,
    /// What it says.
    pub content: Content,
    /// Its incidents.
    pub notices: Vec<IncidentNotice>,
    /// The alert that it follows, by its `uid`.
    pub reply_to: Option<String>,
}
