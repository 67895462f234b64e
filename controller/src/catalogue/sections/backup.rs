//! `[backup]`, `[restore]`, `[verify]`: what to keep, the way back, and what proves that it works.

use serde::{Deserialize, Serialize};

use super::Problem;
use super::span::DailyTime;
use super::step::{Step, root};

/// What to back up, and what makes it consistent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backup {
    /// Files and folders, absolute.
    pub paths: Vec<String>,
    /// What is left out below them: absolute, `*` stands for any name.
    #[serde(default)]
    pub exclude: Vec<String>,
    /// When new schedules start it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule: Option<DailyTime>,
    /// What is run before anything is read, in order: brings the service to rest.
    #[serde(default)]
    pub quiesce: Vec<Step>,
    /// What is always run afterwards, in order, also after a failure.
    #[serde(default)]
    pub resume: Vec<Step>,
    /// What is written out rather than copied.
    #[serde(default)]
    pub dumps: Vec<Dump>,
}

/// Something that is written out into the backup.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dump {
    /// Unique in the template.
    pub id: String,
    /// A smaller one is a failure.
    #[serde(default = "something")]
    pub minimum_bytes: u64,
    /// Where it comes from and goes back to.
    #[serde(flatten)]
    pub source: DumpSource,
}

/// The kinds of dumps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum DumpSource {
    /// A database of PostgreSQL.
    Postgres(DatabaseDump),
    /// A database of MariaDB.
    Mariadb(DatabaseDump),
    /// What a program writes.
    Command(CommandDump),
}

/// A database that is dumped as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatabaseDump {
    /// Its name.
    pub database: String,
}

/// What a program writes to standard output, and another one reads back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandDump {
    /// Writes the dump to standard output.
    pub argv: Vec<String>,
    /// Reads it from standard input.
    pub load: Vec<String>,
    /// The Unix user that runs both.
    #[serde(default = "root")]
    pub user: String,
}

/// The way back: `before`, then the paths, then the dumps, then `after`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Restore {
    /// What is run before anything is put back, in order: stops what uses it.
    #[serde(default)]
    pub before: Vec<Step>,
    /// What is run when all is back, in order: starts it again.
    #[serde(default)]
    pub after: Vec<Step>,
}

/// What proves that a restored copy works.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Verify {
    /// Numbers that the backup wrote down and a restored copy must have again.
    #[serde(default)]
    pub counts: Vec<RowCount>,
    /// Files that must be there again; the hashes of some of them are compared.
    #[serde(default)]
    pub files: Vec<SomeFiles>,
}

/// A number that a database knows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// The id of the database's dump.
    pub dump: String,
    /// A query that gives one number.
    pub query: String,
}

/// Files below one path.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SomeFiles {
    /// A file or folder below one of the backup's paths.
    pub path: String,
    /// How many files there have to be at least.
    #[serde(default = "something")]
    pub minimum: u64,
}

fn something() -> u64 {
    1
}

/// A step that names no program, if there is one.
fn no_program(steps: &[Step], field: &str) -> Option<Problem> {
    let found = steps.iter().any(|step| step.argv.is_empty());
    found.then(|| Problem::new("argv: it is empty").inside(field))
}

impl Restore {
    /// What makes no sense, if anything.
    pub(super) fn contradiction(&self) -> Option<Problem> {
        no_program(&self.before, "before").or_else(|| no_program(&self.after, "after"))
    }
}

impl Backup {
    /// What does not fit together, if anything.
    pub(super) fn contradiction(&self) -> Option<Problem> {
        let relative = |paths: &[String], field: &str| {
            let path = paths.iter().find(|path| !path.starts_with('/'))?;
            Some(Problem::new(format!("{path:?} is no absolute path")).inside(field))
        };
        relative(&self.paths, "paths")
            .or_else(|| relative(&self.exclude, "exclude"))
            .or_else(|| no_program(&self.quiesce, "quiesce"))
            .or_else(|| no_program(&self.resume, "resume"))
            .or_else(|| {
                let id = super::twice(self.dumps.iter().map(|dump| dump.id.as_str()))?;
                Some(Problem::new(format!("there is a second dump with the id {id:?}")).inside("dumps"))
            })
            .or_else(|| {
                let wanting = self.paths.is_empty() && self.dumps.is_empty();
                wanting.then(|| Problem::new("it keeps nothing: give paths or dumps"))
            })
            .or_else(|| {
                let stuck = !self.quiesce.is_empty() && self.resume.is_empty();
                stuck.then(|| {
                    Problem::new("what quiesce brings to rest must be woken again: give a [[backup.resume]]")
                })
            })
    }

    /// The dump with this id.
    fn dump(&self, id: &str) -> Option<&Dump> {
        self.dumps.iter().find(|dump| dump.id == id)
    }

    /// Whether this is one of the paths, or lies below one.
    fn keeps(&self, path: &str) -> bool {
        let path = std::path::Path::new(path);
        self.paths.iter().any(|kept| path.starts_with(kept))
    }
}

impl Verify {
    /// What does not fit to the backup, if anything.
    pub(super) fn contradiction(&self, backup: Option<&Backup>) -> Option<Problem> {
        let counts = self.counts.iter().find_map(|count| {
            let dump = backup.and_then(|backup| backup.dump(&count.dump));
            let mistake = match dump.map(|dump| &dump.source) {
                Some(DumpSource::Postgres(_) | DumpSource::Mariadb(_)) => return None,
                Some(DumpSource::Command(_)) => "is no database, so it answers no query",
                None => "is none of the backup's dumps",
            };
            Some(Problem::new(format!("{:?} {mistake}", count.dump)).inside("counts, dump"))
        });
        counts.or_else(|| {
            let kept = |path: &str| backup.is_some_and(|backup| backup.keeps(path));
            let lost = self.files.iter().find(|files| !kept(&files.path))?;
            Some(
                Problem::new(format!("{:?} lies below none of the backup's paths", lost.path))
                    .inside("files"),
            )
        })
    }
}
