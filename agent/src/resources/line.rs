//! A line in a file that is not ours.

use serde::{Deserialize, Serialize};

/// One line of a file that something else owns. The file's owner and mode stay as they are.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LineSpec {
    /// Absolute path; made with mode 0644 when it is missing.
    pub path: String,
    /// The line, without its end.
    pub line: String,
    /// A regular expression: the last line that matches is replaced, further ones stay. Without a match, or without this, the line is
    /// appended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matches: Option<String>,
}
