//! A file with its content.

use serde::{Deserialize, Serialize};

/// A regular file with its content, owner and mode; replaced as a whole, atomically.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileSpec {
    /// Absolute path.
    pub path: String,
    /// The whole content.
    pub content: String,
    /// Owner.
    #[serde(default = "super::root")]
    pub owner: String,
    /// Group.
    #[serde(default = "super::root")]
    pub group: String,
    /// Permission bits in octal.
    #[serde(default = "mode")]
    pub mode: String,
    /// A program that must end with 0 before the new content takes its place; `{}` stands for the candidate's path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validate: Option<Vec<String>>,
}

fn mode() -> String {
    "0644".to_owned()
}
