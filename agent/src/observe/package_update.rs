//! When packages were last brought up to date, by the stamps that apt leaves.

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};

/// When were packages last brought up to date?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageUpdateQuestion {}

/// When packages were last brought up to date, in seconds since 1970.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageUpdate {
    /// When the lists of what there is were last fetched; none where they never were.
    pub listed: Option<u64>,
    /// When updates were last installed without anybody asking, or there were none; none where they never were.
    pub installed: Option<u64>,
    /// Since when the program is there that does so; none where it is not.
    pub able: Option<u64>,
}

/// apt.systemd.daily writes the first after a good update, Ubuntu the second; the third changes with every list that comes.
const LISTED: [&str; 3] = [
    "/var/lib/apt/periodic/update-stamp",
    "/var/lib/apt/periodic/update-success-stamp",
    "/var/lib/apt/lists",
];

const INSTALLED: [&str; 2] = [
    "/var/lib/apt/periodic/unattended-upgrades-stamp",
    "/var/lib/apt/periodic/upgrade-stamp",
];

impl Observe for PackageUpdateQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let newest = |paths: &[&str]| paths.iter().filter_map(|path| scene.changed(path)).max();
        Ok(Finding::PackageUpdate(PackageUpdate {
            listed: newest(&LISTED),
            installed: newest(&INSTALLED),
            able: scene.changed("/var/lib/dpkg/info/unattended-upgrades.list"),
        }))
    }
}
