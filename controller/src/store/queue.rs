//! The queue: jobs that wait for a server, what becomes of those whose holder died, and when old ones are forgotten.

use jiff::Timestamp;

use super::StoreError;
use super::audit::{self, AuditPhase, AuditRecord};
use super::claims::{end, interrupt};
use super::columns::{from_json, to_json};
use super::jobs::{Jobs, get};
use super::query::query;
use crate::model::{Job, JobEventKind, JobId, JobState, Outcome};

/// What came of the wish to cancel a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancelled {
    /// Nobody had begun: it will not be done.
    AtOnce,
    /// Whoever works on it was told.
    Asked,
    /// It had ended before, like this.
    Ended(JobState),
}

impl Jobs<'_> {
    /// Jobs that wait for a server, the oldest first.
    pub async fn waiting(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        let ids: Vec<(JobId,)> =
            query("SELECT id FROM jobs WHERE state = 'queued' AND handed_over = 1 ORDER BY id LIMIT $1")
                .bind(i64::from(limit))
                .fetch_all(&self.0.read)
                .await?;
        let mut connection = self.0.read.acquire().await?;
        let mut jobs = Vec::new();
        for (id,) in ids {
            jobs.push(get(&mut connection, id).await?);
        }
        Ok(jobs)
    }

    /// Marks jobs interrupted whose lease ran out, or whose holder is gone as `is_gone` finds by its identity; so gives their
    /// hosts back.
    pub async fn find_interrupted(&self, is_gone: impl Fn(&str) -> bool) -> Result<Vec<Job>, StoreError> {
        let mut transaction = self.0.begin().await?;
        let interrupted = interrupt(self.0, &mut transaction, is_gone).await?;
        transaction.commit().await?;
        Ok(interrupted)
    }

    /// Interrupted jobs that were handed to a server, begun less than `attempts` times; the oldest first.
    pub async fn to_be_taken_up(&self, attempts: i64) -> Result<Vec<Job>, StoreError> {
        let ids: Vec<(JobId,)> = query(
            "SELECT id FROM jobs WHERE state = 'interrupted' AND handed_over = 1 AND attempts < $1
             AND cancelled_by IS NULL ORDER BY id",
        )
        .bind(attempts)
        .fetch_all(&self.0.read)
        .await?;
        let mut connection = self.0.read.acquire().await?;
        let mut jobs = Vec::new();
        for (id,) in ids {
            jobs.push(get(&mut connection, id).await?);
        }
        Ok(jobs)
    }

    /// Puts an interrupted job back into the queue, and says so in the audit log. Whether it still was one.
    pub async fn take_up(&self, id: JobId) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin().await?;
        let taken = query(
            "UPDATE jobs SET state = 'queued', outcome = NULL, ended_at = NULL WHERE id = $1 AND state = 'interrupted'",
        )
        .bind(id)
        .execute(&mut *transaction)
        .await?;
        if taken == 0 {
            return Ok(false);
        }
        let job = get(&mut transaction, id).await?;
        let record = AuditRecord {
            actor: &job.actor,
            operation: &job.operation,
            parameters: &job.parameters,
            phase: AuditPhase::Asked,
            job: Some(id),
            message: "taken up again: the process that worked on it was gone, and repeating it is safe",
        };
        audit::append(self.0, &mut transaction, record).await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Gives a running job and its hosts back, for another server to begin it anew.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when it is no longer this holder's.
    pub async fn hand_back(&self, id: JobId, identity: &str) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let given = query(
            "UPDATE jobs SET state = 'queued', holder = NULL, holder_identity = NULL, lease_until = NULL, progress = NULL,
                             attempts = attempts - 1
             WHERE id = $1 AND state = 'running' AND holder_identity = $2",
        )
        .bind(id)
        .bind(identity)
        .execute(&mut *transaction)
        .await?;
        if given == 0 {
            return Err(StoreError::LeaseLost(id));
        }
        query("DELETE FROM host_locks WHERE job_id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Somebody wants a job cancelled: one that waits ends now, one that runs is told.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is no such job.
    pub async fn cancel(&self, id: JobId, actor: &str) -> Result<Cancelled, StoreError> {
        let mut transaction = self.0.begin().await?;
        let job = get(&mut transaction, id).await?;
        let cancelled = match job.state {
            JobState::Queued => {
                let outcome = Outcome {
                    message: format!("{actor} cancelled it before it began"),
                    ..Outcome::default()
                };
                let state = JobState::Cancelled;
                end(self.0, &mut transaction, id, state, &outcome, AuditPhase::Refused).await?;
                Cancelled::AtOnce
            }
            JobState::Running | JobState::Interrupted => {
                query("UPDATE jobs SET cancelled_by = $2 WHERE id = $1")
                    .bind(id)
                    .bind(actor)
                    .execute(&mut *transaction)
                    .await?;
                Cancelled::Asked
            }
            ended => Cancelled::Ended(ended),
        };
        transaction.commit().await?;
        Ok(cancelled)
    }

    /// Who wants the job cancelled, if anybody does.
    pub async fn cancelled_by(&self, id: JobId) -> Result<Option<String>, StoreError> {
        let by: Option<(Option<String>,)> = query("SELECT cancelled_by FROM jobs WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.0.read)
            .await?;
        Ok(by.and_then(|(by,)| by))
    }

    /// The number of the last event of a job; 0 before the first.
    pub async fn last_event(&self, id: JobId) -> Result<i64, StoreError> {
        let (last,): (i64,) = query("SELECT COALESCE(MAX(sequence), 0) FROM job_events WHERE job_id = $1")
            .bind(id)
            .fetch_one(&self.0.read)
            .await?;
        Ok(last)
    }

    /// Writes down how far a long step is, in the place of what was there; nothing between such steps.
    pub async fn set_progress(&self, id: JobId, progress: Option<&JobEventKind>) -> Result<(), StoreError> {
        query("UPDATE jobs SET progress = $2 WHERE id = $1 AND state = 'running'")
            .bind(id)
            .bind(progress.map(to_json).transpose()?)
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// How far a long step is, while there is one.
    pub async fn progress(&self, id: JobId) -> Result<Option<JobEventKind>, StoreError> {
        let progress: Option<(Option<String>,)> = query("SELECT progress FROM jobs WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.0.read)
            .await?;
        progress
            .and_then(|(progress,)| progress)
            .map(|text| from_json(&text, &format!("progress of job {id}")))
            .transpose()
    }

    /// How many jobs are in this state.
    pub async fn count(&self, state: JobState) -> Result<i64, StoreError> {
        let (count,): (i64,) = query("SELECT COUNT(*) FROM jobs WHERE state = $1")
            .bind(state.as_str())
            .fetch_one(&self.0.read)
            .await?;
        Ok(count)
    }

    /// Forgets jobs, with their events, that ended before this time; the audit log keeps who asked for them. How many.
    pub async fn forget(&self, ended_before: Timestamp) -> Result<u64, StoreError> {
        let forgotten = query("DELETE FROM jobs WHERE ended_at < $1")
            .bind(ended_before.as_millisecond())
            .execute(&self.0.write)
            .await?;
        Ok(forgotten)
    }
}
