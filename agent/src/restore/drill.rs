//! A restore only to prove that it works: scratch places, comparison, damage, comparison, nothing left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use sha2::{Digest, Sha256};

use super::comparison::{Copy, bytes_below, noticed, proves_something};
use super::databases::Database;
use super::fetch::Fetcher;
use super::refusals::Needs;
use super::run::database;
use crate::atomic::{make_own_directory, write_own};
use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::layout::Layout;
use crate::protocol::{DrillOrder, DrillReport, DrillVerdict, DumpSource};

/// The databases of a drill, in its folder, so that whoever comes next can remove what a killed agent left.
const DATABASES: &str = "databases.json";

/// Makes the drill, and removes all of it whatever happens.
pub(super) fn drill(host: &mut Host, fetcher: &Fetcher<'_>, run: &str, order: &DrillOrder) -> DrillReport {
    let mut report = DrillReport::default();
    if let Some(why) = lacking_room(&host.layout, order) {
        report.reason = Some(why);
        return report;
    }
    if !proves_something(&order.proof) {
        report.verdict = DrillVerdict::Failed;
        report.reason = Some(
            "the backup wrote down nothing that a copy could be measured by: give the template a [verify] section".to_owned(),
        );
        return report;
    }
    let folder = host.layout.drills().join(run);
    if let Err(error) = make_and_compare(host, fetcher, &folder, order, &mut report) {
        report.verdict = if fetcher.asker.is_gone() {
            DrillVerdict::NotMade
        } else {
            DrillVerdict::Failed
        };
        report.reason = Some(error.to_string());
    }
    if let Err(error) = remove(host, &folder) {
        report.left_over.push(error.to_string());
    }
    report
}

/// Removes what drills left whose agent was killed.
pub(super) fn sweep(host: &mut Host) {
    let folders: Vec<PathBuf> = fs::read_dir(host.layout.drills())
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    for folder in folders {
        // What cannot be removed today is tried again at the next drill.
        let _ = remove(host, &folder);
    }
}

fn lacking_room(layout: &Layout, order: &DrillOrder) -> Option<String> {
    let mut needs = Needs::default();
    needs.add(&layout.drills(), order.bytes);
    for dump in &order.dumps {
        let folder = match &dump.to {
            DumpSource::Postgres { .. } => layout.at("/var/lib/postgresql"),
            DumpSource::Mariadb { .. } => layout.at("/var/lib/mysql"),
            DumpSource::Command { .. } => layout.drills(),
        };
        needs.add(&folder, dump.bytes.saturating_mul(2));
    }
    needs.lacking()
}

fn make_and_compare(
    host: &mut Host,
    fetcher: &Fetcher<'_>,
    folder: &Path,
    order: &DrillOrder,
    report: &mut DrillReport,
) -> Result<(), Error> {
    let copy = Copy {
        files: folder.join("files"),
        databases: order
            .dumps
            .iter()
            .filter_map(|dump| Some((format!("dump:{}", dump.id), scratch(folder, &dump.id, &dump.to)?)))
            .collect(),
    };
    make_own_directory(&copy.files)?;
    let scratches: Vec<&Database> = copy.databases.iter().map(|(_, database)| database).collect();
    let list = folder.join(DATABASES);
    let text = serde_json::to_vec(&scratches)
        .map_err(io::Error::from)
        .attempt("writing", &list)?;
    write_own(&list, &text, 0o600, true)?;

    let begun = Instant::now();
    if let Some(call) = &order.files {
        fetcher.files(call, "files", &copy.files)?;
    }
    report.files_millis = millis(begun);
    report.bytes = bytes_below(&copy.files);
    let begun = Instant::now();
    for dump in &order.dumps {
        let part = format!("dump:{}", dump.id);
        match copy.databases.iter().find(|(name, _)| *name == part) {
            Some((_, database)) => {
                database.make_scratch(host)?;
                let loader = database.loader(host)?;
                fetcher.load(&dump.engine, &dump.id, &loader)?;
            }
            None => {
                let bytes = fetcher.save(&dump.engine, &dump.id, &folder.join("dump"))?;
                if bytes == 0 {
                    return Err(Error::obstacle(
                        format!("the dump {} is empty", dump.id),
                        "back up again",
                    ));
                }
            }
        }
    }
    report.dumps_millis = millis(begun);

    report.findings = copy.compare(host, &order.proof);
    if report.findings.iter().any(|finding| !finding.fits) {
        report.verdict = DrillVerdict::Failed;
        return Ok(());
    }
    report.damaged = copy.damage(host, &order.proof)?;
    report.findings_when_damaged = copy.compare(host, &order.proof);
    report.verdict = if noticed(&order.proof, &report.findings_when_damaged) {
        DrillVerdict::Passed
    } else {
        report.reason = Some("a copy that was damaged on purpose was taken for a good one".to_owned());
        DrillVerdict::Failed
    };
    Ok(())
}

/// A database of the drill's own, by a name that nobody else has.
fn scratch(folder: &Path, dump: &str, to: &DumpSource) -> Option<Database> {
    let hash: String = Sha256::digest(format!("{} {dump}", folder.display()).as_bytes())
        .iter()
        .take(8)
        .map(|byte| format!("{byte:02x}"))
        .collect();
    Some(database(to)?.named(format!("allmende_drill_{hash}")))
}

fn remove(host: &mut Host, folder: &Path) -> Result<(), Error> {
    // A list that is not whole was never followed by a database.
    let databases: Vec<Database> = fs::read(folder.join(DATABASES))
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok())
        .unwrap_or_default();
    for database in databases {
        database.remove(host)?;
    }
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).attempt("removing", folder),
        _ => Ok(()),
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
