//! Schedules, and the times that were served: each once, whoever looks, however often.
//!
//! Every schedule has an *anchor*: times up to it are dealt with. It is moved to the last time that has come in the same
//! transaction that makes the job, and by nobody who saw it stand elsewhere; so two controllers never serve one time twice, and
//! a killed one leaves either both or nothing. A clock that is set back finds the anchor ahead of it, and waits until it is
//! reached; unless it was set by a clock that was ahead by more than [`CLOCK_DOUBT`]: then it is set anew, as nobody shall wait for
//! years.

use std::collections::BTreeSet;

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::audit::{self, AuditPhase, AuditRecord};
use super::columns::{from_json, name, time, to_json};
use super::connection::Connection;
use super::jobs::{NewJob, insert, insert_events};
use super::query::query;
use super::{Store, StoreError, now, organisations};
use crate::model::{Due, JobEvent, JobEventKind, JobId, JobState, Name, Schedule};

/// An anchor that was set further ahead of now than this was set by a clock that was wrong.
const CLOCK_DOUBT: SignedDuration = SignedDuration::from_hours(24);

/// For how long it is remembered which times were served; the last is never forgotten.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(24 * 90);

/// The schedules in the store.
pub struct Schedules<'a>(pub(super) &'a Store);

/// A schedule of which a time has come.
#[derive(Debug, Clone, PartialEq)]
pub struct DueSchedule {
    /// The schedule.
    pub schedule: Schedule,
    /// What has come.
    pub due: Due,
    id: i64,
    anchor: i64,
    revision: i64,
}

/// What is done about a time that has come.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// This job, which changes these hosts.
    Job(NewJob<'a>, &'a BTreeSet<Name>),
    /// Nothing, for this reason; the audit log is told who would have asked.
    Refused {
        /// Who would have asked.
        actor: &'a str,
        /// Why not.
        reason: &'a str,
    },
}

/// What came of serving a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Serving {
    /// This job was made.
    Job(JobId),
    /// It was written down that there is none.
    Refused,
    /// Somebody else was faster, or the schedule was changed meanwhile.
    Already,
}

/// A time that was served.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ScheduleRun {
    /// The time, as written in the schedule.
    pub due_at: Timestamp,
    /// How many times before it were missed and are served with it.
    pub missed: i64,
    /// When it was served.
    pub fired_at: Timestamp,
    /// The job; none when it was refused, or is so old that it was forgotten.
    pub job: Option<JobId>,
    /// Where the job stands.
    pub state: Option<JobState>,
    /// Why there is no job.
    pub refusal: Option<String>,
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    name: String,
    organisation: Option<String>,
    operation: String,
    parameters: String,
    recurrence: String,
    zone: String,
    jitter_seconds: i64,
    paused: Option<String>,
    created_by: String,
    created_at: i64,
    anchor: i64,
    anchor_set_at: i64,
    revision: i64,
}

#[derive(sqlx::FromRow)]
struct RunRow {
    due_at: i64,
    missed: i64,
    fired_at: i64,
    job_id: Option<i64>,
    refusal: Option<String>,
}

macro_rules! select_schedule {
    ($rest:literal) => {
        concat!(
            "SELECT s.id, s.name, o.name AS organisation, s.operation, s.parameters, s.recurrence, s.zone, s.jitter_seconds,
                    s.paused, s.created_by, s.created_at, s.anchor, s.anchor_set_at, s.revision
             FROM schedules s LEFT JOIN organisations o ON o.id = s.organisation_id ",
            $rest
        )
    };
}

impl Row {
    fn schedule(&self) -> Result<Schedule, StoreError> {
        let what = format!("schedule {}", self.name);
        Ok(Schedule {
            name: name(self.name.clone(), &what)?,
            organisation: self
                .organisation
                .clone()
                .map(|text| name(text, &what))
                .transpose()?,
            operation: self.operation.clone(),
            parameters: from_json(&self.parameters, &what)?,
            recurrence: self
                .recurrence
                .parse()
                .map_err(|error| StoreError::damaged(&what, error))?,
            zone: self
                .zone
                .parse()
                .map_err(|error| StoreError::damaged(&what, error))?,
            jitter_seconds: self.jitter_seconds,
            paused: self
                .paused
                .as_deref()
                .map(|paused| from_json(paused, &what))
                .transpose()?,
            created_by: self.created_by.clone(),
            created_at: time(self.created_at, &what)?,
        })
    }

    /// What of it has come.
    fn due(&self, now: Timestamp) -> Result<Option<DueSchedule>, StoreError> {
        let schedule = self.schedule()?;
        if schedule.paused.is_some() {
            return Ok(None);
        }
        let anchor = time(self.anchor, &format!("schedule {}", self.name))?;
        Ok(schedule.due(anchor, now).map(|due| DueSchedule {
            schedule,
            due,
            id: self.id,
            anchor: self.anchor,
            revision: self.revision,
        }))
    }
}

impl Schedules<'_> {
    /// Adds a schedule; its first time is the next after `now`.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken, [`StoreError::Unknown`] for an organisation that does not exist.
    pub async fn add(&self, schedule: &Schedule, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let organisation =
            organisations::optional_id(&mut transaction, schedule.organisation.as_ref()).await?;
        query(
            "INSERT INTO schedules (name, organisation_id, operation, parameters, recurrence, zone, jitter_seconds, paused,
                                    created_by, created_at, anchor, anchor_set_at)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $11)",
        )
        .bind(schedule.name.as_str())
        .bind(organisation)
        .bind(&schedule.operation)
        .bind(to_json(&schedule.parameters)?)
        .bind(schedule.recurrence.to_string())
        .bind(schedule.zone.as_str())
        .bind(schedule.jitter_seconds)
        .bind(schedule.paused.as_ref().map(to_json).transpose()?)
        .bind(&schedule.created_by)
        .bind(schedule.created_at.as_millisecond())
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await
        .map_err(|error| StoreError::taken(error, "schedule", &schedule.name.to_string()))?;
        transaction.commit().await?;
        Ok(())
    }

    /// All schedules, by name.
    pub async fn list(&self) -> Result<Vec<Schedule>, StoreError> {
        let rows: Vec<Row> = query(select_schedule!("ORDER BY s.name"))
            .fetch_all(&self.0.read)
            .await?;
        rows.iter().map(Row::schedule).collect()
    }

    /// The schedule with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn get(&self, name: &Name) -> Result<Schedule, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        row(&mut connection, name).await?.schedule()
    }

    /// Changes a schedule in one transaction and returns how it is now. Its name, its maker and the moment at which it was made
    /// stay. If its times change, or if it no longer rests, its next time is the next after `now`.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn update(
        &self,
        name: &Name,
        now: Timestamp,
        change: impl FnOnce(&mut Schedule) + Send,
    ) -> Result<Schedule, StoreError> {
        let mut transaction = self.0.begin().await?;
        let row = row(&mut transaction, name).await?;
        let old = row.schedule()?;
        let mut new = old.clone();
        change(&mut new);
        new.name = old.name;
        new.created_by = old.created_by;
        new.created_at = old.created_at;
        let anew = new.recurrence != old.recurrence
            || new.zone != old.zone
            || (new.paused.is_none() && old.paused.is_some());
        let (anchor, set_at) = if anew {
            (now.as_millisecond(), now.as_millisecond())
        } else {
            (row.anchor, row.anchor_set_at)
        };
        let organisation = organisations::optional_id(&mut transaction, new.organisation.as_ref()).await?;
        query(
            "UPDATE schedules SET organisation_id = $2, operation = $3, parameters = $4, recurrence = $5, zone = $6,
                                  jitter_seconds = $7, paused = $8, anchor = $9, anchor_set_at = $10,
                                  revision = revision + 1
             WHERE id = $1",
        )
        .bind(row.id)
        .bind(organisation)
        .bind(&new.operation)
        .bind(to_json(&new.parameters)?)
        .bind(new.recurrence.to_string())
        .bind(new.zone.as_str())
        .bind(new.jitter_seconds)
        .bind(new.paused.as_ref().map(to_json).transpose()?)
        .bind(anchor)
        .bind(set_at)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(new)
    }

    /// Removes a schedule and what is known about its times; jobs that it made stay.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn remove(&self, name: &Name) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let row = row(&mut transaction, name).await?;
        query("DELETE FROM schedules WHERE id = $1")
            .bind(row.id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The last times that were served, the newest first.
    pub async fn runs(&self, schedule: &Name, limit: u32) -> Result<Vec<ScheduleRun>, StoreError> {
        let rows: Vec<RunRow> = query(
            "SELECT r.due_at, r.missed, r.fired_at, r.job_id, r.refusal
             FROM schedule_runs r JOIN schedules s ON s.id = r.schedule_id
             WHERE s.name = $1 ORDER BY r.fired_at DESC, r.due_at DESC LIMIT $2",
        )
        .bind(schedule.as_str())
        .bind(i64::from(limit))
        .fetch_all(&self.0.read)
        .await?;
        let what = format!("a run of schedule {schedule}");
        let mut runs = Vec::new();
        for row in rows {
            let state = match row.job_id {
                Some(job) => Some(self.0.jobs().get(job).await?.state),
                None => None,
            };
            runs.push(ScheduleRun {
                due_at: time(row.due_at, &what)?,
                missed: row.missed,
                fired_at: time(row.fired_at, &what)?,
                job: row.job_id,
                state,
                refusal: row.refusal,
            });
        }
        Ok(runs)
    }

    /// What of a schedule has come and was not served yet.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn overdue(&self, name: &Name, now: Timestamp) -> Result<Option<Due>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        let due = row(&mut connection, name).await?.due(now)?;
        Ok(due.map(|due| due.due))
    }

    /// Schedules of which a time has come, those that wait longest first, and those that cannot be read. One whose last job
    /// still waits or runs is left out: its time is served when that has ended.
    pub async fn due(&self, now: Timestamp) -> Result<(Vec<DueSchedule>, Vec<StoreError>), StoreError> {
        self.doubt(now).await?;
        let rows: Vec<Row> = query(select_schedule!(
            "WHERE s.paused IS NULL AND NOT EXISTS (
                SELECT 1 FROM schedule_runs r JOIN jobs j ON j.id = r.job_id
                WHERE r.schedule_id = s.id AND j.state IN ('queued', 'running'))
             ORDER BY s.id"
        ))
        .fetch_all(&self.0.read)
        .await?;
        let mut due = Vec::new();
        let mut unreadable = Vec::new();
        for row in rows {
            match row.due(now) {
                Ok(Some(one)) => due.push(one),
                Ok(None) => {}
                Err(error) => unreadable.push(error),
            }
        }
        due.sort_by_key(|one| one.due.first);
        Ok((due, unreadable))
    }

    /// Sets those anchors anew that were set by a clock that was wrong.
    async fn doubt(&self, now: Timestamp) -> Result<(), StoreError> {
        let limit = now
            .checked_add(CLOCK_DOUBT)
            .unwrap_or(Timestamp::MAX)
            .as_millisecond();
        let doubted: Vec<(i64,)> = query("SELECT id FROM schedules WHERE anchor_set_at > $1")
            .bind(limit)
            .fetch_all(&self.0.read)
            .await?;
        for (id,) in doubted {
            query(
                "UPDATE schedules SET anchor = $2, anchor_set_at = $2 WHERE id = $1 AND anchor_set_at > $3",
            )
            .bind(id)
            .bind(now.as_millisecond())
            .bind(limit)
            .execute(&self.0.write)
            .await?;
        }
        Ok(())
    }

    /// Serves what has come: writes down that it was served, makes the job and its entry in the audit log; all of it or nothing.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for a host that does not exist.
    pub async fn serve(
        &self,
        one: &DueSchedule,
        at: Timestamp,
        start: Start<'_>,
    ) -> Result<Serving, StoreError> {
        let DueSchedule { schedule, due, .. } = one;
        let mut transaction = self.0.begin().await?;
        let moved = query(
            "UPDATE schedules SET anchor = $2, anchor_set_at = $3
             WHERE id = $1 AND anchor = $4 AND revision = $5 AND paused IS NULL",
        )
        .bind(one.id)
        .bind(due.at.as_millisecond())
        .bind(at.as_millisecond())
        .bind(one.anchor)
        .bind(one.revision)
        .execute(&mut *transaction)
        .await?;
        if moved == 0 {
            return Ok(Serving::Already);
        }
        let refusal = match start {
            Start::Job(..) => None,
            Start::Refused { reason, .. } => Some(reason),
        };
        let served = query(
            "INSERT INTO schedule_runs (schedule_id, due_at, first_due_at, missed, fired_at, refusal)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (schedule_id, due_at) DO NOTHING",
        )
        .bind(one.id)
        .bind(due.at.as_millisecond())
        .bind(due.first.as_millisecond())
        .bind(i64::try_from(due.missed).unwrap_or(i64::MAX))
        .bind(at.as_millisecond())
        .bind(refusal)
        .execute(&mut *transaction)
        .await?;
        if served == 0 {
            // By a clock that was wrong then, or is now. The anchor moves on.
            transaction.commit().await?;
            return Ok(Serving::Already);
        }
        let serving = match start {
            Start::Job(job, hosts) => {
                let id = insert(self.0, &mut transaction, job, hosts).await?;
                query("UPDATE schedule_runs SET job_id = $3 WHERE schedule_id = $1 AND due_at = $2")
                    .bind(one.id)
                    .bind(due.at.as_millisecond())
                    .bind(id)
                    .execute(&mut *transaction)
                    .await?;
                if let Some(text) = missed(one) {
                    let event = JobEvent {
                        sequence: 1,
                        at: now(),
                        event: JobEventKind::Warning { text },
                    };
                    insert_events(&mut transaction, id, &[event]).await?;
                }
                Serving::Job(id)
            }
            Start::Refused { actor, reason } => {
                let record = AuditRecord {
                    actor,
                    operation: &schedule.operation,
                    parameters: &schedule.parameters,
                    phase: AuditPhase::Refused,
                    job: None,
                    message: reason,
                };
                audit::append(self.0, &mut transaction, record).await?;
                Serving::Refused
            }
        };
        let old = due.at.checked_sub(REMEMBERED).unwrap_or(Timestamp::MIN);
        query("DELETE FROM schedule_runs WHERE schedule_id = $1 AND due_at < $2")
            .bind(one.id)
            .bind(old.as_millisecond())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(serving)
    }
}

/// What the job's log says about missed times.
fn missed(one: &DueSchedule) -> Option<String> {
    let DueSchedule { schedule, due, .. } = one;
    let first = schedule.zone.show(due.first);
    match due.missed {
        0 => None,
        1 => Some(format!(
            "One time of schedule {}, {first}, was missed; this run is for it, too.",
            schedule.name
        )),
        Due::COUNTED.. => Some(format!(
            "{} or more times of schedule {} since {first} were missed; this one run is for all of them.",
            Due::COUNTED,
            schedule.name
        )),
        count => Some(format!(
            "{count} times of schedule {} since {first} were missed; this one run is for all of them.",
            schedule.name
        )),
    }
}

async fn row(connection: &mut Connection, name: &Name) -> Result<Row, StoreError> {
    let row: Option<Row> = query(select_schedule!("WHERE s.name = $1"))
        .bind(name.as_str())
        .fetch_optional(&mut *connection)
        .await?;
    if let Some(row) = row {
        return Ok(row);
    }
    let existing: Vec<(String,)> = query("SELECT name FROM schedules ORDER BY name")
        .fetch_all(connection)
        .await?;
    let existing: Vec<String> = existing.into_iter().map(|(name,)| name).collect();
    Err(StoreError::unknown("schedule", name, &existing))
}
