//! Security updates that are not installed: what apt's lists have newer than what is installed, compared when one of them
//! changed, and remembered until then.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::lists::{self, Package, SecurityLists};
use super::{Finding, Observe, Scene, version};
use crate::atomic::write_own;
use crate::clock;

/// Which security updates are not installed?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityUpdatesQuestion {}

/// Security updates that are not installed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityUpdates {
    /// How many lists of security fixes apt has; with none nothing can be told.
    pub lists: u64,
    /// The ones that wait longest first, at most [`SecurityUpdates::MOST`].
    pub pending: Vec<PendingUpdate>,
    /// How many there are.
    pub count: u64,
}

impl SecurityUpdates {
    /// How many are named.
    pub const MOST: usize = 50;
}

/// One package for which there is a security fix.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PendingUpdate {
    /// Its name.
    pub name: String,
    /// What is installed.
    pub installed: String,
    /// What could be.
    pub available: String,
    /// When this agent first saw that, in seconds since 1970.
    pub since: u64,
    /// Whether a person keeps it from being updated (`apt-mark hold`).
    pub held: bool,
}

/// What was found last, and to what it belongs.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cache {
    stamp: String,
    /// All, not only those that are named: each has its own age.
    pending: Vec<PendingUpdate>,
}

/// A larger one is not ours.
const LARGEST: u64 = 4 * 1024 * 1024;

impl Observe for SecurityUpdatesQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let lists = SecurityLists::find(scene)?;
        let stamp = lists.stamp(scene);
        let known = Cache::read(scene);
        let cache = if known.stamp == stamp {
            known
        } else {
            let pending = pending(scene, &lists, &known, clock::now())?;
            let cache = Cache { stamp, pending };
            // Without it the next look takes longer, and ages begin anew.
            let _ = cache.write(scene);
            cache
        };
        let mut pending = cache.pending;
        pending.sort_by(|one, other| (one.since, &one.name).cmp(&(other.since, &other.name)));
        let count = pending.len() as u64;
        pending.truncate(SecurityUpdates::MOST);
        Ok(Finding::SecurityUpdates(SecurityUpdates {
            lists: lists.count(),
            pending,
            count,
        }))
    }
}

fn pending(
    scene: &Scene,
    lists: &SecurityLists,
    known: &Cache,
    now: u64,
) -> Result<Vec<PendingUpdate>, String> {
    let installed = lists::installed(scene)?;
    let mut found: BTreeMap<(String, String), PendingUpdate> = BTreeMap::new();
    lists.each(scene, |fix| {
        for package in installed.get(&fix.name).into_iter().flatten() {
            if !is_update(package, &fix) {
                continue;
            }
            let place = (package.name.clone(), package.architecture.clone());
            let newest = found.get(&place).map(|update| update.available.as_str());
            if newest.is_some_and(|newest| version::compare(newest, &fix.version).is_ge()) {
                continue;
            }
            let before = known.pending.iter().find(|update| update.name == fix.name);
            let update = PendingUpdate {
                name: package.name.clone(),
                installed: package.version.clone(),
                available: fix.version.clone(),
                // A newer fix makes the old hole no younger.
                since: before.map_or(now, |before| before.since.min(now)),
                held: package.is_held(),
            };
            found.insert(place, update);
        }
    })?;
    Ok(found.into_values().collect())
}

fn is_update(installed: &Package, fix: &Package) -> bool {
    let fits = installed.architecture == fix.architecture
        || installed.architecture == "all"
        || fix.architecture == "all";
    fits && version::compare(&fix.version, &installed.version) == Ordering::Greater
}

impl Cache {
    fn path(scene: &Scene) -> PathBuf {
        scene.layout.state().join("security-updates.json")
    }

    fn read(scene: &Scene) -> Cache {
        let path = Cache::path(scene);
        let fits = std::fs::metadata(&path).is_ok_and(|found| found.len() <= LARGEST);
        let text = fits.then(|| std::fs::read(&path).unwrap_or_default());
        serde_json::from_slice(&text.unwrap_or_default()).unwrap_or_default()
    }

    fn write(&self, scene: &Scene) -> Result<(), String> {
        let text = serde_json::to_vec(self).map_err(|error| error.to_string())?;
        write_own(&Cache::path(scene), &text, 0o600, false).map_err(|error| error.to_string())
    }
}
