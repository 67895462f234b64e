//! Answers as they come in: states, results, incidents and what happened to them, all of a batch in one transaction.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{Watch, incidents, maintenance};
use crate::model::{
    Answer, CheckKey, CheckStanding, CheckState, Ground, IncidentChange, Judged, Name, Status, Surroundings,
    Text,
};
use crate::store::StoreError;
use crate::store::columns::{from_json, name, time, to_json};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};

/// An answer, with what has to be known of its check.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// The check.
    pub key: CheckKey,
    /// What is asked.
    pub title: Text,
    /// Whose it is.
    pub organisation: Option<Name>,
    /// The host that it depends on.
    pub host: Option<Name>,
    /// Whatever it depends on, with all that those depend on.
    pub depends_on: Vec<CheckKey>,
    /// Whether it says if the service can be used.
    pub availability: bool,
    /// Whether its incidents are only kept, because people are told of it in another way.
    pub quiet: bool,
    /// When it was asked.
    pub at: Timestamp,
    /// How long that took, in milliseconds.
    pub took_ms: i64,
    /// What came back.
    pub answer: Answer,
}

#[derive(sqlx::FromRow)]
pub(super) struct Row {
    pub subject: String,
    pub name: String,
    pub title: String,
    pub organisation: Option<String>,
    pub host: Option<String>,
    pub depends_on: String,
    pub state: String,
    pub answer: String,
    pub asked_at: i64,
    pub took_ms: i64,
}

impl Row {
    pub(super) fn read(self) -> Result<CheckStanding, StoreError> {
        let what = format!("check {}:{}", self.subject, self.name);
        Ok(CheckStanding {
            key: key(&self.subject, self.name, &what)?,
            title: from_json(&self.title, &what)?,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            host: self.host.map(|text| name(text, &what)).transpose()?,
            depends_on: from_json(&self.depends_on, &what)?,
            state: from_json(&self.state, &what)?,
            answer: from_json(&self.answer, &what)?,
            asked_at: time(self.asked_at, &what)?,
            took_ms: self.took_ms,
        })
    }
}

pub(super) fn key(subject: &str, id: String, what: &str) -> Result<CheckKey, StoreError> {
    let subject = subject
        .parse()
        .map_err(|error: String| StoreError::damaged(what, error))?;
    Ok(CheckKey { subject, id })
}

/// The number by which results keep a status.
pub(super) fn number(status: Status) -> i64 {
    match status {
        Status::Ok => 0,
        Status::Unknown => 1,
        Status::Warning => 2,
        Status::Critical => 3,
    }
}

pub(super) fn status(number: i64) -> Status {
    match number {
        0 => Status::Ok,
        2 => Status::Warning,
        3 => Status::Critical,
        _ => Status::Unknown,
    }
}

impl Watch<'_> {
    /// Writes down answers and what `judge` makes of each (with its place in the batch), in their order, but what others
    /// depend on first. What each judgement came to, in the order given.
    pub async fn record(
        &self,
        batch: &[Asked],
        judge: impl Fn(usize, &Asked, &CheckState, Surroundings) -> Judged,
    ) -> Result<Vec<Judged>, StoreError> {
        let mut order: Vec<usize> = (0..batch.len()).collect();
        // Who depends on another depends on all that the other depends on, and so on more.
        order.sort_by_key(|place| batch[*place].depends_on.len());
        let mut judged: Vec<Option<Judged>> = vec![None; batch.len()];
        let mut transaction = self.0.begin().await?;
        let windows = maintenance::current(&mut transaction).await?;
        for place in order {
            let asked = &batch[place];
            let maintenance = windows.iter().any(|window| {
                window.covers(
                    &asked.key.subject,
                    asked.organisation.as_ref(),
                    asked.host.as_ref(),
                    asked.at,
                )
            });
            let (id, before) = state(&mut transaction, asked).await?;
            let around = Surroundings {
                maintenance,
                ground: ground(&mut transaction, asked).await?,
            };
            let outcome = judge(place, asked, &before, around);
            if outcome.state != before {
                write(&mut transaction, id, asked, &before, &outcome).await?;
            }
            judged[place] = Some(outcome);
        }
        transaction.commit().await?;
        Ok(judged.into_iter().flatten().collect())
    }

    /// How all checks stand.
    pub async fn list(&self) -> Result<Vec<CheckStanding>, StoreError> {
        let rows: Vec<Row> = query(
            "SELECT subject, name, title, organisation, host, depends_on, state, answer, asked_at, took_ms
             FROM watched ORDER BY subject, name",
        )
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(Row::read).collect()
    }

    /// Forgets checks that are asked no longer, with their history; their incidents are over.
    pub async fn keep_only(&self, keys: &BTreeSet<CheckKey>, at: Timestamp) -> Result<u64, StoreError> {
        let gone: Vec<CheckStanding> = self
            .list()
            .await?
            .into_iter()
            .filter(|watched| !keys.contains(&watched.key))
            .collect();
        if gone.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.0.begin().await?;
        for watched in &gone {
            let sentence = Text {
                de: "Das wird nicht mehr gefragt.".to_owned(),
                en: "This is asked no longer.".to_owned(),
            };
            incidents::close(&mut transaction, &watched.key, &sentence, at).await?;
            query("DELETE FROM watched WHERE subject = $1 AND name = $2")
                .bind(watched.key.subject.to_string())
                .bind(&watched.key.id)
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await?;
        Ok(gone.len() as u64)
    }
}

/// The number of a check and how it stood; it gets one with its first answer.
async fn state(connection: &mut Connection, asked: &Asked) -> Result<(i64, CheckState), StoreError> {
    let subject = asked.key.subject.to_string();
    let known: Option<(i64, String)> =
        query("SELECT id, state FROM watched WHERE subject = $1 AND name = $2")
            .bind(&subject)
            .bind(&asked.key.id)
            .fetch_optional(&mut *connection)
            .await?;
    if let Some((id, state)) = known {
        return Ok((id, from_json(&state, &format!("check {}", asked.key))?));
    }
    let state = CheckState::default();
    let id: i64 = query_scalar(
        "INSERT INTO watched (subject, name, title, organisation, host, availability, state, answer, asked_at, took_ms, depends_on)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(&subject)
    .bind(&asked.key.id)
    .bind(to_json(&asked.title)?)
    .bind(asked.organisation.as_ref().map(Name::as_str))
    .bind(asked.host.as_ref().map(Name::as_str))
    .bind(i64::from(asked.availability))
    .bind(to_json(&state)?)
    .bind(to_json(&asked.answer)?)
    .bind(asked.at.as_millisecond())
    .bind(asked.took_ms)
    .bind(to_json(&asked.depends_on)?)
    .fetch_one(&mut *connection)
    .await?;
    Ok((id, state))
}

/// How well everything is that a check depends on, as far as it is watched.
async fn ground(connection: &mut Connection, asked: &Asked) -> Result<Ground, StoreError> {
    let mut ground = Ground::None;
    for key in &asked.depends_on {
        let found: Option<(String, String, i64)> =
            query("SELECT state, answer, asked_at FROM watched WHERE subject = $1 AND name = $2")
                .bind(key.subject.to_string())
                .bind(&key.id)
                .fetch_optional(&mut *connection)
                .await?;
        let Some((state, answer, asked_at)) = found else {
            continue;
        };
        let what = format!("check {key}");
        let state: CheckState = from_json(&state, &what)?;
        let asked_at = time(asked_at, &what)?;
        ground = if state.bad > 0 || state.status != Status::Ok {
            let answer: Answer = from_json(&answer, &what)?;
            let worst = answer.status.max(state.status);
            match ground {
                Ground::Bad(before) => Ground::Bad(worst.max(before)),
                Ground::None | Ground::Good(_) => Ground::Bad(worst),
            }
        } else {
            match ground {
                Ground::Bad(_) => ground,
                Ground::Good(oldest) => Ground::Good(oldest.min(asked_at)),
                Ground::None => Ground::Good(asked_at),
            }
        };
    }
    Ok(ground)
}

/// Writes down one answer and what it came to.
async fn write(
    connection: &mut Connection,
    id: i64,
    asked: &Asked,
    before: &CheckState,
    judged: &Judged,
) -> Result<(), StoreError> {
    let at = asked.at.as_millisecond();
    query(
        "UPDATE watched SET title = $2, organisation = $3, host = $4, availability = $5, state = $6, answer = $7,
                            asked_at = $8, took_ms = $9, depends_on = $10
         WHERE id = $1",
    )
    .bind(id)
    .bind(to_json(&asked.title)?)
    .bind(asked.organisation.as_ref().map(Name::as_str))
    .bind(asked.host.as_ref().map(Name::as_str))
    .bind(i64::from(asked.availability))
    .bind(to_json(&judged.state)?)
    .bind(to_json(&asked.answer)?)
    .bind(at)
    .bind(asked.took_ms)
    .bind(to_json(&asked.depends_on)?)
    .execute(&mut *connection)
    .await?;
    query("INSERT INTO results (check_id, at, status, figure, took_ms) VALUES ($1, $2, $3, $4, $5)")
        .bind(id)
        .bind(at)
        .bind(number(asked.answer.status))
        .bind(asked.answer.figure.as_ref().map(|figure| figure.value))
        .bind(asked.took_ms)
        .execute(&mut *connection)
        .await?;
    if before.since.is_none() || before.status != judged.state.status {
        query("INSERT INTO spans (check_id, since, status) VALUES ($1, $2, $3)")
            .bind(id)
            .bind(at)
            .bind(number(judged.state.status))
            .execute(&mut *connection)
            .await?;
    }
    match judged.change {
        None => Ok(()),
        Some(IncidentChange::Recovered) => {
            incidents::close(connection, &asked.key, &asked.answer.sentence, asked.at).await
        }
        Some(change) => incidents::change(connection, asked, &judged.state, change).await,
    }
}
