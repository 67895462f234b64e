//! History: every answer for some days, then by the hour, then by the day.

use jiff::{SignedDuration, Timestamp};

use super::Watch;
use super::answers::status;
use crate::model::{CheckKey, Status};
use crate::store::StoreError;
use crate::store::columns::time;
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};

/// An answer of the past.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// When it was asked.
    pub at: Timestamp,
    /// How well it was.
    pub status: Status,
    /// The figure, in the unit of the check.
    pub figure: Option<f64>,
    /// How long it took, in milliseconds.
    pub took_ms: i64,
}

/// How late an answer may be written down and still be summed up, in milliseconds.
const LATE: i64 = 300_000;

/// Over what answers are summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RollupSpan {
    /// An hour.
    Hour,
    /// A day, in UTC.
    Day,
}

/// The answers of an hour or a day.
#[derive(Debug, Clone, PartialEq, sqlx::FromRow)]
pub struct Rollup {
    /// When it began, in unix milliseconds.
    pub begin_at: i64,
    /// Good answers.
    pub ok: i64,
    /// Answers that told nothing.
    pub unknown: i64,
    /// Warnings.
    pub warning: i64,
    /// Critical answers.
    pub critical: i64,
    /// The smallest figure.
    pub least: Option<f64>,
    /// The mean of the figures.
    pub mean: Option<f64>,
    /// The largest figure.
    pub most: Option<f64>,
}

/// How long what is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Every answer.
    pub answers: SignedDuration,
    /// Hours.
    pub hours: SignedDuration,
    /// Days, incidents that are over, and since when checks stood how.
    pub days: SignedDuration,
}

impl RollupSpan {
    /// Its length in milliseconds.
    const fn length(self) -> i64 {
        match self {
            Self::Hour => 3_600_000,
            Self::Day => 86_400_000,
        }
    }

    const fn number(self) -> i64 {
        match self {
            Self::Hour => 1,
            Self::Day => 2,
        }
    }
}

impl Watch<'_> {
    /// The answers of a check from one time to another, the oldest first; as long as they are kept.
    pub async fn answers(
        &self,
        key: &CheckKey,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Sample>, StoreError> {
        let rows: Vec<(i64, i64, Option<f64>, i64)> = query(
            "SELECT r.at, r.status, r.figure, r.took_ms FROM results r JOIN watched w ON w.id = r.check_id
             WHERE w.subject = $1 AND w.name = $2 AND r.at >= $3 AND r.at < $4 ORDER BY r.at",
        )
        .bind(key.subject.to_string())
        .bind(&key.id)
        .bind(from.as_millisecond())
        .bind(until.as_millisecond())
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter()
            .map(|(at, number, figure, took_ms)| {
                Ok(Sample {
                    at: time(at, "answer")?,
                    status: status(number),
                    figure,
                    took_ms,
                })
            })
            .collect()
    }

    /// The hours or days of a check since a time, the oldest first.
    pub async fn rollups(
        &self,
        key: &CheckKey,
        span: RollupSpan,
        from: Timestamp,
    ) -> Result<Vec<Rollup>, StoreError> {
        Ok(query(
            "SELECT h.begin_at, h.ok, h.unknown, h.warning, h.critical, h.least, h.mean, h.most
             FROM rollups h JOIN watched w ON w.id = h.check_id
             WHERE w.subject = $1 AND w.name = $2 AND h.span = $3 AND h.begin_at >= $4 ORDER BY h.begin_at",
        )
        .bind(key.subject.to_string())
        .bind(&key.id)
        .bind(span.number())
        .bind(from.as_millisecond())
        .fetch_all(&self.0.read)
        .await?)
    }

    /// Sums up hours and days that are over, and forgets what is older than it is kept. May be repeated, by whomever.
    pub async fn roll_up(&self, now: Timestamp, keep: Keep) -> Result<(), StoreError> {
        let now_ms = now.as_millisecond();
        let before =
            |kept: SignedDuration| now_ms.saturating_sub(i64::try_from(kept.as_millis()).unwrap_or(i64::MAX));
        let mut transaction = self.0.begin().await?;
        let (begin, end) = not_summed_up(&mut transaction, RollupSpan::Hour, now_ms).await?;
        query(
            "INSERT INTO rollups (check_id, span, begin_at, ok, unknown, warning, critical, least, mean, most)
             SELECT check_id, $1, at / $2 * $2,
                    SUM(CASE WHEN status = 0 THEN 1 ELSE 0 END), SUM(CASE WHEN status = 1 THEN 1 ELSE 0 END),
                    SUM(CASE WHEN status = 2 THEN 1 ELSE 0 END), SUM(CASE WHEN status = 3 THEN 1 ELSE 0 END),
                    MIN(figure), AVG(figure), MAX(figure)
             FROM results WHERE at >= $3 AND at < $4 GROUP BY check_id, at / $2 * $2
             ON CONFLICT (check_id, span, begin_at) DO NOTHING",
        )
        .bind(RollupSpan::Hour.number())
        .bind(RollupSpan::Hour.length())
        .bind(begin)
        .bind(end)
        .execute(&mut *transaction)
        .await?;
        let (begin, end) = not_summed_up(&mut transaction, RollupSpan::Day, now_ms).await?;
        query(
            "INSERT INTO rollups (check_id, span, begin_at, ok, unknown, warning, critical, least, mean, most)
             SELECT check_id, $1, begin_at / $2 * $2, SUM(ok), SUM(unknown), SUM(warning), SUM(critical),
                    MIN(least), AVG(mean), MAX(most)
             FROM rollups WHERE span = $5 AND begin_at >= $3 AND begin_at < $4 GROUP BY check_id, begin_at / $2 * $2
             ON CONFLICT (check_id, span, begin_at) DO NOTHING",
        )
        .bind(RollupSpan::Day.number())
        .bind(RollupSpan::Day.length())
        .bind(begin)
        .bind(end)
        .bind(RollupSpan::Hour.number())
        .execute(&mut *transaction)
        .await?;
        query("DELETE FROM results WHERE at < $1")
            .bind(before(keep.answers))
            .execute(&mut *transaction)
            .await?;
        for (span, kept) in [(RollupSpan::Hour, keep.hours), (RollupSpan::Day, keep.days)] {
            query("DELETE FROM rollups WHERE span = $1 AND begin_at < $2")
                .bind(span.number())
                .bind(before(kept))
                .execute(&mut *transaction)
                .await?;
        }
        // The last one before that time still says how it stood at that time.
        query(
            "DELETE FROM spans WHERE since < $1 AND since < (SELECT MAX(s.since) FROM spans s
             WHERE s.check_id = spans.check_id AND s.since < $1)",
        )
        .bind(before(keep.days))
        .execute(&mut *transaction)
        .await?;
        query("DELETE FROM incidents WHERE recovered_at < $1")
            .bind(before(keep.days))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// From the end of the last hour or day that was summed up to the end of the last one that is over.
async fn not_summed_up(
    connection: &mut Connection,
    span: RollupSpan,
    now: i64,
) -> Result<(i64, i64), StoreError> {
    let newest: Option<i64> = query_scalar("SELECT MAX(begin_at) FROM rollups WHERE span = $1")
        .bind(span.number())
        .fetch_one(connection)
        .await?;
    let begin = newest.map_or(0, |newest| newest + span.length());
    Ok((begin, (now - LATE) / span.length() * span.length()))
}
