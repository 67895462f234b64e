//! What happened to incidents, read from the tables of the incidents. The only place that knows their columns.

use jiff::Timestamp;
use sqlx::SqliteConnection;

use super::Notifications;
use crate::model::{IncidentNotice, Name, Text};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, name, optional_time, time};

/// An incident, for looking back.
#[derive(Debug, Clone, PartialEq)]
pub struct PastIncident {
    /// What was watched.
    pub subject: String,
    /// What was asked.
    pub title: Text,
    /// When it began.
    pub since: Timestamp,
    /// When it was over.
    pub until: Option<Timestamp>,
}

#[derive(sqlx::FromRow)]
struct EventRow {
    id: i64,
    incident_id: i64,
    kind: String,
    at: i64,
    severity: String,
    sentence: String,
    advice: Option<String>,
    subject: String,
    organisation: Option<String>,
    title: String,
    opened_at: i64,
    hidden: i64,
}

impl EventRow {
    fn read(self) -> Result<IncidentNotice, StoreError> {
        let what = format!("incident {}", self.incident_id);
        Ok(IncidentNotice {
            event: self.id,
            incident: self.incident_id,
            kind: from_word(&self.kind, &what)?,
            severity: from_word(&self.severity, &what)?,
            subject: self.subject,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            title: from_json(&self.title, &what)?,
            sentence: from_json(&self.sentence, &what)?,
            advice: self.advice.map(|text| from_json(&text, &what)).transpose()?,
            since: time(self.opened_at, &what)?,
            at: time(self.at, &what)?,
            hidden: self.hidden != 0,
        })
    }
}

/// Events of incidents about which nobody has decided yet who is told, the oldest first; they are marked as decided.
pub(super) async fn take_unrouted(
    connection: &mut SqliteConnection,
    limit: i64,
    now: Timestamp,
) -> Result<Vec<IncidentNotice>, StoreError> {
    let rows: Vec<EventRow> = sqlx::query_as(
        "SELECT e.id, e.incident_id, e.kind, e.at, e.severity, e.sentence, e.advice, i.subject,
             o.name AS organisation, i.title, i.opened_at, e.hidden
         FROM incident_events e JOIN incidents i ON i.id = e.incident_id
         LEFT JOIN organisations o ON o.id = i.organisation_id
         WHERE e.routed_at IS NULL ORDER BY e.id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        // Another controller may have taken it since.
        let mine = sqlx::query("UPDATE incident_events SET routed_at = $2 WHERE id = $1 AND routed_at IS NULL")
            .bind(row.id)
            .bind(now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        if mine.rows_affected() > 0 {
            taken.push(row.read()?);
        }
    }
    Ok(taken)
}

impl Notifications<'_> {
    /// The incidents of an organisation that were open at some time between `from` and `until`, the oldest first.
    pub async fn past_incidents(
        &self,
        organisation: &Name,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PastIncident>, StoreError> {
        const MOST: i64 = 200;
        let rows: Vec<(String, String, i64, Option<i64>)> = sqlx::query_as(
            "SELECT i.subject, i.title, i.opened_at, i.recovered_at
             FROM incidents i JOIN organisations o ON o.id = i.organisation_id
             WHERE o.name = $1 AND i.opened_at < $3 AND (i.recovered_at IS NULL OR i.recovered_at >= $2)
             ORDER BY i.opened_at, i.id LIMIT $4",
        )
        .bind(organisation.as_str())
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .bind(MOST)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter()
            .map(|(subject, title, since, recovered)| {
                let what = format!("incident of {subject}");
                Ok(PastIncident {
                    title: from_json(&title, &what)?,
                    since: time(since, &what)?,
                    until: optional_time(recovered, &what)?,
                    subject,
                })
            })
            .collect()
    }
}
