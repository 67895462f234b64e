//! Backups and the snapshots that hold them.

use jiff::Timestamp;

use super::columns::{count, from_json, from_word, name, optional_time, size, time, to_json, to_word};
use super::query::{query, query_scalar};
use super::{Store, StoreError};
use crate::model::{Backup, BackupId, BackupOutcome, JobId, Name, Part, Size, Snapshot};

/// The backups in the store.
pub struct Backups<'a>(pub(super) &'a Store);

/// A backup that begins.
#[derive(Debug, Clone, Copy)]
pub struct NewBackup<'a> {
    /// Whose it is.
    pub organisation: &'a Name,
    /// The service.
    pub service: &'a Name,
    /// The host on which it lives.
    pub host: &'a Name,
    /// The job that makes it.
    pub job: Option<JobId>,
    /// What belongs to it.
    pub parts: &'a [Part],
    /// When it begins.
    pub at: Timestamp,
}

/// How a backup ended.
#[derive(Debug, Clone)]
pub struct EndedBackup<'a> {
    /// When it ended.
    pub at: Timestamp,
    /// What came of it.
    pub outcome: BackupOutcome,
    /// Why it is not complete.
    pub complaints: &'a [String],
    /// What a drill compares with.
    pub proof: Option<&'a serde_json::Value>,
    /// How many files there were.
    pub files: u64,
    /// How large all of it was.
    pub bytes: Size,
    /// How much of it was new to the repository, compressed.
    pub added_bytes: Size,
    /// What was written, none of it removed.
    pub snapshots: &'a [Snapshot],
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    organisation: String,
    service: String,
    host: String,
    job: Option<i64>,
    parts: String,
    began_at: i64,
    ended_at: Option<i64>,
    outcome: Option<String>,
    complaints: String,
    proof: Option<String>,
    files: i64,
    bytes: i64,
    added_bytes: i64,
}

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT b.id, b.organisation, b.service, b.host, b.job, b.parts, b.began_at, b.ended_at, b.outcome,
                    b.complaints, b.proof, b.files, b.bytes, b.added_bytes
             FROM backups b ",
            $rest
        )
    };
}

impl Row {
    fn backup(self) -> Result<Backup, StoreError> {
        let what = format!("backup {}", self.id);
        let number = |number: i64| u64::try_from(number).map_err(|error| StoreError::damaged(&what, error));
        Ok(Backup {
            id: self.id,
            organisation: name(self.organisation, &what)?,
            service: name(self.service, &what)?,
            host: name(self.host, &what)?,
            job: self.job,
            parts: from_json(&self.parts, &what)?,
            began_at: time(self.began_at, &what)?,
            ended_at: optional_time(self.ended_at, &what)?,
            outcome: self.outcome.map(|word| from_word(&word, &what)).transpose()?,
            complaints: from_json(&self.complaints, &what)?,
            proof: self.proof.map(|text| from_json(&text, &what)).transpose()?,
            files: number(self.files)?,
            bytes: size(self.bytes, &what)?,
            added_bytes: size(self.added_bytes, &what)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct SnapshotRow {
    backup_id: i64,
    repository_id: String,
    part: String,
    snapshot: String,
    removed_at: Option<i64>,
}

impl SnapshotRow {
    fn snapshot(self) -> Result<Snapshot, StoreError> {
        let what = format!("snapshot {}", self.snapshot);
        Ok(Snapshot {
            backup: self.backup_id,
            repository: self.repository_id,
            part: self
                .part
                .parse()
                .map_err(|error: String| StoreError::damaged(&what, error))?,
            removed_at: optional_time(self.removed_at, &what)?,
            id: self.snapshot,
        })
    }
}

impl Backups<'_> {
    /// Writes down that a backup begins; its number is its name everywhere.
    pub async fn begin(&self, backup: NewBackup<'_>) -> Result<BackupId, StoreError> {
        Ok(query_scalar(
            "INSERT INTO backups (organisation, service, host, job, parts, began_at, complaints, files, bytes, added_bytes)
             VALUES ($1, $2, $3, $4, $5, $6, '[]', 0, 0, 0) RETURNING id",
        )
        .bind(backup.organisation.as_str())
        .bind(backup.service.as_str())
        .bind(backup.host.as_str())
        .bind(backup.job)
        .bind(to_json(&backup.parts)?)
        .bind(backup.at.as_millisecond())
        .fetch_one(&self.0.write)
        .await?)
    }

    /// Writes down how a backup ended, and its snapshots, all at once.
    pub async fn end(&self, id: BackupId, ended: EndedBackup<'_>) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        query(
            "UPDATE backups SET ended_at = $2, outcome = $3, complaints = $4, proof = $5, files = $6, bytes = $7,
                 added_bytes = $8
             WHERE id = $1",
        )
        .bind(id)
        .bind(ended.at.as_millisecond())
        .bind(to_word(&ended.outcome)?)
        .bind(to_json(&ended.complaints)?)
        .bind(ended.proof.map(to_json).transpose()?)
        .bind(count(ended.files))
        .bind(count(ended.bytes.0))
        .bind(count(ended.added_bytes.0))
        .execute(&mut *transaction)
        .await?;
        for snapshot in ended.snapshots {
            add(snapshot).execute(&mut *transaction).await?;
        }
        transaction.commit().await?;
        self.0.settle().await;
        Ok(())
    }

    /// All backups, the newest first.
    pub async fn list(&self) -> Result<Vec<Backup>, StoreError> {
        let rows: Vec<Row> = query(select!("ORDER BY b.began_at DESC, b.id DESC"))
            .fetch_all(&self.0.read)
            .await?;
        rows.into_iter().map(Row::backup).collect()
    }

    /// The backups of a service, the newest first.
    pub async fn of_service(&self, organisation: &Name, service: &Name) -> Result<Vec<Backup>, StoreError> {
        let rows: Vec<Row> = query(select!(
            "WHERE b.organisation = $1 AND b.service = $2 ORDER BY b.began_at DESC, b.id DESC"
        ))
        .bind(organisation.as_str())
        .bind(service.as_str())
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(Row::backup).collect()
    }

    /// The backup with this number.
    ///
    /// # Errors
    /// [`StoreError::Unknown`].
    pub async fn get(&self, id: BackupId) -> Result<Backup, StoreError> {
        let row: Option<Row> = query(select!("WHERE b.id = $1"))
            .bind(id)
            .fetch_optional(&self.0.read)
            .await?;
        row.ok_or_else(|| StoreError::Unknown {
            noun: "backup",
            name: id.to_string(),
            hint: "; they are listed by: allmende backup list".to_owned(),
        })?
        .backup()
    }

    /// Of each service the newest backup with this outcome that is still there, by organisation and service.
    pub async fn newest(&self, outcome: BackupOutcome) -> Result<Vec<Backup>, StoreError> {
        let rows: Vec<Row> = query(select!(
            "WHERE b.id IN (
                 SELECT MAX(id) FROM backups WHERE outcome = $1
                     AND EXISTS (SELECT 1 FROM snapshots s WHERE s.backup_id = backups.id AND s.removed_at IS NULL)
                 GROUP BY organisation, service)
             ORDER BY b.organisation, b.service"
        ))
        .bind(to_word(&outcome)?)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(Row::backup).collect()
    }

    /// Adds a snapshot of a backup: a copy in another repository. One that is known already stays as it is.
    pub async fn add_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        add(snapshot).execute(&self.0.write).await?;
        Ok(())
    }

    /// The snapshots of a backup, those that are forgotten too.
    pub async fn snapshots(&self, backup: BackupId) -> Result<Vec<Snapshot>, StoreError> {
        let rows: Vec<SnapshotRow> = query(
            "SELECT backup_id, repository_id, part, snapshot, removed_at FROM snapshots WHERE backup_id = $1
             ORDER BY repository_id, part",
        )
        .bind(backup)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(SnapshotRow::snapshot).collect()
    }

    /// The snapshots that should be in a repository, by backup, the oldest first.
    pub async fn snapshots_in(&self, repository: &str) -> Result<Vec<Snapshot>, StoreError> {
        let rows: Vec<SnapshotRow> = query(
            "SELECT backup_id, repository_id, part, snapshot, removed_at FROM snapshots
             WHERE repository_id = $1 AND removed_at IS NULL ORDER BY backup_id, part",
        )
        .bind(repository)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter().map(SnapshotRow::snapshot).collect()
    }

    /// Writes down that snapshots are forgotten.
    pub async fn set_removed(
        &self,
        repository: &str,
        ids: &[String],
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        for id in ids {
            query(
                "UPDATE snapshots SET removed_at = $3
                 WHERE repository_id = $1 AND snapshot = $2 AND removed_at IS NULL",
            )
            .bind(repository)
            .bind(id)
            .bind(at.as_millisecond())
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}

fn add(snapshot: &Snapshot) -> super::query::Query {
    query(
        "INSERT INTO snapshots (repository_id, snapshot, backup_id, part) VALUES ($1, $2, $3, $4)
         ON CONFLICT (repository_id, snapshot) DO NOTHING",
    )
    .bind(&snapshot.repository)
    .bind(&snapshot.id)
    .bind(snapshot.backup)
    .bind(snapshot.part.to_string())
}
