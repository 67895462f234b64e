//! Running operations: authorise, audit, job, claim with locks, run, finish. The only way in which anything is done.

mod events;
mod holder;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, UnboundedSender};

use super::{Controller, Operation, OperationError, Risk};
use crate::model::{Actor, JobEvent, JobEventKind, JobId, JobState, Outcome};
use crate::store::{AuditPhase, AuditRecord, Claim, Claimed, NewJob};
use holder::Holder;

/// How long a holder promises to be alive.
const LEASE: Duration = Duration::from_secs(15);

/// How often it renews its promise.
const RENEWAL: Duration = Duration::from_secs(5);

/// Sees a job's events as they happen; faces implement it.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &JobEvent);

    /// Ends when a person wants the job to be cancelled.
    fn cancelled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }
}

/// What an operation has at hand while it runs.
pub struct JobContext<'a> {
    controller: &'a Controller,
    actor: &'a Actor,
    job: JobId,
    observer: &'a dyn Observer,
    sequence: AtomicI64,
    sender: UnboundedSender<JobEvent>,
}

impl<'a> JobContext<'a> {
    /// Everything that the controller knows.
    pub fn controller(&self) -> &'a Controller {
        self.controller
    }

    /// Who asked.
    pub fn actor(&self) -> &'a Actor {
        self.actor
    }

    /// The job's number.
    pub fn job_id(&self) -> JobId {
        self.job
    }

    /// Tells that something happened; never a secret.
    pub fn notify(&self, event: JobEventKind) {
        let event = JobEvent {
            sequence: self.sequence.fetch_add(1, Ordering::Relaxed),
            at: Timestamp::now(),
            event,
        };
        self.observer.event(&event);
        // The writer ends after the operation; an event that comes later still was seen.
        let _ = self.sender.send(event);
    }
}

/// Runs an operation as a job and returns what came of it.
///
/// # Errors
/// Why it was refused or failed; the audit log and the job say so too.
pub async fn execute<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
    observer: &dyn Observer,
) -> Result<Outcome, OperationError> {
    let title = operation.title();
    let parameters = serde_json::to_value(operation).map_err(|error| {
        OperationError::Refused(format!("the parameters cannot be written down: {error}"))
    })?;
    let record = AuditRecord {
        actor: &actor.name,
        operation: O::NAME,
        parameters: &parameters,
        phase: AuditPhase::Asked,
        job: None,
        message: &title,
    };
    let scope = match authorise(controller, actor, O::RISK) {
        Ok(()) => operation.scope(controller).await,
        Err(error) => Err(error),
    };
    let scope = match scope {
        Ok(scope) => scope,
        Err(error) => {
            let message = error.to_string();
            let refused = AuditRecord {
                phase: AuditPhase::Refused,
                message: &message,
                ..record
            };
            controller.store.audit().append(refused).await?;
            return Err(error);
        }
    };
    let new = NewJob {
        operation: O::NAME,
        parameters: &parameters,
        title: &title,
        actor: &actor.name,
    };
    let job = controller.store.jobs().add(new, &scope.hosts).await?;
    let asked = AuditRecord {
        job: Some(job),
        ..record
    };
    controller.store.audit().append(asked).await?;

    let holder = Holder::this_process();
    let claim = Claim {
        holder: holder.text(),
        identity: holder.identity(),
        lease: LEASE,
    };
    let interrupted = match controller.store.jobs().claim(job, claim, Holder::is_gone).await? {
        Claimed::Yes { interrupted } => interrupted,
        Claimed::Busy { host, by } => {
            let error = OperationError::Busy {
                host,
                job: by.id,
                since: local_time(by.started_at.unwrap_or(by.created_at)),
                title: by.title,
                actor: by.actor,
            };
            end(
                controller,
                job,
                JobState::Failed,
                AuditPhase::Refused,
                message(&error),
            )
            .await?;
            return Err(error);
        }
    };

    let (sender, receiver) = mpsc::unbounded_channel();
    let context = JobContext {
        controller,
        actor,
        job,
        observer,
        sequence: AtomicI64::new(1),
        sender,
    };
    for other in interrupted {
        context.notify(JobEventKind::Warning {
            text: format!(
                "Job {} ({}) was interrupted: the process that worked on it is gone.",
                other.id, other.title
            ),
        });
    }
    let work = async {
        let result = tokio::select! {
            result = operation.run(&context) => result,
            error = keep_lease(controller, job, claim) => Err(error),
            () = observer.cancelled() => Err(OperationError::Cancelled),
        };
        // Without a sender the writer comes to its end.
        drop(context);
        result
    };
    let (result, written) = tokio::join!(work, events::write(controller, job, receiver));
    match result {
        Ok(outcome) => {
            written?;
            end(
                controller,
                job,
                JobState::Succeeded,
                AuditPhase::Succeeded,
                outcome.clone(),
            )
            .await?;
            Ok(outcome)
        }
        Err(error) => {
            let state = match error {
                OperationError::Cancelled => JobState::Cancelled,
                _ => JobState::Failed,
            };
            end(controller, job, state, AuditPhase::Failed, message(&error)).await?;
            Err(error)
        }
    }
}

/// Who may do what. Until people have roles, whoever owns the data directory may do everything.
fn authorise(controller: &Controller, actor: &Actor, _risk: Risk) -> Result<(), OperationError> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid();
    let owner = std::fs::metadata(&controller.data_dir).map(|metadata| metadata.uid());
    match owner {
        Ok(owner) if user.is_root() || user.as_raw() == owner => Ok(()),
        _ => Err(OperationError::Refused(format!(
            "{} may not do this: the data directory belongs to somebody else",
            actor.name
        ))),
    }
}

/// Renews the lease for as long as it is polled; ends only when the lease is lost.
async fn keep_lease(controller: &Controller, job: JobId, claim: Claim<'_>) -> OperationError {
    loop {
        tokio::time::sleep(RENEWAL).await;
        if let Err(error) = controller.store.jobs().renew(job, claim).await {
            return error.into();
        }
    }
}

async fn end(
    controller: &Controller,
    job: JobId,
    state: JobState,
    phase: AuditPhase,
    outcome: Outcome,
) -> Result<(), OperationError> {
    Ok(controller
        .store
        .jobs()
        .finish(job, state, &outcome, phase)
        .await?)
}

fn message(error: &OperationError) -> Outcome {
    Outcome {
        message: error.to_string(),
        ..Outcome::default()
    }
}

fn local_time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::system()).strftime("%H:%M:%S").to_string()
}
