//! Who keeps the clock right. How far it is off the controller finds out by the times in the answer.

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};
use crate::facts;

/// Who keeps the clock right?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockQuestion {}

/// Who keeps the clock right.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TimeKeeping {
    /// The unit that does it; none where none runs.
    pub keeper: Option<String>,
    /// When systemd's own one last heard the right time, in seconds since 1970.
    pub heard: Option<u64>,
    /// Whether the clock is that of the machine around the host.
    pub container: bool,
}

/// Those of Debian's packages.
const KEEPERS: [&str; 6] = [
    "systemd-timesyncd.service",
    "chrony.service",
    "chronyd.service",
    "ntpsec.service",
    "ntp.service",
    "openntpd.service",
];

impl Observe for ClockQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let active = &scene.systemd()?.active;
        let keeper = KEEPERS.into_iter().find(|keeper| active.contains(*keeper));
        Ok(Finding::Clock(TimeKeeping {
            keeper: keeper.map(str::to_owned),
            heard: scene.changed("/run/systemd/timesync/synchronized"),
            container: facts::is_container(&scene.layout),
        }))
    }
}
