//! Writing a job's events down while it runs.

use tokio::sync::mpsc::UnboundedReceiver;

use crate::model::{JobEvent, JobEventKind, JobId};
use crate::operations::{Controller, OperationError};
use crate::store::StoreError;

/// How many events are written at once at most.
const BATCH: usize = 200;

/// How often it is tried again when other processes keep the database busy; each time has its own seconds of waiting.
const PATIENCE: usize = 5;

/// Writes events until nobody can send any more. What happens while a batch is written becomes the next batch.
pub async fn write(
    controller: &Controller,
    job: JobId,
    mut receiver: UnboundedReceiver<JobEvent>,
) -> Result<(), OperationError> {
    let mut batch = Vec::new();
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        batch.retain(is_kept);
        let mut written = controller.store.jobs().add_events(job, &batch).await;
        for _ in 0..PATIENCE {
            if !matches!(written, Err(StoreError::Locked)) {
                break;
            }
            written = controller.store.jobs().add_events(job, &batch).await;
        }
        written?;
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
