//! Bringing a service back from a backup.

use allmende_agent::protocol::{Answer, Request, RestoreReport, RestoreState, UndoOrder};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::chosen::Chosen;
use super::run::RunBackup;
use super::served::ask;
use crate::backup::repository::Permission;
use crate::backup::{Selection, order_steps};
use crate::model::{BackupId, JobEventKind, Name, Outcome, ServiceRef};
use crate::operations::apply::{collect_reports, run_of};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};

/// Brings a service, or a part of it, back from a backup.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreService {
    /// The service.
    pub service: ServiceRef,
    /// The backup; the newest without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<BackupId>,
    /// Only these files and folders.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// Only these dumps.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dumps: Vec<String>,
    /// Into this folder of the host; nothing else is touched.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub into: Option<String>,
    /// Without a backup of what is there now.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_safety: bool,
}

impl RestoreService {
    fn selection(&self, chosen: &Chosen) -> Result<Selection, OperationError> {
        let wanted = &chosen.wanted;
        let mut selection = match (self.paths.as_slice(), self.dumps.as_slice()) {
            ([], []) => Selection::everything(wanted),
            (paths, _) => Selection::of_paths(wanted, paths).map_err(OperationError::Refused)?,
        };
        if !self.dumps.is_empty() {
            selection.dumps.clone_from(&self.dumps);
        }
        selection.into.clone_from(&self.into);
        Ok(selection)
    }

    /// The same with the backup that was meant: one that is made before the job begins is not taken in its place.
    ///
    /// # Errors
    /// When there is none.
    pub async fn decided(mut self, controller: &Controller) -> Result<Self, OperationError> {
        let chosen = Chosen::find(controller, &self.service, self.snapshot).await?;
        self.snapshot = Some(chosen.backup.id);
        Ok(self)
    }

    async fn chosen(&self, controller: &Controller) -> Result<(Chosen, Selection), OperationError> {
        let chosen = Chosen::find(controller, &self.service, self.snapshot).await?;
        let selection = self.selection(&chosen)?;
        Ok((chosen, selection))
    }
}

impl Operation for RestoreService {
    const NAME: &'static str = "backup.restore";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("restore {}", self.service)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        Ok(Scope::organisation(&service.organisation).locking([service.host]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (chosen, selection) = self.chosen(controller).await?;
        let (name, host) = (chosen.service.full_name(), &chosen.service.host);
        let began = chosen.backup.began_at.to_zoned(jiff::tz::TimeZone::system());
        let mut sentences = vec![format!(
            "{name} comes back from backup {}, made {} on {}.",
            chosen.backup.id,
            began.strftime("%Y-%m-%d %H:%M"),
            chosen.backup.host
        )];
        let things: Vec<String> = selection
            .paths
            .iter()
            .cloned()
            .chain(selection.dumps.iter().map(|id| format!("the dump {id}")))
            .collect();
        match &selection.into {
            Some(into) => sentences.push(format!(
                "{} would be put into {into} on {host}; nothing else is touched.",
                things.join(", ")
            )),
            None => {
                sentences.push(format!(
                    "On {host} what is there now would be replaced: {}.",
                    things.join(", ")
                ));
                if !self.no_safety {
                    sentences.push("Before that, what is there now is backed up.".to_owned());
                }
            }
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        // Chosen before the safety backup, which would be the newest.
        let (chosen, selection) = self.chosen(controller).await?;
        let host = controller.store.hosts().get(&chosen.service.host).await?;
        if self.into.is_none() && !self.no_safety {
            let safety = RunBackup {
                host: host.name.clone(),
                services: vec![chosen.service.reference()],
                everything: false,
            };
            let made = safety.make(context).await?;
            let lines = made.lines.join("\n");
            if !made.hold_something() {
                return Err(OperationError::Refused(format!(
                    "what is there now could not be backed up first, so nothing was changed. To restore all the same, add --no-safety\n{lines}"
                )));
            }
            // What was lost is missing in it, which is why somebody restores.
            if !made.are_complete() {
                context.notify(JobEventKind::Warning {
                    text: format!(
                        "What is there now was backed up first, as far as it is still there.\n{lines}"
                    ),
                });
            }
        }
        let (here, snapshots) = chosen.open(controller).await?;
        let session = controller.session(&host).await?;
        collect_reports(&session, &host.name, context).await?;
        let run = run_of(context).await?;
        let id = format!("{}-back", run.id);
        let order = chosen
            .way_back(&here, &snapshots, &id)
            .restore(chosen.service.instance(), &selection)
            .map_err(OperationError::Refused)?;
        let request = Request::Restore {
            run: id,
            holder: run.holder,
            order: Box::new(order),
        };
        let served = || here.served_as(Permission::Read);
        let (answer, said) = ask(context, &session, &host.name, request, served).await?;
        session.close().await;
        for text in said {
            context.notify(JobEventKind::Warning { text });
        }
        outcome(&chosen, &host.name, answer, &selection)
    }
}

/// Ends a restore that was interrupted: puts back what was there, or keeps what was restored.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UndoRestore {
    /// The service.
    pub service: ServiceRef,
    /// Keeps what was restored.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub keep: bool,
}

impl Operation for UndoRestore {
    const NAME: &'static str = "backup.undo";
    const RISK: Risk = Risk::Change;
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        let what = if self.keep { "keep" } else { "undo" };
        format!("{what} the interrupted restore of {}", self.service)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        Ok(Scope::organisation(&service.organisation).locking([service.host]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        let host = controller.store.hosts().get(&service.host).await?;
        let session = controller.session(&host).await?;
        let instance = service.instance();
        let standing = session
            .hello()
            .standing_restores
            .iter()
            .find(|standing| standing.service == instance)
            .map(|standing| standing.told.clone());
        session.close().await;
        let Some(told) = standing else {
            return Err(OperationError::Refused(format!(
                "no restore of {} stands unfinished on {}",
                service.full_name(),
                host.name
            )));
        };
        let then = if self.keep {
            "What was restored would be kept."
        } else {
            "What was there before would be put back."
        };
        Ok(Preview::of([
            format!("On {}, {told}.", host.name),
            then.to_owned(),
        ]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let service = controller.store.services().find(&self.service).await?;
        let host = controller.store.hosts().get(&service.host).await?;
        let (bindings, secrets) = controller.bind(&service).await?;
        let template = controller.catalogue.get(&service.template)?;
        let care = controller.catalogue.care(template, &bindings)?;
        let session = controller.session(&host).await?;
        collect_reports(&session, &host.name, context).await?;
        let run = run_of(context).await?;
        let order = UndoOrder {
            service: service.instance(),
            keep: self.keep,
            before: order_steps(&care.restore.before),
            after: order_steps(&care.restore.after),
            secrets: secrets
                .values()
                .map(|secret| secret.reveal().to_owned())
                .collect(),
        };
        let request = Request::UndoRestore {
            run: run.id,
            holder: run.holder,
            order: Box::new(order),
        };
        let notify = |event| {
            context.notify(JobEventKind::Agent {
                host: host.name.to_string(),
                event,
            });
        };
        let answer = session.request(request, notify).await?;
        session.close().await;
        let name = service.full_name();
        let report = restored(&host.name, answer)?;
        let message = match report.state {
            RestoreState::Restored => format!("{name}: all is restored, and what was there before is gone."),
            _ => format!("{name}: everything is as it was before the restore."),
        };
        Ok(Outcome {
            message,
            changed: true,
            details: json!({ "restore": report }),
            ..Outcome::default()
        })
    }
}

fn restored(host: &Name, answer: Answer) -> Result<RestoreReport, OperationError> {
    match answer {
        Answer::Restored(report) => Ok(report),
        _ => Err(OperationError::Refused(format!(
            "{host} answered something else than what came of the restore"
        ))),
    }
}

/// What came of it, for people; an error unless all is back.
fn outcome(
    chosen: &Chosen,
    host: &Name,
    answer: Answer,
    selection: &Selection,
) -> Result<Outcome, OperationError> {
    let report = restored(host, answer)?;
    let stopped = report.stopped.clone().unwrap_or_default();
    let (name, backup) = (chosen.service.full_name(), chosen.backup.id);
    match report.state {
        // What was there was backed up meanwhile, and would be the newest.
        RestoreState::AsBefore => {
            return Err(OperationError::Refused(format!(
                "{name} was not restored: {stopped}. To try again: allmende restore {name} --snapshot {backup}"
            )));
        }
        RestoreState::Standing => {
            return Err(OperationError::Refused(format!(
                "the restore of {name} stopped in the middle: {stopped}. Put back what was there: allmende restore {name} --undo"
            )));
        }
        RestoreState::Restored => {}
    }
    let mut lines = vec![match &selection.into {
        Some(into) => format!(
            "{name}: {} paths and {} dumps are in {into} on {host}.",
            report.paths.len(),
            report.dumps.len()
        ),
        None => format!(
            "{name}: {} paths and {} dumps are back; it was away for {:.1} s.",
            report.paths.len(),
            report.dumps.len(),
            std::time::Duration::from_millis(report.away_millis.unwrap_or_default()).as_secs_f64(),
        ),
    }];
    if !report.unknown_owners.is_empty() {
        lines.push(format!(
            "Some files belong to users that {host} does not have: {}.",
            report.unknown_owners.join(", ")
        ));
    }
    if !stopped.is_empty() {
        lines.push(stopped);
    }
    Ok(Outcome {
        message: lines.join("\n"),
        changed: true,
        details: json!({ "restore": report }),
        ..Outcome::default()
    })
}
