//! Drills.

use super::columns::{from_json, from_word, name, time, to_json, to_word};
use super::query::{query, query_scalar};
use super::{Store, StoreError};
use crate::model::{Drill, DrillId, Name};

/// The drills in the store.
pub struct Drills<'a>(pub(super) &'a Store);

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    backup_id: i64,
    repository: String,
    host: String,
    began_at: i64,
    ended_at: i64,
    outcome: String,
    evidence: String,
    seconds: f64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT d.id, d.backup_id, d.repository, d.host, d.began_at, d.ended_at, d.outcome, d.evidence, d.seconds
             FROM drills d JOIN backups b ON b.id = d.backup_id ",
            $rest
        )
    };
}

impl Row {
    fn drill(self) -> Result<Drill, StoreError> {
        let what = format!("drill {}", self.id);
        Ok(Drill {
            id: self.id,
            backup: self.backup_id,
            repository: self.repository,
            host: name(self.host, &what)?,
            began_at: time(self.began_at, &what)?,
            ended_at: time(self.ended_at, &what)?,
            outcome: from_word(&self.outcome, &what)?,
            evidence: from_json(&self.evidence, &what)?,
            seconds: self.seconds,
        })
    }
}

impl Drills<'_> {
    /// Writes a drill down and gives it its number; the one that it has is not looked at.
    pub async fn add(&self, drill: &Drill) -> Result<DrillId, StoreError> {
        Ok(query_scalar(
            "INSERT INTO drills (backup_id, repository, host, began_at, ended_at, outcome, evidence, seconds)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) RETURNING id",
        )
        .bind(drill.backup)
        .bind(&drill.repository)
        .bind(drill.host.as_str())
        .bind(drill.began_at.as_millisecond())
        .bind(drill.ended_at.as_millisecond())
        .bind(to_word(&drill.outcome)?)
        .bind(to_json(&drill.evidence)?)
        .bind(Some(drill.seconds))
        .fetch_one(&self.0.write)
        .await?)
    }

    /// All drills, the newest first.
    pub async fn list(&self) -> Result<Vec<Drill>, StoreError> {
        let rows: Vec<Row> = query(select!("ORDER BY d.began_at DESC, d.id DESC"))
            .fetch_all(&self.0.read)
            .await?;
        rows.into_iter().map(Row::drill).collect()
    }

    /// The drills of a service, the newest first.
    pub async fn of_service(&self, organisation: &Name, service: &Name) -> Result<Vec<Drill>, StoreError> {
        let rows: Vec<Row> = query(select!(
            "WHERE b.organisation = $1 AND b.service = $2 ORDER BY d.began_at DESC, d.id DESC"
        ))
        .bind(organisation.as_str())
        .bind(service.as_str())
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(Row::drill).collect()
    }
}
