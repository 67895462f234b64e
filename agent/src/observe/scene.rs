//! What all questions of one inquiry share: the host, and what systemd says about it, asked once.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant, SystemTime};

use super::units::Systemd;
use super::{Asked, PATIENCE, Question};
use crate::engine::Asker;
use crate::layout::Layout;

/// The host that is looked at.
pub(crate) struct Scene {
    pub(crate) layout: Layout,
    pub(crate) asker: Arc<dyn Asker>,
    /// All units that questions are about.
    units: BTreeSet<String>,
    systemd: OnceLock<Result<Systemd, String>>,
    deadline: Instant,
}

/// No file that is read whole is larger than this.
const LARGEST: u64 = 4 * 1024 * 1024;

impl Scene {
    pub(crate) fn new(
        layout: Layout,
        asker: Arc<dyn Asker>,
        questions: &[Asked],
        deadline: Instant,
    ) -> Scene {
        let units = questions.iter().filter_map(|asked| match &asked.question {
            Question::Unit(question) => Some(question.unit.clone()),
            _ => None,
        });
        Scene {
            layout,
            asker,
            units: units.collect(),
            systemd: OnceLock::new(),
            deadline,
        }
    }

    /// What a program may take that would like to take so long: at least a second, and not beyond the deadline.
    pub(super) fn time_for(&self, wanted: Duration) -> Duration {
        let left = self.deadline.saturating_duration_since(Instant::now());
        wanted.min(left.max(Duration::from_secs(1)))
    }

    /// What systemd says about all units: it is asked when the first question needs it, and once.
    pub(super) fn systemd(&self) -> Result<&Systemd, String> {
        self.systemd
            .get_or_init(|| Systemd::ask(&self.units, self.time_for(PATIENCE)))
            .as_ref()
            .map_err(Clone::clone)
    }

    /// A file of the kernel or of the system, as text.
    pub(super) fn text(&self, path: &str) -> Result<String, String> {
        let mut bytes = Vec::new();
        let read =
            File::open(self.layout.at(path)).and_then(|file| file.take(LARGEST).read_to_end(&mut bytes));
        read.map_err(|error| format!("reading {path}: {error}"))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// When something was last changed, in seconds since 1970; none where it is not there.
    pub(super) fn changed(&self, path: impl AsRef<Path>) -> Option<u64> {
        let found = fs::symlink_metadata(self.layout.at(path)).ok()?;
        found.modified().ok().map(seconds)
    }
}

/// Seconds since 1970; 0 for times before.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
