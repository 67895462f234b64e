//! Backups: look, bring to rest, read part after part, wake, prove.

mod bridge;
mod dump;
pub(crate) mod engine;
mod files;
mod launch;
mod rest;
pub(crate) mod steps;

use std::sync::Arc;

use crate::engine::Asker;
use crate::host::{Accounts, Host, Intent};
use crate::journal::Journal;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::mask::Masker;
use crate::names::{self, Verdict};
use crate::protocol::{
    Answer, BackupOrder, BackupReport, Complaint, CountOrder, Counted, Dump, Event, Part, PartReport,
    Refusal, RefusalKind, Source,
};
use crate::restore;
pub use bridge::{asked_for, bridge, connect};
use engine::Engine;
use files::Survey;
pub use launch::become_engine;
pub use rest::resume;
pub(crate) use rest::wake_left;
use rest::{Rest, Woken};

/// Backs up. The report is in the journal, too; whoever delivers it drops it there.
pub(crate) fn back_up(
    layout: &Layout,
    name: &str,
    holder: &str,
    order: &BackupOrder,
    asker: &Arc<dyn Asker>,
) -> Result<BackupReport, Refusal> {
    let passwords = order.parts.iter().map(|part| part.engine.password.clone());
    let secrets: Vec<String> = order.secrets.iter().cloned().chain(passwords).collect();
    let masker = Masker::new(&secrets);
    check(name, holder, order, &masker).map_err(|message| Refusal {
        kind: RefusalKind::Invalid,
        message: masker.masked(message),
    })?;
    let lock = Arc::new(Lock::take(layout, name, holder)?);
    asker.has_host(&lock);
    if let Some(message) = restore::in_the_way(layout, order) {
        let kind = RefusalKind::Failed;
        return Err(Refusal { kind, message });
    }
    let mut journal = Journal::new(layout, name, holder);
    let run = Run {
        layout,
        name,
        order,
        asker,
        host: Host::new(layout.clone(), Intent::Apply, Box::new(|_| ())),
        masker,
        report: BackupReport::default(),
    };
    // A run that is killed is known by its journal.
    let begun = journal.in_hand("a backup".to_owned(), &Answer::Backup(BackupReport::default()));
    let report = run.all();
    if let Err(error) = begun.and_then(|()| journal.finish(&Answer::Backup(report.clone()))) {
        let line = format!("the journal of this backup could not be written: {error}");
        asker.event(Event::Output(line));
    }
    Ok(report)
}

fn check(name: &str, holder: &str, order: &BackupOrder, masker: &Masker) -> Verdict {
    names::run(name)?;
    names::id(holder)?;
    names::timeout(order.resume_within)?;
    steps::check(&order.quiesce, masker)?;
    steps::check(&order.resume, masker)?;
    for step in &order.resume {
        let given = step.stdin.iter().chain(step.env.values());
        if given.into_iter().any(|value| masker.is_in(value)) {
            return Err(format!(
                "the step {} needs a secret, but the host has to keep on disk what wakes the service",
                step.argv.join(" ")
            ));
        }
    }
    for part in &order.parts {
        names::id(&part.id)?;
        engine::check(&part.engine, masker)?;
        match &part.source {
            Source::Files { paths, .. } => paths.iter().try_for_each(|path| names::path(path))?,
            Source::Dump(dump) => dump::check(dump)?,
        }
    }
    order
        .proof
        .files
        .iter()
        .try_for_each(|files| names::path(&files.path))
}

struct Run<'a> {
    layout: &'a Layout,
    name: &'a str,
    order: &'a BackupOrder,
    asker: &'a Arc<dyn Asker>,
    host: Host,
    masker: Masker,
    report: BackupReport,
}

impl<'a> Run<'a> {
    fn all(mut self) -> BackupReport {
        match self.bring_to_rest() {
            Ok(rest) => {
                let survey = Survey::take(self.layout, &self.order.proof);
                for part in &self.order.parts {
                    if self.asker.is_gone() {
                        break;
                    }
                    self.part(part);
                }
                self.wake(rest);
                self.prove(survey);
            }
            Err(stopped) => self.report.stopped = Some(stopped),
        }
        if self.asker.is_gone() {
            let why = "the connection to the controller ended".to_owned();
            self.report.stopped.get_or_insert(why);
        }
        self.masked()
    }

    /// The service at rest, if it has to be; awake again if that fails.
    fn bring_to_rest(&mut self) -> Result<Option<Rest<'a>>, String> {
        let order = self.order;
        if order.quiesce.is_empty() {
            return Ok(None);
        }
        let rest =
            Rest::promise(self.layout, self.name, &order.resume, order.resume_within).map_err(|error| {
                format!("The host could not promise to wake the service, so it stayed awake: {error}")
            })?;
        for step in &order.quiesce {
            if let Err(error) = steps::run(step, &mut self.host) {
                self.wake(Some(rest));
                return Err(format!("The service could not be brought to rest: {error}"));
            }
        }
        Ok(Some(rest))
    }

    fn wake(&mut self, rest: Option<Rest<'a>>) {
        let woken = match rest {
            Some(rest) => {
                let (woken, seconds) = rest.wake(&mut self.host);
                self.report.at_rest_seconds = Some(seconds);
                woken
            }
            None => rest::run_all(&self.order.resume, &mut self.host).map(|()| Woken::Now),
        };
        let complaint = match woken {
            Ok(Woken::Now) => return,
            Ok(Woken::Before) => Complaint::WokenEarly {
                seconds: self.order.resume_within,
            },
            Err(error) => Complaint::NotResumed {
                reason: error.to_string(),
            },
        };
        self.report.complaints.push(complaint);
    }

    fn part(&mut self, part: &Part) {
        let done = match &part.source {
            Source::Files { paths, mount_points } => self.files(part, paths, mount_points),
            Source::Dump(dump) => self.dump(part, dump),
        };
        let report = done.unwrap_or_else(|refused| PartReport {
            refused: Some(refused),
            ..PartReport::default()
        });
        self.report.parts.push(PartReport {
            id: part.id.clone(),
            ..report
        });
    }

    fn files(
        &mut self,
        part: &Part,
        paths: &[String],
        were_mounted: &[String],
    ) -> Result<PartReport, String> {
        let found = files::look_at(self.layout, paths, were_mounted);
        self.report.complaints.extend(found.complaints);
        self.report.proof.mount_points.extend(found.mount_points);
        if found.paths.is_empty() {
            return Err("none of its paths is there".to_owned());
        }
        let engine = self.engine(part).run(&found.paths)?;
        Ok(PartReport {
            engine,
            ..PartReport::default()
        })
    }

    fn dump(&mut self, part: &Part, dump: &Dump) -> Result<PartReport, String> {
        let before = self.counts(part, dump);
        let program = dump::program(&dump.from, &mut self.host).map_err(|error| error.to_string())?;
        let (engine, fed_bytes) = self
            .engine(part)
            .run_fed(&[], |feed| dump::feed(dump, &program, feed))?;
        let after = self.counts(part, dump);
        for ((order, before), (_, after)) in before.into_iter().zip(after) {
            match before.and_then(|before| Ok((before, after?))) {
                Ok((before, after)) => self.report.proof.counts.push(Counted {
                    part: part.id.clone(),
                    query: order.query.clone(),
                    before,
                    after,
                }),
                Err(reason) => self.report.complaints.push(Complaint::NoCount {
                    query: order.query.clone(),
                    reason,
                }),
            }
        }
        Ok(PartReport {
            engine,
            fed_bytes,
            ..PartReport::default()
        })
    }

    fn counts(&mut self, part: &Part, dump: &Dump) -> Vec<(&'a CountOrder, Result<i64, String>)> {
        let order = self.order;
        let wanted = order.proof.counts.iter().filter(|count| count.part == part.id);
        wanted
            .map(|count| (count, dump::count(&dump.from, &count.query, &mut self.host)))
            .collect()
    }

    fn engine<'r>(&'r self, part: &'r Part) -> Engine<'r> {
        Engine {
            layout: self.layout,
            call: &part.engine,
            part: &part.id,
            masker: &self.masker,
            asker: self.asker,
        }
    }

    fn prove(&mut self, mut survey: Survey) {
        self.report.complaints.append(&mut survey.complaints);
        self.report.proof.files = std::mem::take(&mut survey.files);
        self.report.proof.owners = self.host.accounts().map(Accounts::owners).unwrap_or_default();
        if !self.asker.is_gone() {
            self.report.proof.sample = survey.hash();
        }
    }

    fn masked(mut self) -> BackupReport {
        let masker = &self.masker;
        if let Some(stopped) = &mut self.report.stopped {
            masker.text(stopped);
        }
        for refused in self
            .report
            .parts
            .iter_mut()
            .filter_map(|part| part.refused.as_mut())
        {
            masker.text(refused);
        }
        for complaint in &mut self.report.complaints {
            if let Complaint::NoCount { reason, .. } | Complaint::NotResumed { reason } = complaint {
                masker.text(reason);
            }
        }
        self.report
    }
}
