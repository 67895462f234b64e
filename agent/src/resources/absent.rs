//! A path where nothing shall be.

use serde::{Deserialize, Serialize};

/// A path where no file, link or empty directory shall be. A directory with content is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbsentSpec {
    /// Absolute path.
    pub path: String,
}
