//! What happened to incidents, read from the tables of the incidents. The only place that knows their columns.

use jiff::Timestamp;

use super::Notifications;
use crate::model::{IncidentNotice, Name, Text};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, name, optional_time, time};
use crate::store::connection::Connection;
use crate::store::query::query;
#[cfg(test)]
use crate::store::query::query_scalar;

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
    first_bad_at: i64,
    acknowledged_until: Option<i64>,
}

impl EventRow {
    /// The notice; none of a kind that concerns nobody.
    fn read(self) -> Result<Option<IncidentNotice>, StoreError> {
        let what = format!("incident {}", self.incident_id);
        let Ok(kind) = from_word(&self.kind, &what) else {
            return Ok(None);
        };
        Ok(Some(IncidentNotice {
            event: self.id,
            incident: self.incident_id,
            kind,
            severity: from_word(&self.severity, &what)?,
            subject: self.subject,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            title: from_json(&self.title, &what)?,
            sentence: from_json(&self.sentence, &what)?,
            advice: self.advice.map(|text| from_json(&text, &what)).transpose()?,
            since: time(self.first_bad_at, &what)?,
            at: time(self.at, &what)?,
            acknowledged_until: optional_time(self.acknowledged_until, &what)?,
        }))
    }
}

/// Events of incidents about which nobody has decided yet who is told, the oldest first; they are marked as decided. Says how many
/// there were, and returns those that concern somebody.
pub(super) async fn take_unrouted(
    connection: &mut Connection,
    limit: i64,
    now: Timestamp,
) -> Result<(usize, Vec<IncidentNotice>), StoreError> {
    let rows: Vec<EventRow> = query(
        "SELECT e.id, e.incident_id, e.kind, e.at, e.severity, e.sentence, e.advice, i.subject,
             o.name AS organisation, i.title, i.first_bad_at, i.acknowledged_until
         FROM incident_events e JOIN incidents i ON i.id = e.incident_id
         LEFT JOIN organisations o ON o.id = i.organisation_id
         WHERE e.routed_at IS NULL ORDER BY e.id LIMIT $1",
    )
    .bind(limit)
    .fetch_all(&mut *connection)
    .await?;
    let count = rows.len();
    let mut taken = Vec::with_capacity(count);
    for row in rows {
        // Another controller may have taken it since.
        let mine = query("UPDATE incident_events SET routed_at = $2 WHERE id = $1 AND routed_at IS NULL")
            .bind(row.id)
            .bind(now.as_millisecond())
            .execute(&mut *connection)
            .await?;
        if mine > 0 {
            taken.extend(row.read()?);
        }
    }
    Ok((count, taken))
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
        let rows: Vec<(String, String, i64, Option<i64>)> = query(
            "SELECT i.subject, i.title, i.first_bad_at, i.recovered_at
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

/// Incidents for tests, where nothing else makes them.
#[cfg(test)]
impl Notifications<'_> {
    /// An incident; says its number.
    pub async fn make_incident(
        &self,
        subject: &str,
        check: &str,
        title: &str,
        organisation: &str,
        severity: &str,
        at: Timestamp,
    ) -> i64 {
        query_scalar(
            "INSERT INTO incidents (subject, name, title, organisation_id, severity, first_bad_at, opened_at)
             VALUES ($1, $2, $3, (SELECT id FROM organisations WHERE name = $4), $5, $6, $6) RETURNING id",
        )
        .bind(subject)
        .bind(check)
        .bind(title)
        .bind(organisation)
        .bind(severity)
        .bind(at.as_millisecond())
        .fetch_one(&self.0.write)
        .await
        .expect("an incident")
    }

    /// Something that happens to an incident; a recovery closes it.
    pub async fn make_event(
        &self,
        incident: i64,
        kind: &str,
        severity: &str,
        sentence: &str,
        advice: &str,
        at: Timestamp,
    ) {
        query(
            "INSERT INTO incident_events (incident_id, at, kind, severity, sentence, advice)
             VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(incident)
        .bind(at.as_millisecond())
        .bind(kind)
        .bind(severity)
        .bind(sentence)
        .bind(advice)
        .execute(&self.0.write)
        .await
        .expect("an event");
        if kind == "recovered" {
            query("UPDATE incidents SET recovered_at = $2 WHERE id = $1")
                .bind(incident)
                .bind(at.as_millisecond())
                .execute(&self.0.write)
                .await
                .expect("is closed");
        }
    }
}
