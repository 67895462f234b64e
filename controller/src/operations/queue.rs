//! Cancelling jobs, and asking for them once more.

use serde_json::json;

use super::runner::authorise;
use super::{Controller, OperationError, Request};
use crate::model::{Actor, JobId, JobState, Role};
use crate::store::{AuditPhase, AuditRecord, Cancelled};

/// Ends a job that waits, or tells whoever works on one.
///
/// # Errors
/// When it has ended already, or the actor may not.
pub async fn cancel_job(
    controller: &Controller,
    actor: &Actor,
    id: JobId,
) -> Result<Cancelled, OperationError> {
    authorise(controller, actor, Role::Admin)?;
    let cancelled = controller.store.jobs().cancel(id, &actor.name).await?;
    if let Cancelled::Ended(state) = cancelled {
        return Err(OperationError::Refused(format!("job {id} has {state} already")));
    }
    let record = AuditRecord {
        actor: &actor.name,
        operation: "job.cancel",
        parameters: &json!({ "job": id }),
        phase: AuditPhase::Succeeded,
        job: Some(id),
        message: &format!("{} wants job {id} cancelled", actor.name),
    };
    controller.store.audit().append(record).await?;
    Ok(cancelled)
}

/// Asks once more for what a job did not bring to a good end: a new job, for a server.
///
/// # Errors
/// When it still runs or ended well, when its operation cannot be asked for by name, or the actor may not.
pub async fn retry_job(controller: &Controller, actor: &Actor, id: JobId) -> Result<JobId, OperationError> {
    let job = controller.store.jobs().get(id).await?;
    match job.state {
        JobState::Failed | JobState::Cancelled | JobState::Interrupted => {}
        JobState::Queued | JobState::Running => {
            return Err(OperationError::Refused(format!(
                "job {id} has not ended: follow it with: allmende job follow {id}"
            )));
        }
        JobState::Succeeded => {
            return Err(OperationError::Refused(format!(
                "job {id} ended well: there is nothing to be done again"
            )));
        }
    }
    Request::of(&job)?.hand_over(controller, actor).await
}
