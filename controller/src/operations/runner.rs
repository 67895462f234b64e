//! Running operations: authorise, audit, job, claim with locks, run, finish. The only way in which anything is done.

mod events;
mod holder;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;

use super::{Controller, Operation, OperationError};
use crate::model::{Actor, Job, JobEvent, JobEventKind, JobId, JobState, Outcome, Role};
use crate::store::{AuditPhase, AuditRecord, Claimed, NewJob, Store, StoreError};
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
    let parameters = serde_json::to_value(operation.kept(controller).await).map_err(|error| {
        OperationError::Refused(format!("the parameters cannot be written down: {error}"))
    })?;
    let allowed = async {
        authorise(controller, actor, operation.role(controller).await?)?;
        operation.scope(controller).await
    };
    let scope = match allowed.await {
        Ok(scope) => scope,
        Err(error) => {
            let refused = AuditRecord {
                actor: &actor.name,
                operation: O::NAME,
                parameters: &parameters,
                phase: AuditPhase::Refused,
                job: None,
                message: &error.to_string(),
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
    let holder = Holder::this_process();
    let interrupted = match claim(controller, job, &holder).await {
        Ok(interrupted) => interrupted,
        Err(error) => {
            let refused = end(
                controller,
                job,
                JobState::Failed,
                AuditPhase::Refused,
                message(&error),
            );
            // What stood in the way matters more than that it could not be written down.
            let _ = refused.await;
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
    // On a task of its own, which ends with the set: work that keeps its thread busy must not lose the lease.
    let mut renewal = JoinSet::new();
    renewal.spawn(keep_lease(controller.store.clone(), job, holder, RENEWAL));
    let work = async {
        let result = tokio::select! {
            result = operation.run(&context) => result,
            Some(Ok(error)) = renewal.join_next() => Err(error.into()),
            () = observer.cancelled() => Err(OperationError::Cancelled),
        };
        // Without a sender the writer comes to its end.
        drop(context);
        result
    };
    let (result, written) = tokio::join!(work, events::write(controller, job, receiver));
    // A job whose log is lost is no job well done.
    match result.and_then(|outcome| written.map(|()| outcome)) {
        Ok(outcome) => {
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
            // What went wrong matters more than that it could not be written down; the job will be found interrupted.
            let _ = end(controller, job, state, AuditPhase::Failed, message(&error)).await;
            Err(error)
        }
    }
}

/// Takes the job and its hosts; returns the jobs that held them and whose processes are gone.
async fn claim(controller: &Controller, job: JobId, holder: &Holder) -> Result<Vec<Job>, OperationError> {
    let claimed = controller
        .store
        .jobs()
        .claim(job, holder.claim(LEASE), Holder::is_gone)
        .await?;
    match claimed {
        Claimed::Yes { interrupted } => Ok(interrupted),
        Claimed::Busy { host, by } => Err(OperationError::Busy {
            host,
            job: by.id,
            since: local_time(by.started_at.unwrap_or(by.created_at)),
            title: by.title,
            actor: by.actor,
        }),
    }
}

/// Who may do what. Until people have roles, whoever owns the data directory is an owner, and nobody else has a role.
fn authorise(controller: &Controller, actor: &Actor, needed: Role) -> Result<(), OperationError> {
    use std::os::unix::fs::MetadataExt;
    let user = rustix::process::geteuid();
    let held = std::fs::metadata(&controller.data_dir)
        .ok()
        .filter(|metadata| user.is_root() || user.as_raw() == metadata.uid())
        .map(|_| Role::Owner);
    match held {
        Some(held) if held.includes(needed) => Ok(()),
        _ => Err(OperationError::Refused(format!(
            "{} may not do this, it takes the role {needed}: the data directory belongs to somebody else",
            actor.name
        ))),
    }
}

/// Renews the lease again and again; ends only when it is lost.
async fn keep_lease(store: Store, job: JobId, holder: Holder, every: Duration) -> StoreError {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(every).await;
        match store.jobs().renew(job, holder.claim(LEASE)).await {
            Ok(()) => renewed = Instant::now(),
            Err(error @ StoreError::LeaseLost(_)) => return error,
            // A database that is busy, or a disk that is full, may be well again before the lease ends.
            Err(error) if renewed.elapsed() >= LEASE => return error,
            Err(_) => {}
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
