//! A command that runs when its guard says so.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A program that brings something about which has no resource of its own. It runs only if its guard says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// It has nothing to do when this absolute path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// It has nothing to do when this program, run as the same user in the same place, ends with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Vec<String>>,
    /// The Unix user that runs it.
    #[serde(default = "super::root")]
    pub user: String,
    /// Working directory; `/` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment beside PATH, HOME, USER, LANG. No secrets: other programs of the user can read it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the program reads on standard input; the way for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is ended and counts as failed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
}

fn ten_minutes() -> u64 {
    600
}
