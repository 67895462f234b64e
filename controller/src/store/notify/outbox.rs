//! Messages on their way: claimed with a lease, tried, and kept for a while.

use jiff::{SignedDuration, Timestamp};

use super::Notifications;
use crate::model::{Content, Delivery, DeliveryKind, IncidentNotice, Name, Parcel, Text};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, name, optional_time, time, to_json};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};

/// How long something is tried before it is given up.
const PATIENCE: SignedDuration = SignedDuration::from_hours(24);

/// A message to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDelivery {
    /// What it is.
    pub kind: DeliveryKind,
    /// For whom.
    pub person: Name,
    /// By which channel.
    pub channel: Name,
    /// What it says.
    pub content: Content,
    /// Not before.
    pub due_at: Timestamp,
    /// Only after this one arrived.
    pub after: Option<i64>,
}

/// The right to try a message, until its lease ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    id: i64,
    attempt: i64,
}

impl Claim {
    /// Which attempt it is, counted from 1.
    pub fn attempt(&self) -> i64 {
        self.attempt
    }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: i64,
    uid: String,
    kind: String,
    person: String,
    channel: String,
    content: String,
    state: String,
    created_at: i64,
    due_at: i64,
    attempts: i64,
    sent_at: Option<i64>,
    answer: Option<String>,
}

const DELIVERIES: &str =
    "SELECT d.id, d.uid, d.kind, p.name AS person, c.name AS channel, d.content, d.state,
         d.created_at, d.due_at, d.attempts, d.sent_at, d.answer
     FROM notify_deliveries d
     JOIN notify_people p ON p.id = d.person_id JOIN notify_channels c ON c.id = d.channel_id
     WHERE d.id = $1";

const NEWEST: &str = "SELECT d.id, d.uid, d.kind, p.name AS person, c.name AS channel, d.content, d.state,
         d.created_at, d.due_at, d.attempts, d.sent_at, d.answer
     FROM notify_deliveries d
     JOIN notify_people p ON p.id = d.person_id JOIN notify_channels c ON c.id = d.channel_id
     ORDER BY d.id DESC LIMIT $1";

impl Row {
    fn parcel(self, notices: Vec<IncidentNotice>, reply_to: Option<String>) -> Result<Parcel, StoreError> {
        let what = format!("delivery {}", self.id);
        let content: Content = from_json(&self.content, &what)?;
        let about = content.about(&notices).into_iter().map(|text| text.en).collect();
        Ok(Parcel {
            delivery: Delivery {
                id: self.id,
                uid: self.uid,
                kind: from_word(&self.kind, &what)?,
                person: name(self.person, &what)?,
                channel: name(self.channel, &what)?,
                state: from_word(&self.state, &what)?,
                created_at: time(self.created_at, &what)?,
                due_at: time(self.due_at, &what)?,
                attempts: self.attempts,
                sent_at: optional_time(self.sent_at, &what)?,
                answer: self.answer,
                about,
            },
            content,
            notices,
            reply_to,
        })
    }
}

impl Notifications<'_> {
    /// What may be tried now, the most urgent first: message and channel. What a dead sender held is among it.
    pub async fn due(&self, limit: i64, now: Timestamp) -> Result<Vec<(i64, Name)>, StoreError> {
        let rows: Vec<(i64, String)> = query(
            "SELECT d.id, c.name FROM notify_deliveries d JOIN notify_channels c ON c.id = d.channel_id
             WHERE ((d.state = 'waiting' AND d.due_at <= $1) OR (d.state = 'sending' AND d.lease_until <= $1))
                 AND (c.retry_at IS NULL OR c.retry_at <= $1)
                 AND NOT EXISTS (SELECT 1 FROM notify_deliveries b
                     WHERE b.id = d.after_id AND b.state IN ('waiting', 'sending'))
             ORDER BY d.due_at, d.id LIMIT $2",
        )
        .bind(now.as_millisecond())
        .bind(limit)
        .fetch_all(&self.0.read)
        .await?;
        rows.into_iter()
            .map(|(id, channel)| Ok((id, name(channel, "delivery")?)))
            .collect()
    }

    /// Claims a message that may be tried now; none if somebody else was faster.
    pub async fn claim(
        &self,
        id: i64,
        holder: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<Option<(Claim, Parcel)>, StoreError> {
        let mut transaction = self.0.begin().await?;
        let claimed = claim(&mut transaction, id, holder, lease_until, now).await?;
        transaction.commit().await?;
        Ok(claimed)
    }

    /// Puts a message on its way and claims it at once: nobody else tries it.
    pub async fn post_claimed(
        &self,
        new: &NewDelivery,
        holder: &str,
        lease_until: Timestamp,
        now: Timestamp,
    ) -> Result<(Claim, Parcel), StoreError> {
        let mut transaction = self.0.begin().await?;
        let id = insert(&mut transaction, new, now).await?;
        let claimed = claim(&mut transaction, id, holder, lease_until, now).await?;
        transaction.commit().await?;
        claimed.ok_or_else(|| StoreError::damaged("delivery", "a new one cannot be claimed"))
    }

    /// It arrived. Nothing happens if the claim is no longer the last one.
    pub async fn arrived(&self, claim: Claim, answer: &str, now: Timestamp) -> Result<(), StoreError> {
        query(
            "UPDATE notify_deliveries SET state = 'sent', sent_at = $3, answer = $4, holder = NULL, lease_until = NULL
             WHERE id = $1 AND attempts = $2 AND state = 'sending'",
        )
        .bind(claim.id)
        .bind(claim.attempt)
        .bind(now.as_millisecond())
        .bind(answer)
        .execute(&self.0.write)
        .await?;
        Ok(())
    }

    /// It did not arrive, and is tried again at `due`.
    pub async fn again(&self, claim: Claim, error: &str, due: Timestamp) -> Result<(), StoreError> {
        query(
            "UPDATE notify_deliveries SET state = 'waiting', due_at = $3, answer = $4, holder = NULL, lease_until = NULL
             WHERE id = $1 AND attempts = $2 AND state = 'sending'",
        )
        .bind(claim.id)
        .bind(claim.attempt)
        .bind(due.as_millisecond())
        .bind(error)
        .execute(&self.0.write)
        .await?;
        Ok(())
    }

    /// It was not tried, because its time is later.
    pub async fn postpone(&self, claim: Claim, due: Timestamp) -> Result<(), StoreError> {
        query(
            "UPDATE notify_deliveries SET state = 'waiting', due_at = $3, attempts = attempts - 1, holder = NULL,
                 lease_until = NULL
             WHERE id = $1 AND attempts = $2 AND state = 'sending'",
        )
        .bind(claim.id)
        .bind(claim.attempt)
        .bind(due.as_millisecond())
        .execute(&self.0.write)
        .await?;
        Ok(())
    }

    /// It is given up; what should follow it is dropped. In the same transaction somebody else is told, if `instead` says whom.
    pub async fn give_up(
        &self,
        claim: Claim,
        error: &str,
        instead: Option<&NewDelivery>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let done = query(
            "UPDATE notify_deliveries SET state = 'failed', answer = $3, holder = NULL, lease_until = NULL
             WHERE id = $1 AND attempts = $2 AND state = 'sending'",
        )
        .bind(claim.id)
        .bind(claim.attempt)
        .bind(error)
        .execute(&mut *transaction)
        .await?;
        if done > 0 {
            drop_followers(&mut transaction, claim.id).await?;
            if let Some(new) = instead {
                insert(&mut transaction, new, now).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Gives up what was tried for too long, says how much that was. Whatever was never tried in all that time, because its
    /// channel failed, belongs to it.
    pub async fn expire(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.0.begin().await?;
        let old: Vec<i64> = query_scalar(
            "SELECT id FROM notify_deliveries WHERE state = 'waiting' AND expires_at <= $1 ORDER BY id LIMIT 500",
        )
        .bind(now.as_millisecond())
        .fetch_all(&mut *transaction)
        .await?;
        for id in &old {
            query("UPDATE notify_deliveries SET state = 'failed' WHERE id = $1 AND state = 'waiting'")
                .bind(id)
                .execute(&mut *transaction)
                .await?;
            drop_followers(&mut transaction, *id).await?;
        }
        transaction.commit().await?;
        Ok(old.len() as u64)
    }

    /// Tells somebody that a channel fails, once for each time that it does. Says whether there was something to tell.
    ///
    /// `compose` gets what did not arrive, and says who is told and what.
    pub async fn report_failing(
        &self,
        channel: &Name,
        now: Timestamp,
        compose: impl FnOnce(Vec<Text>) -> NewDelivery + Send,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.0.begin().await?;
        // A report that was itself given up is none.
        let open: Option<i64> = query_scalar(
            "SELECT c.failing_since FROM notify_channels c WHERE c.name = $1 AND c.failing_since IS NOT NULL
                 AND (c.reported_by IS NULL OR EXISTS (SELECT 1 FROM notify_deliveries d
                     WHERE d.id = c.reported_by AND d.state = 'failed'))",
        )
        .bind(channel.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        if open.is_none() {
            return Ok(false);
        }
        let undelivered = undelivered(&mut transaction, channel, now).await?;
        let id = insert(&mut transaction, &compose(undelivered), now).await?;
        query("UPDATE notify_channels SET reported_by = $2 WHERE name = $1")
            .bind(channel.as_str())
            .bind(id)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(true)
    }

    /// Remembers that something went out by a channel. Whoever was told that it fails, is told in the same transaction what
    /// `compose` makes of that message; a message that was not tried yet is dropped instead.
    pub async fn channel_worked(
        &self,
        channel: &Name,
        now: Timestamp,
        compose: impl FnOnce(&Delivery, Content) -> NewDelivery + Send,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let reported: Option<Option<i64>> =
            query_scalar("SELECT reported_by FROM notify_channels WHERE name = $1")
                .bind(channel.as_str())
                .fetch_optional(&mut *transaction)
                .await?;
        query(
            "UPDATE notify_channels SET failures = 0, failing_since = NULL, retry_at = NULL, last_ok_at = $2,
             reported_by = NULL WHERE name = $1",
        )
        .bind(channel.as_str())
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await?;
        if let Some(id) = reported.flatten() {
            let taken_back = query(
                "UPDATE notify_deliveries SET state = 'dropped' WHERE id = $1 AND state = 'waiting' AND attempts = 0",
            )
            .bind(id)
            .execute(&mut *transaction)
            .await?;
            let row: Option<Row> = query(DELIVERIES)
                .bind(id)
                .fetch_optional(&mut *transaction)
                .await?;
            if let (0, Some(row)) = (taken_back, row) {
                let report = row.parcel(Vec::new(), None)?;
                let new = compose(&report.delivery, report.content);
                insert(&mut transaction, &new, now).await?;
            }
        }
        transaction.commit().await?;
        Ok(())
    }

    /// The newest messages, the newest first.
    pub async fn deliveries(&self, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        let rows: Vec<Row> = query(NEWEST).bind(limit).fetch_all(&mut connection).await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        for row in rows {
            let notices = notices(&mut connection, row.id).await?;
            deliveries.push(row.parcel(notices, None)?.delivery);
        }
        Ok(deliveries)
    }

    /// Forgets messages that ended before `before`.
    pub async fn clear(&self, before: Timestamp) -> Result<u64, StoreError> {
        let done = query(
            "DELETE FROM notify_deliveries WHERE created_at < $1 AND state IN ('sent', 'failed', 'dropped')",
        )
        .bind(before.as_millisecond())
        .execute(&self.0.write)
        .await?;
        Ok(done)
    }
}

async fn claim(
    connection: &mut Connection,
    id: i64,
    holder: &str,
    lease_until: Timestamp,
    now: Timestamp,
) -> Result<Option<(Claim, Parcel)>, StoreError> {
    let attempt: Option<i64> = query_scalar(
        "UPDATE notify_deliveries SET state = 'sending', holder = $2, lease_until = $3, attempts = attempts + 1
         WHERE id = $1 AND ((state = 'waiting' AND due_at <= $4) OR (state = 'sending' AND lease_until <= $4))
         RETURNING attempts",
    )
    .bind(id)
    .bind(holder)
    .bind(lease_until.as_millisecond())
    .bind(now.as_millisecond())
    .fetch_optional(&mut *connection)
    .await?;
    let Some(attempt) = attempt else { return Ok(None) };
    let row: Row = query(DELIVERIES).bind(id).fetch_one(&mut *connection).await?;
    let notices = notices(connection, id).await?;
    let reply_to = first_alert(connection, id).await?;
    Ok(Some((Claim { id, attempt }, row.parcel(notices, reply_to)?)))
}

/// Writes a message within a transaction that does more.
pub(super) async fn insert(
    connection: &mut Connection,
    new: &NewDelivery,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let expires_at = new.due_at.max(now) + PATIENCE;
    let id: Option<i64> = query_scalar(
        "INSERT INTO notify_deliveries
             (uid, kind, person_id, channel_id, content, state, created_at, due_at, expires_at, after_id)
         SELECT $1, $2, p.id, c.id, $5, 'waiting', $6, $7, $8, $9 FROM notify_people p, notify_channels c
         WHERE p.name = $3 AND c.name = $4
         RETURNING id",
    )
    .bind(uid()?)
    .bind(new.kind.as_str())
    .bind(new.person.as_str())
    .bind(new.channel.as_str())
    .bind(to_json(&new.content)?)
    .bind(now.as_millisecond())
    .bind(new.due_at.as_millisecond())
    .bind(expires_at.as_millisecond())
    .bind(new.after)
    .fetch_optional(connection)
    .await?;
    id.ok_or_else(|| StoreError::Unknown {
        noun: "person or channel",
        name: format!("{} by {}", new.person, new.channel),
        hint: String::new(),
    })
}

/// A name that nothing else in the world has.
fn uid() -> Result<String, StoreError> {
    let mut bytes = [0; 12];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|error| StoreError::Unusable(format!("the system gives no randomness: {error}")))?;
    if filled != bytes.len() {
        return Err(StoreError::Unusable("the system gives no randomness".to_owned()));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Drops what should have followed a message that was given up, but not the recovery of what was told by another one.
async fn drop_followers(connection: &mut Connection, id: i64) -> Result<(), StoreError> {
    query(
        "UPDATE notify_deliveries SET state = 'dropped' WHERE after_id = $1 AND state = 'waiting'
             AND NOT EXISTS (SELECT 1 FROM notify_items i
                 JOIN notify_items j ON j.incident_id = i.incident_id AND j.person_id = i.person_id
                     AND j.channel_id = i.channel_id
                 JOIN notify_deliveries a ON a.id = j.delivery_id
                 WHERE i.delivery_id = notify_deliveries.id AND a.kind = 'alert' AND a.state = 'sent')",
    )
    .bind(id)
    .execute(connection)
    .await?;
    Ok(())
}

async fn notices(connection: &mut Connection, delivery: i64) -> Result<Vec<IncidentNotice>, StoreError> {
    let rows: Vec<String> =
        query_scalar("SELECT notice FROM notify_items WHERE delivery_id = $1 ORDER BY incident_id, key")
            .bind(delivery)
            .fetch_all(connection)
            .await?;
    rows.iter().map(|text| from_json(text, "notice")).collect()
}

/// The first message that told the same person of the first incident of a message, unless it is that message.
async fn first_alert(connection: &mut Connection, delivery: i64) -> Result<Option<String>, StoreError> {
    let first: Option<(i64, String)> = query(
        "SELECT a.id, a.uid FROM notify_items i
         JOIN notify_items j ON j.incident_id = i.incident_id AND j.person_id = i.person_id
             AND j.channel_id = i.channel_id
         JOIN notify_deliveries a ON a.id = j.delivery_id
         WHERE i.delivery_id = $1 AND a.kind = 'alert' AND a.state = 'sent'
         ORDER BY a.id LIMIT 1",
    )
    .bind(delivery)
    .fetch_optional(connection)
    .await?;
    Ok(first.filter(|(id, _)| *id != delivery).map(|(_, uid)| uid))
}

/// What should have gone out by a channel since it fails.
async fn undelivered(
    connection: &mut Connection,
    channel: &Name,
    now: Timestamp,
) -> Result<Vec<Text>, StoreError> {
    let ids: Vec<(i64, String)> = query(
        "SELECT d.id, p.title FROM notify_deliveries d
         JOIN notify_channels c ON c.id = d.channel_id JOIN notify_people p ON p.id = d.person_id
         WHERE c.name = $1 AND (d.attempts > 0 OR d.due_at <= $2) AND d.kind IN ('alert', 'reminder')
             AND d.state IN ('waiting', 'sending')
         ORDER BY d.id LIMIT 20",
    )
    .bind(channel.as_str())
    .bind(now.as_millisecond())
    .fetch_all(&mut *connection)
    .await?;
    let mut found = Vec::new();
    for (id, person) in ids {
        for text in Content::Incidents.about(&notices(connection, id).await?) {
            found.push(Text {
                de: format!("{} (für {person})", text.de),
                en: format!("{} (for {person})", text.en),
            });
        }
    }
    Ok(found)
}
