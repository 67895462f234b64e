//! A Unix user.

use serde::{Deserialize, Serialize};

/// A Unix user without a password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UserSpec {
    /// Name.
    pub name: String,
    /// Whether its id comes from the system range when it is made.
    #[serde(default = "super::yes")]
    pub system: bool,
    /// Id, if it has to be a certain one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Primary group; one of the same name, made with the user, when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// Further groups it is a member of; memberships beside these stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// Home directory; `/nonexistent` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub home: Option<String>,
    /// Login shell.
    #[serde(default = "nologin")]
    pub shell: String,
    /// Whether the home directory is made with the user.
    #[serde(default)]
    pub create_home: bool,
}

fn nologin() -> String {
    "/usr/sbin/nologin".to_owned()
}
