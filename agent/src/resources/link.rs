//! A symbolic link.

use serde::{Deserialize, Serialize};

/// A symbolic link; replaced atomically. A file or directory in its place is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// Absolute path of the link.
    pub path: String,
    /// What it points to, as it is written into the link.
    pub target: String,
}
