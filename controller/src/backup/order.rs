//! From what a service's template says to what its host is asked for. Commands are built here and run elsewhere.

use std::collections::BTreeMap;

use allmende_agent::AGENT_PATH;
use allmende_agent::protocol::{
    self as agent, BackupOrder, CountOrder, EngineCall, FilesOrder, ProofOrder, Source,
};

use super::engine::{HOST, dump_path};
use crate::catalogue::{Backup as Wanted, Care, Dump, DumpSource, Step};
use crate::model::{BackupId, Part, Secret, Service};

/// Seconds after which a host wakes a service by itself.
const WITHIN: u64 = 2 * 60 * 60;

/// Files whose hashes are kept for drills.
const SAMPLE: u32 = 50;

/// A backup to be made.
#[derive(Debug)]
pub struct Order<'a> {
    /// Its number.
    pub id: BackupId,
    /// The service.
    pub service: &'a Service,
    /// What its template says, with its secrets.
    pub care: &'a Care,
    /// What the run is called on the host; bridges are called after it.
    pub run: &'a str,
    /// The repository's password.
    pub password: &'a Secret,
    /// Paths that were file systems of their own at the last backup.
    pub mount_points: Vec<String>,
    /// Values that nobody may see.
    pub secrets: Vec<String>,
}

/// What belongs to a backup. Dumps come first: a file that a database does not know yet does no harm, one that it knows and
/// that is missing does.
pub fn parts(backup: &Wanted) -> Vec<Part> {
    let dumps = backup.dumps.iter().map(|dump| Part::Dump(dump.id.clone()));
    let files = (!backup.paths.is_empty()).then_some(Part::Files);
    dumps.chain(files).collect()
}

impl Order<'_> {
    /// What the host is asked for.
    pub fn for_host(self, backup: &Wanted) -> BackupOrder {
        let dumps = backup.dumps.iter().map(|dump| self.dump(dump));
        let files = (!backup.paths.is_empty()).then(|| self.files(backup));
        let parts = dumps
            .chain(files)
            .enumerate()
            .map(|(number, (part, arguments, source))| agent::Part {
                id: part.to_string(),
                engine: self.call(number, &part, arguments),
                source,
            })
            .collect();
        let verify = &self.care.verify;
        BackupOrder {
            quiesce: steps(&backup.quiesce),
            resume: steps(&backup.resume),
            resume_within: WITHIN,
            parts,
            proof: ProofOrder {
                counts: verify
                    .counts
                    .iter()
                    .map(|count| CountOrder {
                        part: Part::Dump(count.dump.clone()).to_string(),
                        query: count.query.clone(),
                    })
                    .collect(),
                files: verify
                    .files
                    .iter()
                    .map(|files| FilesOrder {
                        path: files.path.clone(),
                        minimum: files.minimum,
                    })
                    .collect(),
                exclude: backup.exclude.clone(),
                sample: SAMPLE,
            },
            secrets: self.secrets,
        }
    }

    fn files(&self, backup: &Wanted) -> (Part, Vec<String>, Source) {
        let exclude = backup.exclude.iter();
        let arguments = exclude.flat_map(|pattern| ["--exclude".to_owned(), pattern.clone()]);
        let source = Source::Files {
            paths: backup.paths.clone(),
            mount_points: self.mount_points.clone(),
        };
        (Part::Files, arguments.collect(), source)
    }

    fn dump(&self, dump: &Dump) -> (Part, Vec<String>, Source) {
        let arguments = [
            "--stdin".to_owned(),
            "--stdin-filename".to_owned(),
            dump_path(&dump.id),
        ];
        let source = Source::Dump(agent::Dump {
            minimum_bytes: dump.minimum_bytes,
            from: source(&dump.source),
        });
        (Part::Dump(dump.id.clone()), arguments.into(), source)
    }

    /// restic's call for a part; the agent adds the paths.
    fn call(&self, number: usize, part: &Part, arguments: Vec<String>) -> EngineCall {
        let mut call_with: Vec<String> = ["backup", "--json", "--host", HOST].map(str::to_owned).into();
        for tag in [
            format!("backup:{}", self.id),
            format!("service:{}", self.service.full_name()),
            format!("part:{part}"),
        ] {
            call_with.extend(["--tag".to_owned(), tag]);
        }
        call_with.extend(arguments);
        call(self.run, number, self.password, call_with)
    }
}

/// A call of restic on a host, which reaches its repository by the bridge of this number.
pub fn call(run: &str, number: usize, password: &Secret, arguments: Vec<String>) -> EngineCall {
    let bridge = format!("{run}-{number}");
    let mut argv: Vec<String> = ["restic", "-r", "rclone:repository"].map(str::to_owned).into();
    for option in [
        format!("rclone.program={AGENT_PATH}"),
        format!("rclone.args=connect {bridge}"),
    ] {
        argv.extend(["-o".to_owned(), option]);
    }
    argv.extend(arguments);
    EngineCall {
        argv,
        env: BTreeMap::from([("RESTIC_PROGRESS_FPS".to_owned(), "1".to_owned())]),
        password: password.reveal().to_owned(),
        bridge,
    }
}

/// Where a dump comes from, in the agent's words.
pub fn source(source: &DumpSource) -> agent::DumpSource {
    match source {
        DumpSource::Postgres(dump) => agent::DumpSource::Postgres {
            database: dump.database.clone(),
        },
        DumpSource::Mariadb(dump) => agent::DumpSource::Mariadb {
            database: dump.database.clone(),
        },
        DumpSource::Command(dump) => agent::DumpSource::Command {
            argv: dump.argv.clone(),
            load: dump.load.clone(),
            user: dump.user.clone(),
        },
    }
}

/// Steps in the agent's words.
pub fn steps(steps: &[Step]) -> Vec<agent::Step> {
    steps
        .iter()
        .map(|step| agent::Step {
            argv: step.argv.clone(),
            user: step.user.clone(),
            timeout: step.timeout,
            stdin: step.stdin.clone(),
            env: step.env.clone(),
        })
        .collect()
}
