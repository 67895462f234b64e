//! What a host remembers of a restore until it has come to its end, so that an agent that was killed leaves no silent mixture.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::databases::Database;
use crate::atomic::write_own;
use crate::clock;
use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::lock::Lock;
use crate::names;
use crate::protocol::StandingRestore;

/// How far a restore has come. Written before the phase begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// All is fetched beside its place; the service runs.
    Fetching,
    /// The service is brought to rest.
    Stopping,
    /// What was there goes aside, what was fetched in its place.
    Exchanging,
    /// All is in its place; the service is woken.
    Waking,
    /// All is done; what is aside goes.
    Clearing,
}

/// One restore of one service, as it is on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Standing {
    pub(super) service: String,
    pub(super) holder: String,
    pub(super) begun: u64,
    pub(super) phase: Phase,
    pub(super) paths: Vec<StandingPath>,
    pub(super) databases: Vec<Database>,
    pub(super) commands: Vec<StandingCommand>,
}

/// A path that is exchanged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StandingPath {
    pub(super) path: String,
    /// Whether there was anything before.
    pub(super) was_there: bool,
}

/// A dump that a program reads; what it would have written before is kept in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct StandingCommand {
    pub(super) id: String,
    pub(super) load: Vec<String>,
    pub(super) user: String,
    /// Whether it may have begun to read the new dump.
    pub(super) touched: bool,
}

impl Standing {
    pub(super) fn new(service: &str, holder: &str) -> Standing {
        Standing {
            service: service.to_owned(),
            holder: holder.to_owned(),
            begun: clock::now(),
            phase: Phase::Fetching,
            paths: Vec::new(),
            databases: Vec::new(),
            commands: Vec::new(),
        }
    }

    /// The unfinished restore of a service, if there is one.
    pub(super) fn of(layout: &Layout, service: &str) -> Result<Option<Standing>, Error> {
        let path = file(layout, service);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error).attempt("reading", &path),
        };
        match serde_json::from_slice(&text) {
            Ok(standing) => Ok(Some(standing)),
            Err(error) => Err(Error::obstacle(
                format!("{} cannot be understood: {error}", path.display()),
                "an older or newer agent wrote it: bring the agent up to date, and try again",
            )),
        }
    }

    /// Notes the phase that begins, durably.
    pub(super) fn enter(&mut self, layout: &Layout, phase: Phase) -> Result<(), Error> {
        self.phase = phase;
        self.write(layout)
    }

    pub(super) fn write(&self, layout: &Layout) -> Result<(), Error> {
        let path = file(layout, &self.service);
        let text = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .attempt("writing", &path)?;
        write_own(&path, &text, 0o600, true)
    }

    /// Forgets it.
    pub(super) fn end(self, layout: &Layout) -> Result<(), Error> {
        let folder = layout.restores().join(&self.service);
        // The file first: what it tells is no longer so.
        fs::remove_file(file(layout, &self.service)).attempt("removing", &folder)?;
        fs::remove_dir_all(&folder).attempt("removing", &folder)
    }

    /// Where a dump waits that a program is to read.
    pub(super) fn new_dump(&self, layout: &Layout, id: &str) -> PathBuf {
        layout.restores().join(&self.service).join(format!("{id}.new"))
    }

    /// Where what the program wrote before is kept.
    pub(super) fn old_dump(&self, layout: &Layout, id: &str) -> PathBuf {
        layout.restores().join(&self.service).join(format!("{id}.old"))
    }

    /// The sentence that whoever comes next gets.
    pub(super) fn told(&self) -> String {
        let far = match self.phase {
            Phase::Fetching => "while it was fetched: nothing has been changed",
            Phase::Stopping => {
                "while the service was stopped: nothing has been changed, and the service may not run"
            }
            Phase::Exchanging => "in the middle: some of it is restored, some is as it was before",
            Phase::Waking => "when all was restored, before the service ran again",
            Phase::Clearing => "at its end: all is restored, only what was there before is not yet removed",
        };
        format!(
            "a restore of {} by {}, begun {}, stopped {far}",
            self.service,
            self.holder,
            clock::shown(self.begun)
        )
    }

    /// Whether a path or a database of it is one of these.
    fn overlaps(&self, paths: &[String], databases: &[Database]) -> bool {
        let path_of = |one: &String| {
            let one = Path::new(one);
            self.paths.iter().any(|standing| {
                let standing = Path::new(&standing.path);
                one.starts_with(standing) || standing.starts_with(one)
            })
        };
        paths.iter().any(path_of) || databases.iter().any(|one| self.databases.contains(one))
    }
}

/// All unfinished restores of the host that can be understood.
fn all(layout: &Layout) -> Vec<Standing> {
    let mut all: Vec<Standing> = fs::read_dir(layout.restores())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|service| names::file_name(service).is_ok())
        .filter_map(|service| Standing::of(layout, &service).ok().flatten())
        .collect();
    all.sort_by(|one, other| one.service.cmp(&other.service));
    all
}

/// What whoever comes to this host is told. Nothing while somebody changes it: that may be a restore under way.
pub(crate) fn told(layout: &Layout) -> Vec<StandingRestore> {
    let all = all(layout);
    if all.is_empty() || Lock::held(layout).is_some() {
        return Vec::new();
    }
    all.into_iter()
        .map(|standing| StandingRestore {
            can_be_kept: standing.phase >= Phase::Waking,
            told: standing.told(),
            service: standing.service,
        })
        .collect()
}

/// Why these paths and databases cannot be read right now: an unfinished restore of them stands.
pub(crate) fn in_the_way(layout: &Layout, paths: &[String], databases: &[Database]) -> Option<String> {
    all(layout)
        .into_iter()
        .find(|standing| standing.overlaps(paths, databases))
        .map(|standing| {
            format!(
                "{}; no backup is made before it is undone: `allmende restore SERVICE --undo`",
                standing.told()
            )
        })
}

fn file(layout: &Layout, service: &str) -> PathBuf {
    layout.restores().join(service).join("standing.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_until_it_ends_and_backups_of_the_same_wait() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        assert_eq!(told(&layout), []);
        let mut standing = Standing::new("kita_cloud", "anna, job 7");
        standing.paths.push(StandingPath {
            path: "/srv/cloud/data".to_owned(),
            was_there: true,
        });
        standing
            .databases
            .push(Database::Postgres("kita_cloud".to_owned()));
        standing.enter(&layout, Phase::Exchanging).expect("writes");
        let told = told(&layout);
        assert!(
            told.len() == 1
                && told[0].service == "kita_cloud"
                && told[0].told.contains("in the middle")
                && !told[0].can_be_kept,
            "{told:?}"
        );
        assert_eq!(
            Standing::of(&layout, "kita_cloud").expect("reads"),
            Some(standing.clone())
        );
        let paths = |path: &str| [path.to_owned()];
        for path in ["/srv/cloud", "/srv/cloud/data", "/srv/cloud/data/anna"] {
            assert!(in_the_way(&layout, &paths(path), &[]).is_some(), "{path}");
        }
        assert_eq!(in_the_way(&layout, &paths("/srv/cloud/data2"), &[]), None);
        let database = Database::Postgres("kita_cloud".to_owned());
        assert!(in_the_way(&layout, &[], &[database]).is_some());
        let database = Database::Mariadb("kita_cloud".to_owned());
        assert_eq!(in_the_way(&layout, &[], &[database]), None);
        standing.end(&layout).expect("ends");
        assert_eq!(Standing::of(&layout, "kita_cloud").expect("reads"), None);
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_not_nothing() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        fs::create_dir_all(layout.restores().join("wiki")).expect("makes");
        fs::write(file(&layout, "wiki"), "{").expect("writes");
        let error = Standing::of(&layout, "wiki").expect_err("is nonsense");
        assert!(error.to_string().contains("cannot be understood"), "{error}");
    }
}
