//! What the weekly digests are made of.

use jiff::Timestamp;

use super::Notifications;
use super::outbox::{self, NewDelivery};
use crate::model::Name;
use crate::store::columns::{from_json, time, to_json};
use crate::store::query::query;
use crate::store::{StoreError, organisations};

/// The last week for which an organisation's digest was made.
#[derive(Debug, Clone, PartialEq)]
pub struct LastWeek {
    /// Its end.
    pub until: Timestamp,
    /// The hosts and services that there were then: "service cloud (nextcloud)".
    pub inventory: Vec<String>,
}

/// A job that ended, for looking back.
#[derive(Debug, Clone, PartialEq)]
pub struct PastJob {
    /// The operation: `host.apply`.
    pub operation: String,
    /// What it was about.
    pub title: String,
    /// When it ended.
    pub at: Timestamp,
    /// Whether it ended well.
    pub succeeded: bool,
}

impl Notifications<'_> {
    /// The last week that was told of for an organisation.
    pub async fn last_week(&self, organisation: &Name) -> Result<Option<LastWeek>, StoreError> {
        let row: Option<(i64, String)> = query(
            "SELECT w.week_at, w.inventory FROM notify_digests w
             JOIN organisations o ON o.id = w.organisation_id
             WHERE o.name = $1 ORDER BY w.week_at DESC LIMIT 1",
        )
        .bind(organisation.as_str())
        .fetch_optional(&self.0.read)
        .await?;
        row.map(|(until, inventory)| {
            let what = format!("digest of {organisation}");
            Ok(LastWeek {
                until: time(until, &what)?,
                inventory: from_json(&inventory, &what)?,
            })
        })
        .transpose()
    }

    /// Remembers a week as told of, and puts its messages on their way in the same transaction. Nothing happens for a week that
    /// was told of already; says whether something did.
    pub async fn keep_week(
        &self,
        organisation: &Name,
        week: &LastWeek,
        messages: &[NewDelivery],
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = organisations::id(&mut transaction, organisation).await?;
        let written = query(
            "INSERT INTO notify_digests (organisation_id, week_at, inventory) VALUES ($1, $2, $3)
             ON CONFLICT (organisation_id, week_at) DO NOTHING",
        )
        .bind(id)
        .bind(week.until.as_millisecond())
        .bind(to_json(&week.inventory)?)
        .execute(&mut *transaction)
        .await?;
        if written == 0 {
            return Ok(false);
        }
        // Only the last week is compared with.
        query("DELETE FROM notify_digests WHERE organisation_id = $1 AND week_at < $2")
            .bind(id)
            .bind(week.until.as_millisecond())
            .execute(&mut *transaction)
            .await?;
        for new in messages {
            outbox::insert(&mut transaction, new, now).await?;
        }
        transaction.commit().await?;
        Ok(true)
    }

    /// Jobs of an organisation that changed something or failed between `from` and `until`, the last first.
    pub async fn past_jobs(
        &self,
        organisation: &Name,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<PastJob>, StoreError> {
        const MOST: i64 = 200;
        let rows: Vec<(String, String, i64, String)> = query(
            "SELECT j.operation, j.title, j.ended_at, j.state FROM jobs j
             JOIN organisations o ON o.id = j.organisation_id
             WHERE o.name = $1 AND j.ended_at >= $2 AND j.ended_at < $3 AND j.state IN ('succeeded', 'failed')
             ORDER BY j.ended_at DESC, j.id DESC LIMIT $4",
        )
        .bind(organisation.as_str())
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .bind(MOST)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter()
            .map(|(operation, title, at, state)| {
                Ok(PastJob {
                    operation,
                    title,
                    at: time(at, "job")?,
                    succeeded: state == "succeeded",
                })
            })
            .collect()
    }
}
