//! Compares a desired state with the host, and changes the host.

use std::sync::Arc;

use crate::error::Error;
use crate::handlers;
use crate::host::{Host, Intent};
use crate::journal::Journal;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::mask::Masker;
use crate::pending::Pending;
use crate::protocol::{
    Action, Answer, DesiredState, Event, Refusal, RefusalKind, Report, Resource, ResourceReport, Section,
};
use crate::resources::{Difference, ResourceSpec};

/// What a report's diffs may weigh together, in bytes, so that it fits into a frame.
const DIFFS: usize = 1024 * 1024;

/// Whoever asked: gets events, and may go away.
pub(crate) trait Asker: Send + Sync {
    /// Something happened.
    fn event(&self, event: Event);
    /// Nobody listens any more: the run ends after the resource in hand.
    fn is_gone(&self) -> bool;
    /// The run holds the host; whoever else wants it is to be told when nobody listens any more.
    fn has_host(&self, _lock: &Arc<Lock>) {}
}

/// Compares; changes nothing.
pub(crate) fn plan(
    layout: &Layout,
    desired: &DesiredState,
    asker: &Arc<dyn Asker>,
) -> Result<Report, Refusal> {
    let mut run = Run::new(layout, desired, asker, Intent::Plan, None)?;
    run.all(desired);
    Ok(run.report)
}

/// Compares and changes. The report is in the journal, too, if anything was changed or nobody listens any more;
/// whoever delivers it drops it there.
pub(crate) fn apply(
    layout: &Layout,
    name: &str,
    holder: &str,
    desired: &DesiredState,
    asker: &Arc<dyn Asker>,
) -> Result<Report, Refusal> {
    let invalid = |message| Refusal {
        kind: RefusalKind::Invalid,
        message,
    };
    crate::names::run(name).map_err(invalid)?;
    crate::names::id(holder).map_err(invalid)?;
    let journal = Journal::new(layout, name, holder);
    let mut run = Run::new(layout, desired, asker, Intent::Apply, Some(journal))?;
    let lock = Arc::new(Lock::take(layout, name, holder)?);
    asker.has_host(&lock);
    run.needs_blobs(desired)?;
    run.all(desired);
    let written = match &mut run.journal {
        Some(journal) if run.changed || asker.is_gone() => {
            journal.finish(&Answer::Report(run.report.clone()))
        }
        _ => Ok(()),
    };
    if let Err(error) = written {
        run.note(format!("the journal of this run could not be written: {error}"));
    }
    Ok(run.report)
}

/// Why a run ends before its end.
struct Stopped(String);

struct Run<'a> {
    host: Host,
    asker: &'a Arc<dyn Asker>,
    journal: Option<Journal>,
    report: Report,
    /// Whether anything was changed, or tried.
    changed: bool,
    position: usize,
    total: usize,
    diffs: usize,
}

impl<'a> Run<'a> {
    fn new(
        layout: &Layout,
        desired: &DesiredState,
        asker: &'a Arc<dyn Asker>,
        intent: Intent,
        journal: Option<Journal>,
    ) -> Result<Run<'a>, Refusal> {
        desired.check().map_err(|message| Refusal {
            kind: RefusalKind::Invalid,
            message,
        })?;
        let masker = Masker::new(&desired.secrets);
        let listener = Arc::clone(asker);
        let say = move |line: &str| listener.event(Event::Output(masker.masked(line.to_owned())));
        let mut host = Host::new(layout.clone(), intent, Box::new(say));
        host.expect(desired);
        Ok(Run {
            host,
            asker,
            journal,
            report: Report::default(),
            changed: false,
            position: 0,
            total: desired
                .sections
                .iter()
                .map(|section| section.resources.len())
                .sum(),
            diffs: 0,
        })
    }

    /// Refuses before any change if an archive has to be unpacked that is not there.
    fn needs_blobs(&mut self, desired: &DesiredState) -> Result<(), Refusal> {
        let mut missing = Vec::new();
        for resource in desired.sections.iter().flat_map(|section| &section.resources) {
            if let ResourceSpec::Archive(archive) = &resource.spec
                && archive.lacks_blob(&mut self.host)
            {
                missing.push(archive.sha256.clone());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        Err(Refusal {
            kind: RefusalKind::BlobsMissing,
            message: format!(
                "archives have to be sent to this host first: {}",
                missing.join(", ")
            ),
        })
    }

    fn all(&mut self, desired: &DesiredState) {
        for section in &desired.sections {
            if let Err(Stopped(why)) = self.section(section) {
                self.report.stopped = Some(self.host.masker.masked(why));
                return;
            }
        }
    }

    fn section(&mut self, section: &Section) -> Result<(), Stopped> {
        let in_section = |error: Error| Stopped(format!("{}: {error}", section.name));
        let mut pending = Pending::of(&self.host.layout, &section.name).map_err(in_section)?;
        for resource in &section.resources {
            self.still_asked()?;
            let subject = resource.spec.manage().subject();
            let report = self
                .resource(section, resource, &subject, &mut pending)
                .map_err(|error| {
                    let (kind, id) = (resource.spec.kind(), &resource.id);
                    let named = if subject == *id || *id == format!("{kind} {subject}") {
                        String::new()
                    } else {
                        format!(" ({id})")
                    };
                    Stopped(format!("{}: {kind} {subject}{named}: {error}", section.name))
                })?;
            self.report.resources.push(report);
            self.position += 1;
        }
        if self.host.intent == Intent::Apply {
            let known: Vec<&str> = section
                .handlers
                .iter()
                .map(|handler| handler.id.as_str())
                .collect();
            pending.keep_only(&known).map_err(in_section)?;
        }
        for handler in section
            .handlers
            .iter()
            .filter(|handler| pending.has(&handler.id))
            .collect::<Vec<_>>()
        {
            let left_over = pending.is_left_over(&handler.id);
            let report = self
                .host
                .masker
                .handler(handlers::report(&section.name, handler, left_over));
            if self.host.intent == Intent::Apply {
                self.still_asked()?;
                let failed = |error: Error| Stopped(format!("{}: {}: {error}", section.name, report.what));
                self.begin(format!("{}: {}", section.name, report.what));
                handlers::run(handler, &mut self.host).map_err(failed)?;
                pending.done(&handler.id).map_err(failed)?;
                self.asker.event(Event::Handled(report.clone()));
            }
            self.report.handlers.push(report);
        }
        Ok(())
    }

    fn resource(
        &mut self,
        section: &Section,
        resource: &Resource,
        subject: &str,
        pending: &mut Pending,
    ) -> Result<ResourceReport, Error> {
        let manage = resource.spec.manage();
        let kind = resource.spec.kind();
        let difference = manage.compare(&mut self.host)?;
        let mut report = ResourceReport {
            section: section.name.clone(),
            id: resource.id.clone(),
            kind: kind.to_owned(),
            subject: subject.to_owned(),
            action: difference
                .as_ref()
                .map_or(Action::None, |difference| difference.action),
            changes: difference
                .as_ref()
                .map_or_else(Vec::new, |difference| difference.changes.clone()),
        };
        report = self.host.masker.resource(report);
        self.weigh(&mut report);
        let Some(difference) = difference else {
            return Ok(report);
        };
        if self.host.intent == Intent::Plan {
            pending.note(&resource.notify);
            return Ok(report);
        }
        pending.add(&resource.notify)?;
        self.begin(format!("{kind} {}", report.subject));
        self.asker.event(Event::Started {
            section: section.name.clone(),
            id: resource.id.clone(),
            kind: kind.to_owned(),
            subject: report.subject.clone(),
            position: self.position,
            total: self.total,
        });
        manage.change(&mut self.host, &difference)?;
        self.prove(&resource.spec)?;
        self.asker.event(Event::Changed(report.clone()));
        Ok(report)
    }

    /// Reads again what was changed.
    fn prove(&mut self, spec: &ResourceSpec) -> Result<(), Error> {
        match spec.manage().compare(&mut self.host)? {
            None => Ok(()),
            Some(left) => Err(Error::NotProven(Difference::described(&left))),
        }
    }

    /// A change begins: the journal has to know.
    fn begin(&mut self, what: String) {
        self.changed = true;
        let written = match &mut self.journal {
            Some(journal) => journal.in_hand(what, &Answer::Report(self.report.clone())),
            None => Ok(()),
        };
        if let Err(error) = written {
            self.note(format!("the journal of this run could not be written: {error}"));
        }
    }

    fn note(&self, line: String) {
        self.asker.event(Event::Output(self.host.masker.masked(line)));
    }

    fn still_asked(&self) -> Result<(), Stopped> {
        if self.asker.is_gone() {
            return Err(Stopped(format!(
                "the connection to the controller ended after {} of {} resources; the rest is as it was",
                self.position, self.total,
            )));
        }
        Ok(())
    }

    fn weigh(&mut self, report: &mut ResourceReport) {
        for change in &mut report.changes {
            let weight = change.diff.as_ref().map_or(0, String::len);
            if self.diffs + weight > DIFFS {
                change.diff = None;
            } else {
                self.diffs += weight;
            }
        }
    }
}
