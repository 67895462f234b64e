//! The audit log: append-only, hash-chained, its end sealed with a key that lies outside the database.
//!
//! An entry's hash is SHA-256 over a compact JSON array: sequence, unix milliseconds, actor, operation, parameters (the stored
//! text), phase, job or null, message, previous hash.
//!
//! Found are: a changed entry, one that was taken out, put in or moved, an end that was cut off, a log that was written anew
//! without the key, and a job of which the log knows nothing. Not found are: a database that was replaced as a whole by an
//! older copy of itself (for that, keep the last hash somewhere else), and whatever is done by somebody who holds the key.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::columns::{optional_time, time, to_json};
use super::connection::Connection;
use super::query::{query, query_scalar, storable};
use super::{Store, StoreError, now};
use crate::model::JobId;

/// The audit log in the store.
pub struct Audit<'a>(pub(super) &'a Store);

/// Authenticates the end of the log.
pub trait Seal: Send + Sync {
    /// A seal over these bytes.
    fn seal(&self, bytes: &[u8]) -> Vec<u8>;

    /// Whether it is the seal over these bytes.
    fn fits(&self, bytes: &[u8], seal: &[u8]) -> bool;
}

/// Where a request stands when an entry is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditPhase {
    /// Somebody asks.
    Asked,
    /// It was done.
    Succeeded,
    /// It was tried and failed.
    Failed,
    /// It was not tried.
    Refused,
}

impl AuditPhase {
    fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "asked",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Refused => "refused",
        }
    }
}

/// What is written down.
#[derive(Debug, Clone, Copy)]
pub struct AuditRecord<'a> {
    /// Who asks.
    pub actor: &'a str,
    /// For which operation.
    pub operation: &'a str,
    /// With which parameters; no secrets.
    pub parameters: &'a serde_json::Value,
    /// Where it stands.
    pub phase: AuditPhase,
    /// The job, once there is one.
    pub job: Option<JobId>,
    /// What it is about, or what came of it.
    pub message: &'a str,
}

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, sqlx::FromRow)]
pub struct AuditEntry {
    /// Counted up from 1.
    pub sequence: i64,
    /// Unix time in milliseconds.
    at: i64,
    /// Who asked.
    pub actor: String,
    /// For which operation.
    pub operation: String,
    /// With which parameters, as JSON text.
    pub parameters: String,
    /// `asked`, `succeeded`, `failed` or `refused`.
    pub phase: String,
    /// The job.
    pub job_id: Option<i64>,
    /// What it is about, or what came of it.
    pub message: String,
    /// The hash of the entry before.
    pub previous: String,
    /// SHA-256 over all of the above, hex.
    pub hash: String,
}

impl AuditEntry {
    /// When it was written.
    pub fn at(&self) -> Timestamp {
        time(self.at, "audit").unwrap_or(Timestamp::UNIX_EPOCH)
    }

    fn computed_hash(&self) -> Result<String, StoreError> {
        let canonical = to_json(&(
            self.sequence,
            self.at,
            &self.actor,
            &self.operation,
            &self.parameters,
            &self.phase,
            self.job_id,
            &self.message,
            &self.previous,
        ))?;
        let hash = Sha256::digest(canonical.as_bytes());
        Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
    }
}

/// What [`Audit::verify`] found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "verdict")]
pub enum AuditVerdict {
    /// Nothing was changed.
    Intact {
        /// How many entries there are.
        entries: i64,
        /// The last hash: kept elsewhere, it also proves that nobody put an older database back.
        last_hash: String,
    },
    /// An entry is not what was written.
    Broken {
        /// The first such entry.
        sequence: i64,
    },
    /// The end is missing, or its seal is not ours.
    End {
        /// How many entries there are.
        entries: i64,
    },
}

impl AuditVerdict {
    /// Whether nothing was changed.
    pub fn intact(&self) -> bool {
        matches!(self, Self::Intact { .. })
    }
}

impl fmt::Display for AuditVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Intact { entries, last_hash } => {
                write!(
                    f,
                    "{entries} entries, none was changed. The last hash is {last_hash}"
                )
            }
            Self::Broken { sequence } => write!(
                f,
                "Entry {sequence} is not what was written, or one before it is missing. Compare with a backup of the database"
            ),
            Self::End { entries } => write!(
                f,
                "The log ends after {entries} entries, but that is not where it was sealed: entries are missing at the end, or the seal was forged"
            ),
        }
    }
}

#[derive(sqlx::FromRow)]
struct Head {
    entries: i64,
    hash: String,
    seal: Vec<u8>,
}

/// Stands in the place of the previous hash where the log did not end as it was sealed.
const NO_SEAL: &str = "the end of the log was not as it was sealed";

/// What the seal covers.
fn sealed_bytes(entries: i64, hash: &str) -> Vec<u8> {
    format!("{entries} {hash}").into_bytes()
}

async fn head(connection: &mut Connection) -> Result<Option<Head>, StoreError> {
    Ok(query("SELECT entries, hash, seal FROM audit_head WHERE id = 1")
        .fetch_optional(connection)
        .await?)
}

impl Audit<'_> {
    /// When an operation last succeeded; none when it never did.
    pub async fn last_success(&self, operation: &str) -> Result<Option<Timestamp>, StoreError> {
        let at = query_scalar(
            "SELECT at FROM audit WHERE operation = $1 AND phase = $2 ORDER BY sequence DESC LIMIT 1",
        )
        .bind(operation)
        .bind(AuditPhase::Succeeded.as_str())
        .fetch_optional(&self.0.read)
        .await?;
        optional_time(at, "audit")
    }

    /// Writes an entry at the end.
    ///
    /// # Errors
    /// [`StoreError::NoSeal`] before the vault is open.
    pub async fn append(&self, record: AuditRecord<'_>) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        append(self.0, &mut transaction, record).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The newest entries, newest first.
    pub async fn list(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(query(
            "SELECT sequence, at, actor, operation, parameters, phase, job_id, message, previous, hash
             FROM audit ORDER BY sequence DESC LIMIT $1",
        )
        .bind(limit)
        .fetch_all(&self.0.read)
        .await?)
    }

    /// Goes through the whole log.
    ///
    /// # Errors
    /// [`StoreError::NoSeal`] before the vault is open.
    pub async fn verify(&self) -> Result<AuditVerdict, StoreError> {
        const PAGE: i64 = 1000;
        let seal = self.0.seal()?;
        // One transaction sees the log, its end and the jobs as they were at one moment.
        let mut transaction = self.0.read.snapshot().await?;
        let mut entries = 0;
        let mut previous = String::new();
        loop {
            let page: Vec<AuditEntry> = query(
                "SELECT sequence, at, actor, operation, parameters, phase, job_id, message, previous, hash
                 FROM audit WHERE sequence > $1 ORDER BY sequence LIMIT $2",
            )
            .bind(entries)
            .bind(PAGE)
            .fetch_all(&mut *transaction)
            .await?;
            if page.is_empty() {
                break;
            }
            for entry in page {
                let follows = entry.sequence == entries + 1 && entry.previous == previous;
                if !follows || entry.computed_hash()? != entry.hash {
                    return Ok(AuditVerdict::Broken {
                        sequence: entries + 1,
                    });
                }
                entries = entry.sequence;
                previous = entry.hash;
            }
        }
        let sealed = match head(&mut transaction).await? {
            None => entries == 0,
            Some(head) => {
                head.entries == entries
                    && head.hash == previous
                    && seal.fits(&sealed_bytes(entries, &previous), &head.seal)
            }
        };
        // Every job is written together with its first entry, so a log that was emptied together with its end shows here.
        let unknown_jobs: i64 = query_scalar(
            "SELECT COUNT(*) FROM jobs j WHERE NOT EXISTS (SELECT 1 FROM audit a WHERE a.job_id = j.id)",
        )
        .fetch_one(&mut *transaction)
        .await?;
        Ok(if sealed && unknown_jobs == 0 {
            AuditVerdict::Intact {
                entries,
                last_hash: previous,
            }
        } else {
            AuditVerdict::End { entries }
        })
    }
}

/// Writes an entry within a transaction that does more.
///
/// It follows the *sealed* end. Where the log does not end there, or the seal is not ours, the entry keeps the break visible:
/// appending must never heal what somebody cut.
pub(super) async fn append(
    store: &Store,
    connection: &mut Connection,
    record: AuditRecord<'_>,
) -> Result<(), StoreError> {
    let seal = store.seal()?;
    let longest: i64 = query_scalar("SELECT COALESCE(MAX(sequence), 0) FROM audit")
        .fetch_one(&mut *connection)
        .await?;
    let (entries, previous) = match head(connection).await? {
        None if longest == 0 => (0, String::new()),
        Some(head) if seal.fits(&sealed_bytes(head.entries, &head.hash), &head.seal) => {
            (head.entries, head.hash)
        }
        _ => (longest, NO_SEAL.to_owned()),
    };
    let mut entry = AuditEntry {
        sequence: entries.max(longest) + 1,
        at: now().as_millisecond(),
        actor: storable(record.actor),
        operation: storable(record.operation),
        parameters: to_json(record.parameters)?,
        phase: record.phase.as_str().to_owned(),
        job_id: record.job,
        message: storable(record.message),
        previous,
        hash: String::new(),
    };
    entry.hash = entry.computed_hash()?;
    query(
        "INSERT INTO audit (sequence, at, actor, operation, parameters, phase, job_id, message, previous, hash)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    )
    .bind(entry.sequence)
    .bind(entry.at)
    .bind(&entry.actor)
    .bind(&entry.operation)
    .bind(&entry.parameters)
    .bind(&entry.phase)
    .bind(entry.job_id)
    .bind(&entry.message)
    .bind(&entry.previous)
    .bind(&entry.hash)
    .execute(&mut *connection)
    .await?;
    query(
        "INSERT INTO audit_head (id, entries, hash, seal) VALUES (1, $1, $2, $3)
         ON CONFLICT (id) DO UPDATE SET entries = excluded.entries, hash = excluded.hash, seal = excluded.seal",
    )
    .bind(entry.sequence)
    .bind(&entry.hash)
    .bind(seal.seal(&sealed_bytes(entry.sequence, &entry.hash)))
    .execute(&mut *connection)
    .await?;
    Ok(())
}
