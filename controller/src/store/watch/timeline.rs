//! What happened from the first bad answer of an incident to its end, in order: answers that counted, messages, people, jobs.

use jiff::Timestamp;

use super::Watch;
use crate::model::{Incident, IncidentEvent, IncidentNotice, NoticeKind, Status, Text};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, time};
use crate::store::query::query;

/// Jobs that are told of one incident, at most.
const JOBS: i64 = 100;

#[derive(sqlx::FromRow)]
struct EventRow {
    at: i64,
    kind: String,
    severity: String,
    sentence: String,
}

#[derive(sqlx::FromRow)]
struct MessageRow {
    at: i64,
    state: String,
    person: String,
    channel: String,
    notice: String,
}

#[derive(sqlx::FromRow)]
struct JobRow {
    id: i64,
    title: String,
    actor: String,
    state: String,
    started_at: i64,
}

impl Watch<'_> {
    /// What happened to an incident, in order; with what people were told of it, and the jobs that ran on its host meanwhile.
    pub async fn timeline(&self, incident: &Incident) -> Result<Vec<IncidentEvent>, StoreError> {
        let what = format!("incident {}", incident.id);
        let beside = |at: i64, kind: &str, sentence: Text| {
            Ok::<_, StoreError>(IncidentEvent {
                at: time(at, &what)?,
                kind: kind.to_owned(),
                severity: incident.severity,
                sentence,
            })
        };
        let mut timeline = vec![beside(
            incident.first_bad_at.as_millisecond(),
            "first_bad",
            Text {
                de: "Die erste schlechte Antwort.".to_owned(),
                en: "The first bad answer.".to_owned(),
            },
        )?];
        for row in self.events(incident.id).await? {
            timeline.push(IncidentEvent {
                at: time(row.at, &what)?,
                severity: from_word::<Status>(&row.severity, &what)?,
                sentence: from_json(&row.sentence, &what)?,
                kind: row.kind,
            });
        }
        for row in self.messages(incident.id).await? {
            let notice: IncidentNotice = from_json(&row.notice, &what)?;
            let (person, channel) = (&row.person, &row.channel);
            let about = about(notice.kind);
            let (kind, sentence) = if row.state == "sent" {
                let de = format!("{} an {person} über {channel}", about.de);
                let en = format!("{} to {person} by {channel}", about.en);
                ("told", Text { de, en })
            } else {
                let de = format!("{} an {person} kam über {channel} nicht an", about.de);
                let en = format!("{} to {person} did not arrive by {channel}", about.en);
                ("not_told", Text { de, en })
            };
            timeline.push(beside(row.at, kind, sentence)?);
        }
        for row in self.jobs_during(incident).await? {
            let JobRow {
                id,
                title,
                actor,
                state,
                ..
            } = &row;
            let de = format!("Auftrag {id} von {actor}: {title} ({state})");
            let en = format!("job {id} by {actor}: {title} ({state})");
            timeline.push(beside(row.started_at, "job", Text { de, en })?);
        }
        // Stable: what happened at the same moment stays in the order above.
        timeline.sort_by_key(|event| event.at);
        Ok(timeline)
    }

    async fn events(&self, incident: i64) -> Result<Vec<EventRow>, StoreError> {
        Ok(query(
            "SELECT at, kind, severity, sentence FROM incident_events WHERE incident_id = $1 ORDER BY id",
        )
        .bind(incident)
        .fetch_all(&self.0.read)
        .await?)
    }

    /// Messages that arrived or were given up; those that still wait may yet do either.
    async fn messages(&self, incident: i64) -> Result<Vec<MessageRow>, StoreError> {
        Ok(query(
            "SELECT COALESCE(d.sent_at, d.due_at) AS at, d.state, p.title AS person, c.name AS channel, i.notice
             FROM notify_items i
             JOIN notify_deliveries d ON d.id = i.delivery_id
             JOIN notify_people p ON p.id = i.person_id
             JOIN notify_channels c ON c.id = i.channel_id
             WHERE i.incident_id = $1 AND d.state IN ('sent', 'failed') ORDER BY d.id",
        )
        .bind(incident)
        .fetch_all(&self.0.read)
        .await?)
    }

    async fn jobs_during(&self, incident: &Incident) -> Result<Vec<JobRow>, StoreError> {
        let Some(host) = &incident.host else {
            return Ok(Vec::new());
        };
        let until = incident.recovered_at.unwrap_or(Timestamp::MAX);
        Ok(query(
            "SELECT j.id, j.title, j.actor, j.state, j.started_at FROM jobs j
             JOIN job_hosts l ON l.job_id = j.id
             JOIN hosts h ON h.id = l.host_id
             WHERE h.name = $1 AND j.started_at >= $2 AND j.started_at <= $3 ORDER BY j.id LIMIT $4",
        )
        .bind(host.as_str())
        .bind(incident.first_bad_at.as_millisecond())
        .bind(until.as_millisecond())
        .bind(JOBS)
        .fetch_all(&self.0.read)
        .await?)
    }
}

/// What a message is, in a word.
fn about(kind: NoticeKind) -> Text {
    let (de, en) = match kind {
        NoticeKind::Recovered => ("Entwarnung", "all-clear"),
        NoticeKind::Reminder => ("Erinnerung", "reminder"),
        _ => ("Meldung", "alert"),
    };
    Text {
        de: de.to_owned(),
        en: en.to_owned(),
    }
}
