//! One program to run on the host.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One program that is run on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The program and its arguments; there is no shell, and there are no secrets in it.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    #[serde(default = "root")]
    pub user: String,
    /// Seconds after which it is ended and counts as failed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
    /// What it reads on standard input; a place for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Environment beside PATH, HOME, USER and LANG; a place for secrets where the program reads them nowhere else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
}

pub(super) fn root() -> String {
    "root".to_owned()
}

fn ten_minutes() -> u64 {
    600
}

pub(super) fn one_minute() -> u64 {
    60
}
