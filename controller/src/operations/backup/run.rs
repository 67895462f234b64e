//! Backing up the services of a host.

use allmende_agent::protocol::{Answer, BackupReport, Request};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::repository::{Here, here};
use super::served::ask;
use crate::backup::{Order, Outcome as Found, parts};
use crate::catalogue::{Backup as Wanted, Care};
use crate::fleet::Session;
use crate::model::{
    Backup, BackupId, BackupOutcome, Host, Name, Outcome, Service, ServiceRef, Size, Snapshot,
};
use crate::operations::apply::{collect_reports, run_of};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::{EndedBackup, NewBackup};

/// Backs up services of one host, one after the other.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunBackup {
    /// The host.
    pub host: Name,
    /// The services.
    #[serde(default)]
    pub services: Vec<ServiceRef>,
    /// All services on the host, whichever there are when it is done: for schedules, which outlive today's list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

impl RunBackup {
    fn names(&self) -> String {
        if self.everything {
            return format!("everything on {}", self.host);
        }
        let names: Vec<String> = self.services.iter().map(ToString::to_string).collect();
        format!("{} on {}", names.join(", "), self.host)
    }

    /// The services that have something to back up.
    async fn inventory(
        &self,
        controller: &Controller,
    ) -> Result<Vec<(Service, Care, Wanted)>, OperationError> {
        let services = if self.everything {
            controller.store.services().on_host(&self.host).await?
        } else {
            let mut services = Vec::new();
            for reference in &self.services {
                services.push(controller.store.services().find(reference).await?);
            }
            services
        };
        let mut with_backup = Vec::new();
        for service in services {
            // One that was never set up has nothing to lose.
            if service.applied.is_none() {
                continue;
            }
            let (bindings, _) = controller.bind(&service).await?;
            let template = controller.catalogue.get(&service.template)?;
            let care = controller.catalogue.care(template, &bindings)?;
            if let Some(wanted) = care.backup.clone() {
                with_backup.push((service, care, wanted));
            }
        }
        Ok(with_backup)
    }

    /// Makes the backups.
    pub(super) async fn make(&self, context: &JobContext<'_>) -> Result<Made, OperationError> {
        let controller = context.controller();
        let inventory = self.inventory(controller).await?;
        let mut made = Made {
            all: inventory.len(),
            ..Made::default()
        };
        if inventory.is_empty() {
            return Ok(made);
        }
        let host = controller.store.hosts().get(&self.host).await?;
        let session = controller.session(&host).await?;
        collect_reports(&session, &host.name, context).await?;
        for (number, (service, care, wanted)) in inventory.iter().enumerate() {
            let run = One {
                context,
                session: &session,
                host: &host,
                service,
                care,
                wanted,
                run: format!("{}-{number}", run_of(context).await?.id),
            };
            match run.all().await {
                Ok(backup) => {
                    made.lines.push(line(&backup));
                    made.backups.push(backup);
                }
                Err(error) => made.lines.push(format!("{}: {error}", service.full_name())),
            }
        }
        session.close().await;
        Ok(made)
    }
}

/// What came of the backups of some services.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// How many services there are.
    all: usize,
    /// Those that were made, each with its outcome.
    backups: Vec<Backup>,
    /// A text for each service, for people.
    pub(super) lines: Vec<String>,
}

impl Made {
    /// Whether each of them holds something that could be brought back.
    pub(super) fn hold_something(&self) -> bool {
        let failed = |backup: &Backup| backup.outcome == Some(BackupOutcome::Failed);
        self.backups.len() == self.all && !self.backups.iter().any(failed)
    }

    /// Whether each of them is complete.
    pub(super) fn are_complete(&self) -> bool {
        let complete = |backup: &Backup| backup.outcome == Some(BackupOutcome::Complete);
        self.backups.len() == self.all && self.backups.iter().all(complete)
    }
}

impl Operation for RunBackup {
    const NAME: &'static str = "backup.run";
    const RISK: Risk = Risk::Change;
    // One that was cut off leaves nothing that a second one minds.
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("back up {}", self.names())
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.host).await?;
        let mut organisations: Vec<Name> = host.organisation.into_iter().collect();
        for reference in &self.services {
            organisations.push(controller.store.services().find(reference).await?.organisation);
        }
        Ok(Scope::organisations(organisations).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let inventory = self.inventory(controller).await?;
        let sentences = inventory.into_iter().map(|(service, _, wanted)| {
            let parts: Vec<String> = parts(&wanted).iter().map(ToString::to_string).collect();
            format!("{} would be backed up: {}", service.full_name(), parts.join(", "))
        });
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let made = self.make(context).await?;
        if made.all == 0 {
            return Ok(Outcome {
                message: format!("{}: nothing there has to be backed up.", self.names()),
                ..Outcome::default()
            });
        }
        if !made.are_complete() {
            let complete = |backup: &&Backup| backup.outcome == Some(BackupOutcome::Complete);
            let good = made.backups.iter().filter(complete).count();
            return Err(OperationError::NotBackedUp {
                good,
                all: made.all,
                lines: made.lines,
            });
        }
        Ok(Outcome {
            message: made.lines.join("\n"),
            changed: true,
            details: json!({ "backups": made.backups }),
            ..Outcome::default()
        })
    }
}

/// What came of a backup, for people.
fn line(backup: &Backup) -> String {
    let name = backup.service();
    let number = backup.id;
    let outcome = backup.outcome.unwrap_or(BackupOutcome::Failed);
    let mut line = format!(
        "{name}: backup {number} is {outcome}, {} files with {}, {} of it new.",
        backup.files, backup.bytes, backup.added_bytes
    );
    for complaint in &backup.complaints {
        line.push_str(&format!("\n  {complaint}"));
    }
    line
}

/// The backup of one service.
struct One<'a> {
    context: &'a JobContext<'a>,
    session: &'a Session,
    host: &'a Host,
    service: &'a Service,
    care: &'a Care,
    wanted: &'a Wanted,
    run: String,
}

impl One<'_> {
    async fn all(&self) -> Result<Backup, OperationError> {
        let controller = self.context.controller();
        let here = here(controller, self.service).await?;
        let (organisation, service) = (&self.service.organisation, &self.service.name);
        let store = controller.store.backups();
        let earlier = store.of_service(organisation, service).await?;
        for lost in earlier.iter().filter(|backup| backup.outcome.is_none()) {
            let why = "The process that worked on it is gone.".to_owned();
            self.end(lost.id, &Found::failed(why), None, &here).await?;
        }
        let last = earlier.iter().find(|backup| {
            matches!(
                backup.outcome,
                Some(BackupOutcome::Complete | BackupOutcome::Incomplete)
            )
        });
        let parts = parts(self.wanted);
        let id = store
            .begin(NewBackup {
                organisation,
                service,
                host: &self.host.name,
                job: Some(self.context.job_id()),
                parts: &parts,
                at: Timestamp::now(),
            })
            .await?;
        let asked = self.ask(id, last, &here).await;
        let (mut found, proof) = match asked {
            Ok((report, misdeeds)) => {
                let mut found = Found::of(&report, &parts, &here.folder);
                let known = store.snapshots_in(&here.repository.id).await?;
                found.refuse_known(|id| known.iter().any(|snapshot| snapshot.id == id));
                misdeeds.into_iter().for_each(|said| found.complain(said));
                (found, serde_json::to_value(&report.proof).ok())
            }
            Err(error) => (Found::failed(error.to_string()), None),
        };
        if let Some(last) = last {
            found.compare(last);
        }
        self.end(id, &found, proof.as_ref(), &here).await?;
        Ok(store.get(id).await?)
    }

    /// Asks the host, and serves the repository to its engines meanwhile.
    async fn ask(
        &self,
        id: BackupId,
        last: Option<&Backup>,
        here: &Here,
    ) -> Result<(BackupReport, Vec<String>), OperationError> {
        let (_, secrets) = self.context.controller().bind(self.service).await?;
        let order = Order {
            id,
            service: self.service,
            care: self.care,
            run: &self.run,
            password: &here.password,
            mount_points: mount_points(last.and_then(|last| last.proof.as_ref())),
            secrets: secrets
                .values()
                .map(|secret| secret.reveal().to_owned())
                .collect(),
        };
        let request = Request::BackUp {
            run: self.run.clone(),
            holder: format!("{}, job {}", self.context.actor().name, self.context.job_id()),
            order: Box::new(order.for_host(self.wanted)),
        };
        let host = &self.host.name;
        let (answer, misdeeds) = ask(self.context, self.session, host, request, || here.served()).await?;
        match answer {
            Answer::Backup(report) => Ok((report, misdeeds)),
            _ => Err(OperationError::Refused(format!(
                "{} answered something else than what came of the backup",
                self.host.name
            ))),
        }
    }

    async fn end(
        &self,
        id: BackupId,
        found: &Found,
        proof: Option<&Value>,
        here: &Here,
    ) -> Result<(), OperationError> {
        let snapshots: Vec<Snapshot> = found
            .snapshots
            .iter()
            .map(|(part, snapshot)| Snapshot {
                backup: id,
                repository: here.repository.id.clone(),
                part: part.clone(),
                id: snapshot.clone(),
                removed_at: None,
            })
            .collect();
        let store = self.context.controller().store.backups();
        let ended = EndedBackup {
            at: Timestamp::now(),
            outcome: found.verdict(),
            complaints: &found.complaints,
            proof,
            files: found.files,
            bytes: Size(found.bytes),
            added_bytes: Size(found.added_bytes),
            snapshots: &snapshots,
        };
        store.end(id, ended).await?;
        here.count(self.context.controller()).await
    }
}

/// What was a file system of its own at the last backup.
fn mount_points(proof: Option<&Value>) -> Vec<String> {
    let known = proof.and_then(|proof| proof["mount_points"].as_array());
    known
        .into_iter()
        .flatten()
        .filter_map(|path| path.as_str().map(str::to_owned))
        .collect()
}
