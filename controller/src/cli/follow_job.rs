//! Following a job that another process does: what the store says of it, until it has ended.

use std::time::{Duration, Instant};

use super::follow::Follower;
use crate::model::{Actor, Job, JobEvent, JobId, JobState, Outcome};
use crate::operations::{Controller, Observer, OperationError, cancel_job};

/// How often it is looked.
const POLL: Duration = Duration::from_millis(200);

/// How long a job may be interrupted or wait with no server running before nobody waits for it any longer: a server that was
/// restarted takes it up meanwhile.
const PATIENCE: Duration = Duration::from_secs(30);

/// What Ctrl-C does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interrupt {
    /// It asks for the job to be cancelled, as for a job of one's own.
    Cancels,
    /// It ends looking on, not the job.
    Leaves,
}

/// Shows what happens until the job has ended; what came of it.
///
/// # Errors
/// How it ended, if not well.
pub async fn follow_job(
    controller: &Controller,
    actor: &Actor,
    id: JobId,
    interrupt: Interrupt,
    follower: &Follower,
) -> Result<Outcome, OperationError> {
    let ended = tokio::select! {
        ended = until_it_ends(controller, id, follower) => Some(ended?),
        () = follower.cancelled() => None,
    };
    let job = match (ended, interrupt) {
        (Some(job), _) => job,
        (None, Interrupt::Cancels) => {
            cancel_job(controller, actor, id).await?;
            until_it_ends(controller, id, follower).await?
        }
        (None, Interrupt::Leaves) => {
            return Err(OperationError::Refused(format!(
                "job {id} goes on. Look on again with: allmende job follow {id}"
            )));
        }
    };
    let outcome = job.outcome.unwrap_or_default();
    match job.state {
        JobState::Succeeded => Ok(outcome),
        JobState::Cancelled => Err(OperationError::Cancelled),
        _ => Err(OperationError::Refused(outcome.message)),
    }
}

async fn until_it_ends(
    controller: &Controller,
    id: JobId,
    follower: &Follower,
) -> Result<Job, OperationError> {
    let jobs = controller.store.jobs();
    let mut seen = 0;
    let mut idle_since = Instant::now();
    loop {
        // First the job, then its events: what it did before it ended is shown.
        let job = jobs.get(id).await?;
        for event in jobs.events(id, seen).await? {
            seen = event.sequence;
            follower.event(&event);
        }
        match job.state {
            JobState::Succeeded | JobState::Failed | JobState::Cancelled => return Ok(job),
            JobState::Running => idle_since = Instant::now(),
            JobState::Queued if !controller.servers().await?.is_empty() => idle_since = Instant::now(),
            JobState::Queued | JobState::Interrupted => {}
        }
        if idle_since.elapsed() > PATIENCE {
            return Err(OperationError::Refused(format!(
                "nobody works on job {id}: no server runs. It waits for one; start it with: allmende serve"
            )));
        }
        if let Some(event) = jobs.progress(id).await? {
            follower.event(&JobEvent {
                sequence: seen,
                at: job.created_at,
                event,
            });
        }
        tokio::time::sleep(POLL).await;
    }
}
