//! When a file or folder last changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::scene::seconds;
use super::{Finding, Observe, Scene};
use crate::names::{self, Verdict};

/// When did a file or folder last change?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessQuestion {
    /// The file, or the folder: then the newest file in it counts, however deep.
    pub path: String,
}

/// When a file or folder last changed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// Seconds since 1970; none where it is not there.
    pub changed: Option<u64>,
    /// Whether there was too much to look at all of it: something newer may be there.
    pub truncated: bool,
}

/// How many files and folders are looked at.
const MOST: usize = 200_000;

/// How long it is looked.
const LONGEST: Duration = Duration::from_secs(10);

impl Observe for FreshnessQuestion {
    fn check(&self) -> Verdict {
        names::path(&self.path)
    }

    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let path = scene.layout.at(&self.path);
        // The path itself may be a link to where the file is; links inside a folder are not followed.
        let found = match fs::metadata(&path) {
            Ok(found) => found,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Ok(Finding::Freshness(Freshness::default()));
            }
            Err(error) => return Err(format!("looking at {}: {error}", self.path)),
        };
        let own = found.modified().ok().map(seconds);
        let (newest, truncated) = if found.is_dir() {
            newest_file(&path)
        } else {
            (None, false)
        };
        // Files that are taken away make a folder no fresher; an empty one has only its own time.
        Ok(Finding::Freshness(Freshness {
            changed: newest.or(own),
            truncated,
        }))
    }
}

fn newest_file(folder: &Path) -> (Option<u64>, bool) {
    let begun = Instant::now();
    let mut newest = None;
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            seen += 1;
            if seen > MOST || begun.elapsed() > LONGEST {
                return (newest, true);
            }
            // Not followed: the entry's own.
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                folders.push(entry.path());
            } else if let Ok(time) = found.modified() {
                newest = newest.max(Some(seconds(time)));
            }
        }
    }
    (newest, false)
}
