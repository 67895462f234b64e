//! Questions that the agent answers on the host, all of them in one round trip.

use serde::{Deserialize, Serialize};

use crate::catalogue::sections::span::Span;
use crate::catalogue::sections::step::{one_minute, root};

/// A unit of systemd that has to be active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitCheck {
    /// With its suffix: `nginx.service`.
    pub unit: String,
}

/// A program that answers by its exit code (0 ok, 1 warning, 2 critical, anything else unknown) and by its first line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCheck {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    #[serde(default = "root")]
    pub user: String,
    /// Seconds after which it is ended; the answer is then unknown.
    #[serde(default = "one_minute")]
    pub timeout: u64,
}

/// A file or folder that has to change now and then: the newest change in it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessCheck {
    /// The file or folder.
    pub path: String,
    /// Older than this is a warning.
    pub warning: Span,
    /// Older than this is critical.
    pub critical: Span,
}
