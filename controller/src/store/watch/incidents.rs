//! Incidents and what happened to them.

use jiff::Timestamp;

use super::Watch;
use super::answers::{Asked, key};
use crate::model::{Acknowledgement, CheckKey, CheckState, Incident, IncidentChange, Name, Status, Text};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, name, optional_time, time, to_json};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    subject: String,
    name: String,
    title: String,
    organisation: Option<String>,
    host: Option<String>,
    severity: String,
    first_bad_at: i64,
    opened_at: i64,
    recovered_at: Option<i64>,
    acknowledged_by: Option<String>,
    acknowledged_until: Option<i64>,
    note: Option<String>,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT i.id, i.subject, i.name, i.title, o.name AS organisation, i.host, i.severity, i.first_bad_at, i.opened_at,
                    i.recovered_at, i.acknowledged_by, i.acknowledged_until, i.note
             FROM incidents i LEFT JOIN organisations o ON o.id = i.organisation_id ",
            $rest
        )
    };
}

impl Row {
    fn read(self) -> Result<Incident, StoreError> {
        let what = format!("incident {}", self.id);
        let until = optional_time(self.acknowledged_until, &what)?;
        let note = self.note.unwrap_or_default();
        Ok(Incident {
            id: self.id,
            key: key(&self.subject, self.name, &what)?,
            title: from_json(&self.title, &what)?,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            host: self.host.map(|text| name(text, &what)).transpose()?,
            severity: from_word(&self.severity, &what)?,
            first_bad_at: time(self.first_bad_at, &what)?,
            opened_at: time(self.opened_at, &what)?,
            recovered_at: optional_time(self.recovered_at, &what)?,
            acknowledged: self.acknowledged_by.map(|by| Acknowledgement { by, note, until }),
        })
    }
}

impl Watch<'_> {
    /// The newest incidents, newest first; only those that are not over if `open` says so.
    pub async fn incidents(&self, open: bool, limit: u32) -> Result<Vec<Incident>, StoreError> {
        let rows: Vec<Row> = query(select!(
            "WHERE $1 = 0 OR i.recovered_at IS NULL ORDER BY i.id DESC LIMIT $2"
        ))
        .bind(i64::from(open))
        .bind(i64::from(limit))
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(Row::read).collect()
    }

    /// The incident with this number.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is none.
    pub async fn incident(&self, id: i64) -> Result<Incident, StoreError> {
        let row: Option<Row> = query(select!("WHERE i.id = $1"))
            .bind(id)
            .fetch_optional(&self.0.read)
            .await?;
        row.ok_or_else(|| StoreError::Unknown {
            noun: "incident",
            name: id.to_string(),
            hint: "; see: allmende incident list --all".to_owned(),
        })?
        .read()
    }

    /// Somebody takes care of an incident.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is none of this number that is not over.
    pub async fn acknowledge(&self, id: i64, by: &Acknowledgement, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let severity: Option<(String,)> = query(
            "UPDATE incidents SET acknowledged_by = $2, acknowledged_until = $3, note = $4
             WHERE id = $1 AND recovered_at IS NULL RETURNING severity",
        )
        .bind(id)
        .bind(&by.by)
        .bind(by.until.map(|until| until.as_millisecond()))
        .bind(&by.note)
        .fetch_optional(&mut *transaction)
        .await?;
        let Some((severity,)) = severity else {
            return Err(StoreError::Unknown {
                noun: "open incident",
                name: id.to_string(),
                hint: "; see: allmende incident list".to_owned(),
            });
        };
        let sentence = Text {
            de: format!("{} kümmert sich darum: {}", by.by, by.note),
            en: format!("{} takes care of it: {}", by.by, by.note),
        };
        let severity = from_word(&severity, "incident")?;
        let event = Event {
            incident: id,
            kind: "acknowledged",
            severity,
            sentence: &sentence,
            advice: None,
            at,
            quiet: false,
        };
        tell(&mut transaction, event).await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// Opens an incident, or writes down how it changed.
pub(super) async fn change(
    connection: &mut Connection,
    asked: &Asked,
    state: &CheckState,
    change: IncidentChange,
) -> Result<(), StoreError> {
    let severity = match change {
        IncidentChange::Opened(severity)
        | IncidentChange::Worsened(severity)
        | IncidentChange::Eased(severity) => severity,
        IncidentChange::Flapping | IncidentChange::Recovered => asked.answer.status.max(Status::Warning),
    };
    let kind = match change {
        IncidentChange::Opened(_) => "opened",
        IncidentChange::Worsened(_) => "worsened",
        IncidentChange::Eased(_) => "eased",
        IncidentChange::Flapping => "flapping",
        IncidentChange::Recovered => "recovered",
    };
    let is_new = matches!(change, IncidentChange::Opened(_) | IncidentChange::Flapping);
    let id: Option<i64> = if is_new {
        query_scalar(
            "INSERT INTO incidents (subject, name, title, organisation_id, host, severity, first_bad_at, opened_at)
             VALUES ($1, $2, $3, (SELECT id FROM organisations WHERE name = $4), $5, $6, $7, $8) RETURNING id",
        )
        .bind(asked.key.subject.to_string())
        .bind(&asked.key.id)
        .bind(to_json(&asked.title)?)
        .bind(asked.organisation.as_ref().map(Name::as_str))
        .bind(asked.host.as_ref().map(Name::as_str))
        .bind(severity.as_str())
        .bind(state.first_bad.unwrap_or(asked.at).as_millisecond())
        .bind(asked.at.as_millisecond())
        .fetch_optional(&mut *connection)
        .await?
    } else {
        query_scalar(
            "UPDATE incidents SET severity = $3 WHERE subject = $1 AND name = $2 AND recovered_at IS NULL RETURNING id",
        )
        .bind(asked.key.subject.to_string())
        .bind(&asked.key.id)
        .bind(severity.as_str())
        .fetch_optional(&mut *connection)
        .await?
    };
    let Some(id) = id else { return Ok(()) };
    let event = Event {
        incident: id,
        kind,
        severity,
        sentence: &asked.answer.sentence,
        advice: asked.answer.advice.as_ref(),
        at: asked.at,
        // That something is less bad is no news to anybody's pocket.
        quiet: asked.quiet || kind == "eased",
    };
    tell(connection, event).await
}

/// Closes the open incident of a check, if there is one.
pub(super) async fn close(
    connection: &mut Connection,
    key: &CheckKey,
    sentence: &Text,
    at: Timestamp,
) -> Result<(), StoreError> {
    let closed: Option<(i64, String)> = query(
        "UPDATE incidents SET recovered_at = $3 WHERE subject = $1 AND name = $2 AND recovered_at IS NULL
         RETURNING id, severity",
    )
    .bind(key.subject.to_string())
    .bind(&key.id)
    .bind(at.as_millisecond())
    .fetch_optional(&mut *connection)
    .await?;
    let Some((id, severity)) = closed else {
        return Ok(());
    };
    let severity = from_word(&severity, "incident")?;
    let event = Event {
        incident: id,
        kind: "recovered",
        severity,
        sentence,
        advice: None,
        at,
        // Who heard of the incident hears of its end.
        quiet: false,
    };
    tell(connection, event).await
}

/// Something that happened to an incident.
struct Event<'a> {
    incident: i64,
    kind: &'a str,
    severity: Status,
    sentence: &'a Text,
    advice: Option<&'a Text>,
    at: Timestamp,
    /// Whether nobody is told of it.
    quiet: bool,
}

/// Writes down what happened; whoever is told of it is decided later, by others.
async fn tell(connection: &mut Connection, event: Event<'_>) -> Result<(), StoreError> {
    let at = event.at.as_millisecond();
    query(
        "INSERT INTO incident_events (incident_id, at, kind, severity, sentence, advice, routed_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
    )
    .bind(event.incident)
    .bind(at)
    .bind(event.kind)
    .bind(event.severity.as_str())
    .bind(to_json(event.sentence)?)
    .bind(event.advice.map(to_json).transpose()?)
    .bind(event.quiet.then_some(at))
    .execute(connection)
    .await?;
    Ok(())
}
