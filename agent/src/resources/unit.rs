//! A systemd unit.

use serde::{Deserialize, Serialize};

/// A systemd unit: whether it starts at boot and whether it runs now. What is left out is not looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitSpec {
    /// With its suffix: `nginx.service`, `cloud-cron.timer`.
    pub name: String,
    /// Whether it starts at boot.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enabled: Option<bool>,
    /// Whether it runs now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<bool>,
}
