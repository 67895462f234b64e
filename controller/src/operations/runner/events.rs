//! Writing a job's events down while it runs.

use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedReceiver;

use crate::model::{JobEvent, JobEventKind, JobId};
use crate::operations::{Controller, OperationError};
use crate::store::StoreError;

/// How often it is written down how far a long step is, for those who look on from other processes.
const PROGRESS: Duration = Duration::from_millis(500);

/// How many events are written at once at most.
const BATCH: usize = 200;

/// How often it is tried again when other processes keep the database busy, or it is not reached.
const PATIENCE: usize = 5;

/// How long it is waited before; what keeps a database busy was waited for already.
const PAUSE: Duration = Duration::from_secs(1);

/// Writes events until nobody can send any more. What happens while a batch is written becomes the next batch.
pub async fn write(
    controller: &Controller,
    job: JobId,
    mut receiver: UnboundedReceiver<JobEvent>,
) -> Result<(), OperationError> {
    let mut batch = Vec::new();
    let mut shown = Instant::now();
    while receiver.recv_many(&mut batch, BATCH).await > 0 {
        if let Some(newest) = batch.iter().rfind(|event| is_progress(&event.event))
            && shown.elapsed() >= PROGRESS
        {
            shown = Instant::now();
            // Whoever looks on from elsewhere sees the next one.
            let _ = controller
                .store
                .jobs()
                .set_progress(job, Some(&newest.event))
                .await;
        }
        batch.retain(is_kept);
        let mut written = controller.store.jobs().add_events(job, &batch).await;
        for _ in 0..PATIENCE {
            match written {
                Err(StoreError::Locked) => {}
                Err(StoreError::Unreachable(_)) => tokio::time::sleep(PAUSE).await,
                _ => break,
            }
            written = controller.store.jobs().add_events(job, &batch).await;
        }
        written?;
        batch.clear();
    }
    Ok(())
}

fn is_progress(event: &JobEventKind) -> bool {
    matches!(event, JobEventKind::Progress { .. })
}

/// Of progress, only that it came to its end: the rest is for whoever looks on.
fn is_kept(event: &JobEvent) -> bool {
    match &event.event {
        JobEventKind::Progress { done, total, .. } => done == total,
        _ => true,
    }
}
