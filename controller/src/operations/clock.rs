//! The tick: makes jobs of schedules whose times have come. A server does it every few seconds; several may.

use jiff::Timestamp;

use super::{Controller, OperationError, Request};
use crate::model::{Actor, Due, Name};
use crate::store::{DueSchedule, NewJob, Serving, Start, StoreError};

/// A time that was served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Served {
    /// Whose.
    pub schedule: Name,
    /// Which, and how many were missed before it.
    pub due: Due,
    /// What came of it.
    pub serving: Serving,
    /// Why nothing was asked for, where that was refused.
    pub refusal: Option<String>,
}

/// Serves at most `limit` schedules whose times have come, those that wait longest first; what stood in the way of others, which
/// the next tick tries again.
///
/// Each is served in one transaction, so that the process may be killed at any moment, and others may do the same meanwhile. What
/// is refused (its host is locked, or gone) is not tried again before the schedule's next time.
///
/// # Errors
/// When the store cannot be asked.
pub async fn fire_due(
    controller: &Controller,
    now: Timestamp,
    limit: usize,
) -> Result<(Vec<Served>, Vec<OperationError>), OperationError> {
    let (due, unreadable) = controller.store.schedules().due(now).await?;
    let mut problems: Vec<OperationError> = unreadable.into_iter().map(OperationError::from).collect();
    let mut served = Vec::new();
    for one in due.iter().take(limit) {
        match serve(controller, one, now).await {
            Ok(done) => served.push(done),
            Err(error) => problems.push(error),
        }
    }
    Ok((served, problems))
}

async fn serve(controller: &Controller, one: &DueSchedule, now: Timestamp) -> Result<Served, OperationError> {
    let schedule = &one.schedule;
    let actor = Actor {
        name: format!("schedule {}", schedule.name),
    };
    let prepared = match Request::parse(&schedule.operation, &schedule.parameters) {
        Ok(request) => request.prepare(controller, &actor).await,
        Err(error) => Err(error),
    };
    let mut refusal = None;
    let schedules = controller.store.schedules();
    let serving = match prepared {
        Ok(prepared) => {
            let job = NewJob {
                operation: prepared.operation,
                parameters: &prepared.parameters,
                title: &prepared.title,
                actor: &actor.name,
                handed_over: true,
            };
            schedules
                .serve(one, now, Start::Job(job, &prepared.hosts))
                .await?
        }
        Err(error) if passes(&error) => return Err(error),
        Err(error) => {
            let reason = refusal.insert(error.to_string());
            let start = Start::Refused {
                actor: &actor.name,
                reason,
            };
            schedules.serve(one, now, start).await?
        }
    };
    Ok(Served {
        schedule: schedule.name.clone(),
        due: one.due,
        serving,
        refusal,
    })
}

/// Whether it is about the database, and so may be well again in a moment.
fn passes(error: &OperationError) -> bool {
    matches!(
        error,
        OperationError::Store(
            StoreError::Locked
                | StoreError::Unreachable(_)
                | StoreError::Unusable(_)
                | StoreError::Database(_)
        )
    )
}
