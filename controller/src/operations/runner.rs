//! Running operations: authorise, audit, job, claim with locks, run, finish. The only way in which anything is done.

mod events;
mod holder;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tokio::sync::mpsc::{self, UnboundedSender};
use tokio::task::JoinSet;

use super::{Controller, Operation, OperationError, Scope};
use crate::model::{Actor, Job, JobEvent, JobEventKind, JobId, JobState, Name, Outcome, Role};
use crate::store::{AuditPhase, AuditRecord, Claimed, NewJob, Store, StoreError};
pub use holder::Holder;

/// How long a holder promises to be alive.
pub const LEASE: Duration = Duration::from_secs(15);

/// How often it renews its promise.
pub const RENEWAL: Duration = Duration::from_secs(5);

/// How often it is looked whether somebody wants the job cancelled.
const CANCEL_POLL: Duration = Duration::from_secs(1);

/// Sees a job's events as they happen; faces implement it.
pub trait Observer: Send + Sync {
    /// Something happened.
    fn event(&self, event: &JobEvent);

    /// Ends when a person wants the job to be cancelled.
    fn cancelled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::pending())
    }

    /// Ends when the process stops: a job that may be repeated is then given back, for another process to do.
    fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
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

/// Runs an operation as a job of this process and returns what came of it.
///
/// # Errors
/// Why it was refused or failed; the audit log and the job say so too.
pub async fn execute<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
    observer: &dyn Observer,
) -> Result<Outcome, OperationError> {
    let job = ask(controller, actor, operation, false).await?;
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
    let claimed = ClaimedJob {
        job,
        holder,
        interrupted,
    };
    claimed.work(controller, actor, operation, observer).await
}

/// Makes a job of an operation that a running server will do, or the next one to run.
///
/// # Errors
/// Why it was refused; the audit log says so too.
pub async fn hand_over<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
) -> Result<JobId, OperationError> {
    ask(controller, actor, operation, true).await
}

/// What becomes a job, without making it one.
pub struct Prepared {
    /// The operation's name.
    pub operation: &'static str,
    /// Its parameters as they are kept.
    pub parameters: serde_json::Value,
    /// In a few words what it is about.
    pub title: String,
    /// Hosts that it changes.
    pub hosts: BTreeSet<Name>,
}

/// Whether somebody may ask for an operation now, for whoever makes the job and the audit log's entry in a transaction of
/// their own.
///
/// # Errors
/// Why it is refused; nothing is written down.
pub async fn prepare<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
) -> Result<Prepared, OperationError> {
    let scope = allow(controller, actor, operation).await?;
    Ok(Prepared {
        operation: O::NAME,
        parameters: kept(controller, operation).await?,
        title: operation.title(),
        hosts: scope.hosts,
    })
}

async fn allow<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
) -> Result<Scope, OperationError> {
    authorise(controller, actor, operation.role(controller).await?)?;
    let scope = operation.scope(controller).await?;
    refuse_locked(controller, &scope).await?;
    Ok(scope)
}

async fn kept<O: Operation>(
    controller: &Controller,
    operation: &O,
) -> Result<serde_json::Value, OperationError> {
    serde_json::to_value(operation.kept(controller).await)
        .map_err(|error| OperationError::Refused(format!("the parameters cannot be written down: {error}")))
}

/// Authorises, and makes the job that the audit log knows.
async fn ask<O: Operation>(
    controller: &Controller,
    actor: &Actor,
    operation: &O,
    handed_over: bool,
) -> Result<JobId, OperationError> {
    let title = operation.title();
    let parameters = kept(controller, operation).await?;
    let scope = match allow(controller, actor, operation).await {
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
        handed_over,
    };
    Ok(controller.store.jobs().add(new, &scope.hosts).await?)
}

/// A job that this process has taken, with its hosts.
pub struct ClaimedJob {
    job: JobId,
    holder: Holder,
    /// Jobs that held the hosts before and whose processes are gone.
    interrupted: Vec<Job>,
}

impl ClaimedJob {
    /// Takes a job that waits; none while other jobs have its hosts, or when somebody else was faster.
    ///
    /// # Errors
    /// What the store says.
    pub async fn take(controller: &Controller, job: JobId) -> Result<Option<Self>, OperationError> {
        let holder = Holder::this_process();
        match claim(controller, job, &holder).await {
            Ok(interrupted) => Ok(Some(Self {
                job,
                holder,
                interrupted,
            })),
            Err(OperationError::Busy { .. } | OperationError::Store(StoreError::LeaseLost(_))) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Does the job, and writes down what happens and what came of it.
    ///
    /// # Errors
    /// Why it failed; the audit log and the job say so too.
    pub async fn work<O: Operation>(
        self,
        controller: &Controller,
        actor: &Actor,
        operation: &O,
        observer: &dyn Observer,
    ) -> Result<Outcome, OperationError> {
        let Self {
            job,
            holder,
            interrupted,
        } = self;
        let (sender, receiver) = mpsc::unbounded_channel();
        let context = JobContext {
            controller,
            actor,
            job,
            observer,
            sequence: AtomicI64::new(controller.store.jobs().last_event(job).await? + 1),
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
        renewal.spawn(keep_lease(controller.store.clone(), job, holder.clone(), RENEWAL));
        let work = async {
            let result = tokio::select! {
                result = operation.run(&context) => result,
                Some(Ok(error)) = renewal.join_next() => Err(error.into()),
                () = observer.cancelled() => Err(OperationError::Cancelled),
                () = cancelled_by_somebody(&controller.store, job) => Err(OperationError::Cancelled),
                () = observer.stopped(), if O::REPEATABLE => Err(OperationError::HandedBack),
            };
            // Without a sender the writer comes to its end.
            drop(context);
            result
        };
        let (result, written) = tokio::join!(work, events::write(controller, job, receiver));
        // A job whose log is lost is no job well done.
        match result.and_then(|outcome| written.map(|()| outcome)) {
            Ok(outcome) => {
                let (state, phase) = (JobState::Succeeded, AuditPhase::Succeeded);
                end(controller, job, state, phase, outcome.clone()).await?;
                Ok(outcome)
            }
            Err(OperationError::HandedBack) => {
                controller.store.jobs().hand_back(job, holder.identity()).await?;
                Err(OperationError::HandedBack)
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
}

/// Ends when somebody has asked, from whatever process, for the job to be cancelled.
async fn cancelled_by_somebody(store: &Store, job: JobId) {
    loop {
        tokio::time::sleep(CANCEL_POLL).await;
        if let Ok(Some(_)) = store.jobs().cancelled_by(job).await {
            return;
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
pub(super) fn authorise(controller: &Controller, actor: &Actor, needed: Role) -> Result<(), OperationError> {
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

/// Refuses to change hosts that somebody has locked.
async fn refuse_locked(controller: &Controller, scope: &Scope) -> Result<(), OperationError> {
    for name in &scope.hosts {
        if let Some(lock) = controller.store.hosts().get(name).await?.lock {
            return Err(OperationError::Locked {
                host: name.clone(),
                by: lock.by,
                since: local_time(lock.since),
                reason: lock.reason,
            });
        }
    }
    Ok(())
}

/// Renews the lease again and again; ends only when it is lost.
async fn keep_lease(store: Store, job: JobId, holder: Holder, every: Duration) -> StoreError {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(every).await;
        let jobs = store.jobs();
        let renewal = jobs.renew(job, holder.claim(LEASE));
        // A database that went silent must not keep us from seeing that the lease has ended.
        let left = LEASE.saturating_sub(renewed.elapsed());
        match tokio::time::timeout(left, renewal).await {
            Ok(Ok(())) => renewed = Instant::now(),
            Ok(Err(error @ StoreError::LeaseLost(_))) => return error,
            // A database that is busy, or a disk that is full, may be well again before the lease ends.
            Ok(Err(error)) if renewed.elapsed() >= LEASE => return error,
            Ok(Err(_)) => {}
            Err(_) => return StoreError::Unreachable("it went silent".to_owned()),
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

/// A time as people here read it, with its date unless that is today's.
fn local_time(at: Timestamp) -> String {
    let here = |at: Timestamp| at.to_zoned(TimeZone::system());
    let (at, now) = (here(at), here(Timestamp::now()));
    let format = if at.date() == now.date() {
        "%H:%M:%S"
    } else {
        "%Y-%m-%d %H:%M:%S"
    };
    at.strftime(format).to_string()
}
