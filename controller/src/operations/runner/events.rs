//! Writing a job's events down while it runs.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::model::{JobEvent, JobEventKind, JobId};
use crate::operations::{Controller, OperationError};

/// How many events are written at once at most.
const BATCH: usize = 200;

/// Writes events until nobody can send any more. What happens while a batch is written becomes the next batch.
pub async fn write(
    controller: &Controller,
    job: JobId,
    mut receiver: UnboundedReceiver<JobEvent>,
) -> Result<(), OperationError> {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(is_kept);
        controller.store.jobs().add_events(job, &batch).await?;
        batch.clear();
    }
    Ok(())
}

/// Of progress, only that it came to its end: the rest is for whoever looks on.
fn is_kept(event: &JobEvent) -> bool {
    match &event.event {
        JobEventKind::Progress { done, total, .. } => done == total,
        _ => true,
    }
}
