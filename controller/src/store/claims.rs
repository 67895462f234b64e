//! Claims: who works on a job, and with it on its hosts. A holder renews its lease; one that dies loses it.

use std::time::Duration;

use jiff::Timestamp;

use super::audit::{self, AuditPhase, AuditRecord};
use super::columns::{name, to_json};
use super::connection::Connection;
use super::jobs::{Jobs, get, lease_ended};
use super::query::query;
use super::{Store, StoreError, now};
use crate::model::{Job, JobId, JobState, Name, Outcome};

/// Who wants to work on a job.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// For people: "process 4711 on buero-pc".
    pub holder: &'a str,
    /// For finding out whether the holder still lives.
    pub identity: &'a str,
    /// How long the holder promises to be alive without renewing.
    pub lease: Duration,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// The job and its hosts are the claimer's.
    Yes {
        /// Jobs whose holders died; they held these hosts before.
        interrupted: Vec<Job>,
    },
    /// Another job has one of the hosts.
    Busy {
        /// The host.
        host: Name,
        /// The job that has it.
        by: Box<Job>,
    },
}

impl Jobs<'_> {
    /// Begins to work on a queued job: takes it and all its hosts, or nothing. Jobs whose lease ran out, or whose holder is
    /// gone as `is_gone` finds by its identity, are marked interrupted and lose their hosts.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the job is not queued any more.
    pub async fn claim(
        &self,
        id: JobId,
        claim: Claim<'_>,
        is_gone: impl Fn(&str) -> bool,
    ) -> Result<Claimed, StoreError> {
        let mut transaction = self.0.begin().await?;
        let interrupted = interrupt(self.0, &mut transaction, is_gone).await?;
        let busy: Option<(String, i64)> = query(
            "SELECT h.name, l.job_id FROM job_hosts jh
             JOIN host_locks l ON l.host_id = jh.host_id
             JOIN hosts h ON h.id = jh.host_id
             WHERE jh.job_id = $1 ORDER BY h.name LIMIT 1",
        )
        .bind(id)
        .fetch_optional(&mut *transaction)
        .await?;
        if let Some((host, by)) = busy {
            let by = Box::new(get(&mut transaction, by).await?);
            transaction.commit().await?;
            let host = name(host, "host lock")?;
            return Ok(Claimed::Busy { host, by });
        }
        let at = now();
        let taken = query(
            "UPDATE jobs SET state = 'running', holder = $2, holder_identity = $3, lease_until = $4,
                             attempts = attempts + 1, started_at = $5
             WHERE id = $1 AND state = 'queued'",
        )
        .bind(id)
        .bind(claim.holder)
        .bind(claim.identity)
        .bind(lease_end(at, claim.lease))
        .bind(at.as_millisecond())
        .execute(&mut *transaction)
        .await?;
        if taken == 0 {
            return Err(StoreError::LeaseLost(id));
        }
        query("INSERT INTO host_locks (host_id, job_id) SELECT host_id, job_id FROM job_hosts WHERE job_id = $1")
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(Claimed::Yes { interrupted })
    }

    /// Promises to be alive for another lease.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when somebody else found the lease run out: the work must stop.
    pub async fn renew(&self, id: JobId, claim: Claim<'_>) -> Result<(), StoreError> {
        let renewed = query(
            "UPDATE jobs SET lease_until = $3 WHERE id = $1 AND state = 'running' AND holder_identity = $2",
        )
        .bind(id)
        .bind(claim.identity)
        .bind(lease_end(now(), claim.lease))
        .execute(&self.0.write)
        .await?;
        if renewed == 0 {
            return Err(StoreError::LeaseLost(id));
        }
        Ok(())
    }

    /// Ends a job, gives its hosts back and writes the audit entry, all at once.
    ///
    /// # Errors
    /// [`StoreError::LeaseLost`] when the job was taken away meanwhile.
    pub async fn finish(
        &self,
        id: JobId,
        state: JobState,
        outcome: &Outcome,
        phase: AuditPhase,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        end(self.0, &mut transaction, id, state, outcome, phase).await?;
        transaction.commit().await?;
        self.0.settle().await;
        Ok(())
    }
}

/// Ends a job that is queued or running: its state, its hosts, and the audit entry.
pub(super) async fn end(
    store: &Store,
    connection: &mut Connection,
    id: JobId,
    state: JobState,
    outcome: &Outcome,
    phase: AuditPhase,
) -> Result<Job, StoreError> {
    let ended = query(
        "UPDATE jobs SET state = $2, outcome = $3, ended_at = $4, lease_until = NULL, progress = NULL
         WHERE id = $1 AND state IN ('queued', 'running')",
    )
    .bind(id)
    .bind(state.as_str())
    .bind(to_json(outcome)?)
    .bind(now().as_millisecond())
    .execute(&mut *connection)
    .await?;
    if ended == 0 {
        return Err(StoreError::LeaseLost(id));
    }
    query("DELETE FROM host_locks WHERE job_id = $1")
        .bind(id)
        .execute(&mut *connection)
        .await?;
    let job = get(connection, id).await?;
    let record = AuditRecord {
        actor: &job.actor,
        operation: &job.operation,
        parameters: &job.parameters,
        phase,
        job: Some(id),
        message: &outcome.message,
    };
    audit::append(store, connection, record).await?;
    Ok(job)
}

/// A job that somebody works on, or did.
#[derive(sqlx::FromRow)]
struct Running {
    id: JobId,
    holder: Option<String>,
    holder_identity: Option<String>,
    lease_until: Option<i64>,
}

/// Marks jobs interrupted whose holders are dead.
pub(super) async fn interrupt(
    store: &Store,
    connection: &mut Connection,
    is_gone: impl Fn(&str) -> bool,
) -> Result<Vec<Job>, StoreError> {
    let running: Vec<Running> = query(
        "SELECT id, holder, holder_identity, lease_until FROM jobs WHERE state = 'running' ORDER BY id",
    )
    .fetch_all(&mut *connection)
    .await?;
    let at = now();
    let mut interrupted = Vec::new();
    for job in running {
        let gone = job.holder_identity.as_deref().is_some_and(&is_gone);
        if !gone && !lease_ended(job.lease_until, at) {
            continue;
        }
        let outcome = Outcome {
            message: format!(
                "interrupted: {} is gone",
                job.holder.as_deref().unwrap_or("the process that worked on it")
            ),
            ..Outcome::default()
        };
        let state = JobState::Interrupted;
        interrupted.push(end(store, connection, job.id, state, &outcome, AuditPhase::Failed).await?);
    }
    Ok(interrupted)
}

pub(super) fn lease_end(at: Timestamp, lease: Duration) -> i64 {
    at.as_millisecond()
        .saturating_add(i64::try_from(lease.as_millis()).unwrap_or(i64::MAX))
}
