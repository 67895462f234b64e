//! Watching: what is asked again and again, and what came back.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Name, ServiceRef, Text};

/// How well something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// All is well.
    Ok,
    /// It cannot be told.
    Unknown,
    /// Somebody should look at it in the next days.
    Warning,
    /// Somebody has to do something now.
    Critical,
}

impl Status {
    /// The word for it, as stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Unknown => "unknown",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is watched.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Subject {
    /// Allmende itself: `allmende`.
    Controller,
    /// A host: `web1`.
    Host(Name),
    /// A service, with its organisation: `kita-sonne/cloud`.
    Service(ServiceRef),
}

/// The one name of a check: `web1:disk`, `kita-sonne/cloud:page`, `allmende:clock`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CheckKey {
    /// What is asked.
    pub subject: Subject,
    /// The check's id, unique for the subject.
    pub id: String,
}

const CONTROLLER: &str = "allmende";

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Controller => f.pad(CONTROLLER),
            Self::Host(name) => f.pad(name.as_str()),
            Self::Service(service) => f.pad(&service.to_string()),
        }
    }
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == CONTROLLER {
            return Ok(Self::Controller);
        }
        if text.contains('/') {
            let service = text.parse::<ServiceRef>().map_err(|error| error.to_string())?;
            return Ok(Self::Service(service));
        }
        let name = text.parse::<Name>().map_err(|error| error.to_string())?;
        Ok(Self::Host(name))
    }
}

impl fmt::Display for CheckKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}:{}", self.subject, self.id))
    }
}

impl FromStr for CheckKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (subject, id) = text.rsplit_once(':').ok_or_else(|| {
            format!("{text:?} names no check: expected one like web1:disk or kita-sonne/cloud:page")
        })?;
        if id.is_empty() {
            return Err(format!(
                "{text:?} names no check: its id is missing behind the colon"
            ));
        }
        Ok(Self {
            subject: subject.parse()?,
            id: id.to_owned(),
        })
    }
}

impl TryFrom<String> for Subject {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Subject> for String {
    fn from(subject: Subject) -> Self {
        subject.to_string()
    }
}

impl TryFrom<String> for CheckKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<CheckKey> for String {
    fn from(key: CheckKey) -> Self {
        key.to_string()
    }
}

/// A check that a person added, beside those of templates.
#[derive(Debug, Clone, PartialEq)]
pub struct AddedCheck {
    /// Its name.
    pub key: CheckKey,
    /// What it asks, as the catalogue writes it.
    pub definition: serde_json::Value,
}

/// What came back when a check was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// How well it is.
    pub status: Status,
    /// The figure that decided it, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub figure: Option<Figure>,
    /// What was found, in a sentence for a beginner; never a secret.
    pub sentence: Text,
    /// What to do next; the check's own advice is used where this is missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<Text>,
}

/// A figure with its unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Figure {
    /// How much.
    pub value: f64,
    /// Of what: `%`, `ms`, `s`, `d`, `MB`; empty where things are counted.
    pub unit: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_has_one_name() {
        for text in ["web1:disk", "kita-sonne/cloud:page", "allmende:clock"] {
            let key: CheckKey = text.parse().expect(text);
            assert_eq!(key.to_string(), text);
        }
        for bad in ["disk", "web1:", ":disk", "web 1:disk", "a/b/c:page"] {
            assert!(bad.parse::<CheckKey>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_told_is_worse_than_ok_and_better_than_bad() {
        assert!(Status::Ok < Status::Unknown && Status::Unknown < Status::Warning);
        assert!(Status::Warning < Status::Critical);
    }
}
