//! Jobs and their events.

use jiff::Timestamp;

use super::audit::{self, AuditPhase, AuditRecord};
use super::columns::{from_json, optional_time, time, to_json};
use super::connection::Connection;
use super::query::{query, query_scalar};
use super::{Store, StoreError, hosts, now};
use crate::model::{Job, JobEvent, JobId, JobState, Name};

/// The jobs in the store.
pub struct Jobs<'a>(pub(super) &'a Store);

/// A job to be made.
#[derive(Debug, Clone, Copy)]
pub struct NewJob<'a> {
    /// The operation's name.
    pub operation: &'a str,
    /// Its parameters, without secrets.
    pub parameters: &'a serde_json::Value,
    /// In a few words what it is about.
    pub title: &'a str,
    /// Who asks.
    pub actor: &'a str,
    /// Whether a server shall do it; else whoever makes the job.
    pub handed_over: bool,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    id: i64,
    operation: String,
    parameters: String,
    title: String,
    actor: String,
    state: String,
    holder: Option<String>,
    lease_until: Option<i64>,
    attempts: i64,
    created_at: i64,
    started_at: Option<i64>,
    ended_at: Option<i64>,
    outcome: Option<String>,
}

macro_rules! select_job {
    ($rest:literal) => {
        concat!(
            "SELECT j.id, j.operation, j.parameters, j.title, j.actor, j.state, j.holder, j.lease_until, j.attempts,
                    j.created_at, j.started_at, j.ended_at, j.outcome
             FROM jobs j ",
            $rest
        )
    };
}

impl Row {
    /// The job as it stands: one whose lease ran out is interrupted, even before somebody writes that down.
    pub(super) fn job(self, now: Timestamp) -> Result<Job, StoreError> {
        let what = format!("job {}", self.id);
        let state = match JobState::from_word(&self.state) {
            Some(JobState::Running) if lease_ended(self.lease_until, now) => JobState::Interrupted,
            Some(state) => state,
            None => {
                return Err(StoreError::damaged(
                    &what,
                    format!("unknown state {}", self.state),
                ));
            }
        };
        Ok(Job {
            id: self.id,
            operation: self.operation,
            parameters: from_json(&self.parameters, &what)?,
            title: self.title,
            actor: self.actor,
            state,
            holder: self.holder,
            lease_until: optional_time(self.lease_until, &what)?,
            attempts: self.attempts,
            created_at: time(self.created_at, &what)?,
            started_at: optional_time(self.started_at, &what)?,
            ended_at: optional_time(self.ended_at, &what)?,
            outcome: self
                .outcome
                .map(|outcome| from_json(&outcome, &what))
                .transpose()?,
        })
    }
}

impl Jobs<'_> {
    /// Makes a job that nobody works on yet, and writes into the audit log that somebody asks for it. `hosts` are those that it
    /// changes.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for a host that does not exist.
    pub async fn add(
        &self,
        job: NewJob<'_>,
        hosts: impl IntoIterator<Item = &Name>,
    ) -> Result<JobId, StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = insert(self.0, &mut transaction, job, hosts).await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// The newest jobs, newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<Job>, StoreError> {
        let rows: Vec<Row> = query(select_job!("ORDER BY j.id DESC LIMIT $1"))
            .bind(limit)
            .fetch_all(&self.0.read)
            .await?;
        let now = now();
        rows.into_iter().map(|row| row.job(now)).collect()
    }

    /// The job with this number.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is none.
    pub async fn get(&self, id: JobId) -> Result<Job, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        get(&mut connection, id).await
    }

    /// What happened during a job after event number `after`, in order.
    pub async fn events(&self, id: JobId, after: i64) -> Result<Vec<JobEvent>, StoreError> {
        let rows: Vec<(i64, i64, String)> = query(
            "SELECT sequence, at, event FROM job_events WHERE job_id = $1 AND sequence > $2 ORDER BY sequence",
        )
        .bind(id)
        .bind(after)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter()
            .map(|(sequence, at, event)| {
                let what = format!("event {sequence} of job {id}");
                Ok(JobEvent {
                    sequence,
                    at: time(at, &what)?,
                    event: from_json(&event, &what)?,
                })
            })
            .collect()
    }

    /// Writes down what happened.
    pub async fn add_events(&self, id: JobId, events: &[JobEvent]) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        insert_events(&mut transaction, id, events).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Makes a job, and its entry in the audit log, as part of a transaction.
pub(super) async fn insert(
    store: &Store,
    connection: &mut Connection,
    job: NewJob<'_>,
    hosts: impl IntoIterator<Item = &Name>,
) -> Result<JobId, StoreError> {
    let id: JobId = query_scalar(
        "INSERT INTO jobs (operation, parameters, title, actor, state, created_at, handed_over)
         VALUES ($1, $2, $3, $4, 'queued', $5, $6) RETURNING id",
    )
    .bind(job.operation)
    .bind(to_json(job.parameters)?)
    .bind(job.title)
    .bind(job.actor)
    .bind(now().as_millisecond())
    .bind(i64::from(job.handed_over))
    .fetch_one(&mut *connection)
    .await?;
    for host in hosts {
        let host = hosts::id(connection, host).await?;
        query("INSERT INTO job_hosts (job_id, host_id) VALUES ($1, $2)")
            .bind(id)
            .bind(host)
            .execute(&mut *connection)
            .await?;
    }
    let record = AuditRecord {
        actor: job.actor,
        operation: job.operation,
        parameters: job.parameters,
        phase: AuditPhase::Asked,
        job: Some(id),
        message: job.title,
    };
    audit::append(store, connection, record).await?;
    Ok(id)
}

/// Writes down what happened, as part of a transaction.
pub(super) async fn insert_events(
    connection: &mut Connection,
    id: JobId,
    events: &[JobEvent],
) -> Result<(), StoreError> {
    for event in events {
        query("INSERT INTO job_events (job_id, sequence, at, event) VALUES ($1, $2, $3, $4)")
            .bind(id)
            .bind(event.sequence)
            .bind(event.at.as_millisecond())
            .bind(to_json(&event.event)?)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

pub(super) async fn get(connection: &mut Connection, id: JobId) -> Result<Job, StoreError> {
    let row: Option<Row> = query(select_job!("WHERE j.id = $1"))
        .bind(id)
        .fetch_optional(connection)
        .await?;
    row.ok_or_else(|| StoreError::Unknown {
        noun: "job",
        name: id.to_string(),
        hint: "; see: allmende job list".to_owned(),
    })?
    .job(now())
}

/// Whether nobody promises to be alive any longer.
pub(super) fn lease_ended(lease_until: Option<i64>, now: Timestamp) -> bool {
    lease_until.is_none_or(|until| until <= now.as_millisecond())
}
