//! A Unix group.

use serde::{Deserialize, Serialize};

/// A Unix group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupSpec {
    /// Name.
    pub name: String,
    /// Whether its id comes from the system range when it is made.
    #[serde(default = "super::yes")]
    pub system: bool,
    /// Id, if it has to be a certain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}
