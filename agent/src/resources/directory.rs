//! A directory.

use serde::{Deserialize, Serialize};

/// A directory with its owner and mode. Missing parents are made, root-owned, mode 0755.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySpec {
    /// Absolute path.
    pub path: String,
    /// Owner.
    #[serde(default = "super::root")]
    pub owner: String,
    /// Group.
    #[serde(default = "super::root")]
    pub group: String,
    /// Permission bits in octal.
    #[serde(default = "mode")]
    pub mode: String,
}

fn mode() -> String {
    "0755".to_owned()
}
