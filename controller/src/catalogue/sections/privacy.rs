//! `[[privacy]]`: what kinds of personal data live in a service, for the data-protection papers.

use serde::{Deserialize, Serialize};

use crate::model::Text;

/// One kind of personal data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PersonalData {
    /// What it is.
    pub data: Text,
    /// Whom it is about.
    pub subjects: Text,
    /// What it counts as.
    pub categories: Vec<DataCategory>,
    /// Where on the host it lies: absolute paths.
    pub places: Vec<String>,
    /// How long it is kept.
    pub retention: Text,
}

/// What personal data counts as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DataCategory {
    /// How to reach somebody.
    Contact,
    /// Names and passwords of accounts.
    Account,
    /// What people write and keep.
    Content,
    /// Pictures of people.
    Photo,
    /// Health; specially protected.
    Health,
    /// What people say to one another.
    Communication,
    /// Who did what, and from where.
    Log,
}
