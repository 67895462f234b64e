//! The way back: into place, beside, undone when interrupted, and as a drill that only proves that there is one.

mod comparison;
mod databases;
mod drill;
mod fetch;
mod mariadb;
mod names;
mod owners;
mod postgres;
mod refusals;
mod run;
mod standing;
mod swap;

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use crate::backup::{engine, steps};
use crate::engine::Asker;
use crate::error::{Attempt, Error};
use crate::host::{Host, Intent};
use crate::journal::Journal;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::mask::Masker;
use crate::names::{self as rules, Verdict};
use crate::protocol::{
    Answer, BackupOrder, DrillOrder, DrillReport, DumpBack, DumpSource, EngineCall, Event, Refusal,
    RefusalKind, RestoreOrder, RestoreReport, RestoreState, Source, UndoOrder,
};
use fetch::Fetcher;
use refusals::Needs;
use run::Restore;
use standing::Standing;
pub(crate) use standing::told;

/// One request that holds the host, with all that belongs to it.
struct Run<'a> {
    host: Host,
    masker: Masker,
    asker: &'a Arc<dyn Asker>,
    journal: Journal,
    _lock: Arc<Lock>,
}

impl<'a> Run<'a> {
    /// Takes the host. What a drill left whose agent was killed goes.
    fn begin(
        layout: &Layout,
        name: &str,
        holder: &str,
        masker: Masker,
        asker: &'a Arc<dyn Asker>,
        checked: Verdict,
    ) -> Result<Run<'a>, Refusal> {
        let checked = checked
            .and_then(|()| rules::run(name))
            .and_then(|()| rules::id(holder));
        checked.map_err(|message| refusal(RefusalKind::Invalid, masker.masked(message)))?;
        let lock = Arc::new(Lock::take(layout, name, holder)?);
        asker.has_host(&lock);
        let listener = Arc::clone(asker);
        let lines = masker.clone();
        let say = move |line: &str| listener.event(Event::Output(lines.masked(line.to_owned())));
        let mut host = Host::new(layout.clone(), Intent::Apply, Box::new(say));
        drill::sweep(&mut host);
        Ok(Run {
            host,
            masker,
            asker,
            journal: Journal::new(layout, name, holder),
            _lock: lock,
        })
    }

    /// What the journal says should the agent be killed.
    fn expect(&mut self, what: &str, answer: &Answer) -> Result<(), Refusal> {
        let noted = self.journal.in_hand(what.to_owned(), answer);
        noted.map_err(|error| self.failed(&error))
    }

    /// Keeps the report in the journal until somebody has it.
    fn noted(mut self, answer: &Answer) {
        if let Err(error) = self.journal.finish(answer) {
            self.asker.event(Event::Output(format!(
                "the journal of this run could not be written: {error}"
            )));
        }
    }

    fn failed(&self, error: &Error) -> Refusal {
        refusal(RefusalKind::Failed, self.masker.masked(error.to_string()))
    }
}

/// Restores in place, or beside.
pub(crate) fn restore(
    layout: &Layout,
    name: &str,
    holder: &str,
    order: &RestoreOrder,
    asker: &Arc<dyn Asker>,
) -> Result<RestoreReport, Refusal> {
    let calls = order.paths.iter().map(|back| &back.engine);
    let masker = masker(
        &order.secrets,
        calls.chain(order.dumps.iter().map(|back| &back.engine)),
    );
    let checked = check(order, &masker);
    let mut run = Run::begin(layout, name, holder, masker, asker, checked)?;
    let masker = run.masker.clone();
    let fetcher = Fetcher {
        layout,
        masker: &masker,
        asker,
    };
    let mut report = match &order.into {
        Some(into) => beside(&fetcher, order, into).map_err(|error| run.failed(&error))?,
        None => {
            if let Some(standing) =
                Standing::of(layout, &order.service).map_err(|error| run.failed(&error))?
            {
                let message = format!(
                    "{}; undo it first: `allmende restore SERVICE --undo`",
                    standing.told()
                );
                return Err(refusal(RefusalKind::Failed, message));
            }
            let standing = Standing::new(&order.service, holder);
            let expected = RestoreReport {
                state: RestoreState::Standing,
                ..RestoreReport::default()
            };
            run.expect("a restore", &Answer::Restored(expected))?;
            let mut restore = Restore {
                host: &mut run.host,
                fetcher,
                order,
                standing,
                report: RestoreReport::default(),
            };
            match restore.refuse() {
                Ok(()) => restore.run(),
                Err(error) => {
                    crate::journal::drop_report(layout, name);
                    return Err(run.failed(&error));
                }
            }
        }
    };
    mask(&masker, &mut report);
    run.noted(&Answer::Restored(report.clone()));
    Ok(report)
}

/// Ends a restore that was interrupted.
pub(crate) fn undo(
    layout: &Layout,
    name: &str,
    holder: &str,
    order: &UndoOrder,
    asker: &Arc<dyn Asker>,
) -> Result<RestoreReport, Refusal> {
    let masker = Masker::new(&order.secrets);
    let checked = rules::file_name(&order.service)
        .and_then(|()| steps::check(&order.before, &masker))
        .and_then(|()| steps::check(&order.after, &masker));
    let mut run = Run::begin(layout, name, holder, masker, asker, checked)?;
    let found = Standing::of(layout, &order.service).map_err(|error| run.failed(&error))?;
    let Some(standing) = found else {
        let message = format!("no restore of {} stands unfinished on this host", order.service);
        return Err(refusal(RefusalKind::Failed, message));
    };
    let report = run::settle(&mut run.host, standing, order).map_err(|error| run.failed(&error))?;
    run.noted(&Answer::Restored(report.clone()));
    Ok(report)
}

/// Restores into scratch places, compares, removes.
pub(crate) fn drill(
    layout: &Layout,
    name: &str,
    holder: &str,
    order: &DrillOrder,
    asker: &Arc<dyn Asker>,
) -> Result<DrillReport, Refusal> {
    let calls = order
        .files
        .iter()
        .chain(order.dumps.iter().map(|back| &back.engine));
    let masker = masker(&order.secrets, calls);
    let checked = check_dumps(&order.dumps, &masker).and_then(|()| {
        let files = order.proof.sample.iter();
        files
            .map(|file| &file.path)
            .try_for_each(|path| rules::path(path))?;
        order
            .files
            .iter()
            .try_for_each(|call| engine::check(call, &masker))
    });
    let mut run = Run::begin(layout, name, holder, masker, asker, checked)?;
    let masker = run.masker.clone();
    let fetcher = Fetcher {
        layout,
        masker: &masker,
        asker,
    };
    let mut report = drill::drill(&mut run.host, &fetcher, name, order);
    for text in report.reason.iter_mut().chain(&mut report.left_over) {
        *text = masker.masked(std::mem::take(text));
    }
    run.noted(&Answer::Drilled(report.clone()));
    Ok(report)
}

/// Why what this order reads cannot be backed up right now, if a restore of it stands unfinished.
pub(crate) fn in_the_way(layout: &Layout, order: &BackupOrder) -> Option<String> {
    let mut paths = Vec::new();
    let mut databases = Vec::new();
    for part in &order.parts {
        match &part.source {
            Source::Files { paths: of_part, .. } => paths.extend_from_slice(of_part),
            Source::Dump(dump) => databases.extend(run::database(&dump.from)),
        }
    }
    standing::in_the_way(layout, &paths, &databases)
}

/// Everything into one folder; nothing else is touched.
fn beside(fetcher: &Fetcher<'_>, order: &RestoreOrder, into: &str) -> Result<RestoreReport, Error> {
    let layout = fetcher.layout;
    let folder = layout.at(into);
    let mut needs = Needs::default();
    needs.add(&folder, order.bytes);
    order.dumps.iter().for_each(|dump| needs.add(&folder, dump.bytes));
    if let Some(why) = needs.lacking() {
        return Err(Error::obstacle(
            why,
            "name a folder on another file system, or restore a part of it",
        ));
    }
    empty_folder(&folder)?;
    let mut report = RestoreReport::default();
    for back in &order.paths {
        fetcher.files(&back.engine, &back.path, &folder)?;
        report.paths.push(back.path.clone());
    }
    for back in &order.dumps {
        fetcher.save(&back.engine, &back.id, &folder.join(format!("{}.dump", back.id)))?;
        report.dumps.push(back.id.clone());
    }
    report.state = RestoreState::Restored;
    Ok(report)
}

fn empty_folder(folder: &Path) -> Result<(), Error> {
    match fs::read_dir(folder).map(Iterator::count) {
        Ok(1..) => Err(Error::obstacle(
            format!("{} is not empty", folder.display()),
            "name a folder that is not there yet",
        )),
        Ok(0) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => crate::atomic::make_own_directory(folder),
        Err(error) => Err(error).attempt("reading", folder),
    }
}

fn check(order: &RestoreOrder, masker: &Masker) -> Verdict {
    rules::file_name(&order.service)?;
    order.into.iter().try_for_each(|into| rules::path(into))?;
    steps::check(&order.before, masker)?;
    steps::check(&order.after, masker)?;
    for (number, back) in order.paths.iter().enumerate() {
        rules::path(&back.path)?;
        engine::check(&back.engine, masker)?;
        let others = order
            .paths
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != number);
        if let Some((_, other)) = others
            .into_iter()
            .find(|(_, other)| Path::new(&back.path).starts_with(&other.path))
        {
            return Err(format!(
                "{} lies below {}, which comes back as well",
                back.path, other.path
            ));
        }
    }
    check_dumps(&order.dumps, masker)
}

fn check_dumps(dumps: &[DumpBack], masker: &Masker) -> Verdict {
    for back in dumps {
        rules::file_name(&back.id)?;
        engine::check(&back.engine, masker)?;
        match &back.to {
            DumpSource::Postgres { database } => rules::postgres(database)?,
            DumpSource::Mariadb { database } => rules::mariadb(database)?,
            DumpSource::Command { argv, load, user } => {
                rules::argv(argv)?;
                rules::argv(load)?;
                rules::account(user)?;
            }
        }
    }
    Ok(())
}

fn masker<'a>(secrets: &[String], calls: impl Iterator<Item = &'a EngineCall>) -> Masker {
    let passwords = calls.map(|call| call.password.clone());
    Masker::new(&secrets.iter().cloned().chain(passwords).collect::<Vec<_>>())
}

fn mask(masker: &Masker, report: &mut RestoreReport) {
    if let Some(stopped) = &mut report.stopped {
        *stopped = masker.masked(std::mem::take(stopped));
    }
}

fn refusal(kind: RefusalKind, message: String) -> Refusal {
    Refusal { kind, message }
}
