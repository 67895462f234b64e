//! From incidents to messages, each decision together with what it decides about.

use jiff::{SignedDuration, Timestamp};

use super::outbox::{self, NewDelivery};
use super::{Notifications, book, incidents};
use crate::model::{
    Content, DeliveryKind, IncidentNotice, NoticeKind, Overdue, Recipient, Rule, Standing, Step, Telling,
    Thread,
};
use crate::store::StoreError;
use crate::store::columns::{from_json, from_word, name, to_json, to_word};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};

/// How many events are decided about in one transaction.
const BATCH: i64 = 100;

#[derive(sqlx::FromRow)]
struct ThreadRow {
    person: String,
    channel: String,
    severity: String,
    delivery_id: i64,
    state: Option<String>,
    attempts: Option<i64>,
    told: i64,
    tried: Option<i64>,
    notice: String,
}

impl ThreadRow {
    fn thread(&self) -> Result<Thread, StoreError> {
        let what = format!("thread of {}", self.person);
        Ok(Thread {
            person: name(self.person.clone(), &what)?,
            channel: name(self.channel.clone(), &what)?,
            severity: from_word(&self.severity, &what)?,
            standing: match (self.state.as_deref(), self.attempts) {
                (Some("waiting"), Some(0)) => Standing::Waiting,
                (Some("waiting" | "sending"), _) => Standing::Tried,
                // A message that was cleared away had arrived long ago.
                (Some("sent") | None, _) => Standing::Told,
                _ => Standing::Lost,
            },
            told: self.told > 0,
            tried: self.tried,
            delivery: self.delivery_id,
        })
    }
}

impl Notifications<'_> {
    /// Decides about events of incidents that nobody has decided about yet, and writes what was decided in the same
    /// transaction: an event is decided about once, whatever happens. Says how many there were.
    ///
    /// `decide` says what is to be told about a notice; `grouping` is how far apart messages to one person may be due that
    /// become one.
    pub async fn route(
        &self,
        grouping: SignedDuration,
        now: Timestamp,
        decide: impl Fn(&IncidentNotice, &[Rule], &[Recipient], &[Thread]) -> Vec<Telling> + Send,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.0.begin().await?;
        let (taken, notices) = incidents::take_unrouted(&mut transaction, BATCH, now).await?;
        if taken == 0 {
            return Ok(0);
        }
        let rules = book::rules(&mut transaction).await?;
        let people = book::people(&mut transaction).await?;
        for notice in &notices {
            let threads = threads(&mut transaction, notice.incident).await?;
            for telling in decide(notice, &rules, &people, &threads) {
                let thread = threads
                    .iter()
                    .find(|thread| thread.person == telling.person && thread.channel == telling.channel);
                Writer {
                    connection: &mut transaction,
                    grouping,
                    now,
                }
                .write(&telling, notice, thread)
                .await?;
            }
        }
        transaction.commit().await?;
        Ok(taken)
    }

    /// Tells again what its time has come for. Says how much that was.
    pub async fn remind(
        &self,
        grouping: SignedDuration,
        now: Timestamp,
        decide: impl Fn(&Overdue, &[Rule], &[Recipient]) -> Telling + Send,
    ) -> Result<usize, StoreError> {
        let mut transaction = self.0.begin().await?;
        let rows: Vec<ThreadRow> = query(
            "SELECT p.name AS person, c.name AS channel, t.severity, t.delivery_id, d.state, d.attempts, t.notice,
             (SELECT COUNT(*) FROM notify_items i JOIN notify_deliveries a ON a.id = i.delivery_id
              WHERE i.incident_id = t.incident_id AND i.person_id = t.person_id AND i.channel_id = t.channel_id
                  AND a.kind = 'alert' AND a.state = 'sent') AS told,
             (SELECT MAX(a.id) FROM notify_items i JOIN notify_deliveries a ON a.id = i.delivery_id
              WHERE i.incident_id = t.incident_id AND i.person_id = t.person_id AND i.channel_id = t.channel_id
                  AND a.kind = 'alert' AND a.attempts > 0 AND a.state IN ('waiting', 'sending')) AS tried
             FROM notify_threads t
             JOIN notify_people p ON p.id = t.person_id
             JOIN notify_channels c ON c.id = t.channel_id
             LEFT JOIN notify_deliveries d ON d.id = t.delivery_id
             WHERE t.remind_at <= $1 ORDER BY t.remind_at, t.incident_id LIMIT $2",
        )
        .bind(now.as_millisecond())
        .bind(BATCH)
        .fetch_all(&mut *transaction)
        .await?;
        if rows.is_empty() {
            return Ok(0);
        }
        let rules = book::rules(&mut transaction).await?;
        let people = book::people(&mut transaction).await?;
        for row in &rows {
            let mut notice: IncidentNotice = from_json(&row.notice, "notice")?;
            notice.kind = NoticeKind::Reminder;
            notice.at = now;
            let overdue = Overdue {
                thread: row.thread()?,
                notice,
            };
            let telling = decide(&overdue, &rules, &people);
            Writer {
                connection: &mut transaction,
                grouping,
                now,
            }
            .write(&telling, &overdue.notice, Some(&overdue.thread))
            .await?;
        }
        transaction.commit().await?;
        Ok(rows.len())
    }
}

async fn threads(connection: &mut Connection, incident: i64) -> Result<Vec<Thread>, StoreError> {
    let rows: Vec<ThreadRow> = query(
        "SELECT p.name AS person, c.name AS channel, t.severity, t.delivery_id, d.state, d.attempts, t.notice,
             (SELECT COUNT(*) FROM notify_items i JOIN notify_deliveries a ON a.id = i.delivery_id
              WHERE i.incident_id = t.incident_id AND i.person_id = t.person_id AND i.channel_id = t.channel_id
                  AND a.kind = 'alert' AND a.state = 'sent') AS told,
             (SELECT MAX(a.id) FROM notify_items i JOIN notify_deliveries a ON a.id = i.delivery_id
              WHERE i.incident_id = t.incident_id AND i.person_id = t.person_id AND i.channel_id = t.channel_id
                  AND a.kind = 'alert' AND a.attempts > 0 AND a.state IN ('waiting', 'sending')) AS tried
         FROM notify_threads t
         JOIN notify_people p ON p.id = t.person_id
         JOIN notify_channels c ON c.id = t.channel_id
         LEFT JOIN notify_deliveries d ON d.id = t.delivery_id
         WHERE t.incident_id = $1 ORDER BY p.name, c.name",
    )
    .bind(incident)
    .fetch_all(connection)
    .await?;
    rows.iter().map(ThreadRow::thread).collect()
}

/// Writes decisions.
struct Writer<'c> {
    connection: &'c mut Connection,
    grouping: SignedDuration,
    now: Timestamp,
}

impl Writer<'_> {
    async fn write(
        &mut self,
        telling: &Telling,
        notice: &IncidentNotice,
        thread: Option<&Thread>,
    ) -> Result<(), StoreError> {
        let event = format!("event {}", notice.event);
        match telling.step {
            Step::Alert { due, remind_at } => {
                let delivery = self
                    .put(telling, notice, DeliveryKind::Alert, due, None, &event)
                    .await?;
                if let Some(delivery) = delivery {
                    self.keep_thread(notice, delivery, remind_at).await?;
                }
            }
            Step::Reminder { due, remind_at } => {
                let key = format!("reminder {} {}", notice.incident, notice.at.as_millisecond());
                self.put(telling, notice, DeliveryKind::Reminder, due, None, &key)
                    .await?;
                self.set_reminder(telling, notice.incident, remind_at).await?;
            }
            Step::Recovery { due, after } => {
                self.withdraw_reminders(telling, notice.incident).await?;
                self.put(telling, notice, DeliveryKind::Recovery, due, after, &event)
                    .await?;
                self.end(telling, notice.incident).await?;
            }
            Step::Withdraw => {
                if let Some(thread) = thread {
                    self.withdraw(notice.incident, thread.delivery).await?;
                }
            }
            Step::End => self.end(telling, notice.incident).await?,
            Step::Quieten { until } => {
                self.withdraw_reminders(telling, notice.incident).await?;
                self.set_reminder(telling, notice.incident, until).await?;
            }
        }
        Ok(())
    }

    /// Puts a notice into a message that waits for about the same time, or into a new one. Says which; none if it was told
    /// already.
    async fn put(
        &mut self,
        telling: &Telling,
        notice: &IncidentNotice,
        kind: DeliveryKind,
        due: Timestamp,
        after: Option<i64>,
        key: &str,
    ) -> Result<Option<i64>, StoreError> {
        let told: Option<i64> = query_scalar(
            "SELECT i.delivery_id FROM notify_items i
             JOIN notify_people p ON p.id = i.person_id JOIN notify_channels c ON c.id = i.channel_id
             WHERE p.name = $1 AND c.name = $2 AND i.key = $3",
        )
        .bind(telling.person.as_str())
        .bind(telling.channel.as_str())
        .bind(key)
        .fetch_optional(&mut *self.connection)
        .await?;
        if told.is_some() {
            return Ok(None);
        }
        let joined = match after {
            None => self.waiting(telling, kind, due).await?,
            Some(_) => None,
        };
        let delivery = match joined {
            Some(delivery) => delivery,
            None => {
                let new = NewDelivery {
                    kind,
                    person: telling.person.clone(),
                    channel: telling.channel.clone(),
                    content: Content::Incidents,
                    due_at: due,
                    after,
                };
                outbox::insert(self.connection, &new, self.now).await?
            }
        };
        query(
            "INSERT INTO notify_items (delivery_id, incident_id, person_id, channel_id, key, notice)
             SELECT d.id, $2, d.person_id, d.channel_id, $3, $4 FROM notify_deliveries d WHERE d.id = $1",
        )
        .bind(delivery)
        .bind(notice.incident)
        .bind(key)
        .bind(to_json(notice)?)
        .execute(&mut *self.connection)
        .await?;
        Ok(Some(delivery))
    }

    /// A message of this kind to the same person, not tried yet, that is due at most `grouping` earlier.
    async fn waiting(
        &mut self,
        telling: &Telling,
        kind: DeliveryKind,
        due: Timestamp,
    ) -> Result<Option<i64>, StoreError> {
        let earliest = due - self.grouping;
        let found: Option<i64> = query_scalar(
            "SELECT d.id FROM notify_deliveries d
             JOIN notify_people p ON p.id = d.person_id JOIN notify_channels c ON c.id = d.channel_id
             WHERE p.name = $1 AND c.name = $2 AND d.kind = $3 AND d.state = 'waiting' AND d.attempts = 0
                 AND d.after_id IS NULL AND d.due_at <= $4 AND d.due_at >= $5
             ORDER BY d.due_at, d.id LIMIT 1",
        )
        .bind(telling.person.as_str())
        .bind(telling.channel.as_str())
        .bind(kind.as_str())
        .bind(due.as_millisecond())
        .bind(earliest.as_millisecond())
        .fetch_optional(&mut *self.connection)
        .await?;
        let Some(id) = found else { return Ok(None) };
        // Holds it, where several may write, against somebody who is about to send it.
        let held = query(
            "UPDATE notify_deliveries SET holder = NULL WHERE id = $1 AND state = 'waiting' AND attempts = 0",
        )
        .bind(id)
        .execute(&mut *self.connection)
        .await?;
        Ok((held > 0).then_some(id))
    }

    async fn keep_thread(
        &mut self,
        notice: &IncidentNotice,
        delivery: i64,
        remind_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        query(
            "INSERT INTO notify_threads
                 (incident_id, person_id, channel_id, delivery_id, severity, notice, remind_at)
             SELECT $1, d.person_id, d.channel_id, d.id, $3, $4, $5 FROM notify_deliveries d WHERE d.id = $2
             ON CONFLICT (incident_id, person_id, channel_id) DO UPDATE SET delivery_id = excluded.delivery_id,
                 severity = excluded.severity, notice = excluded.notice, remind_at = excluded.remind_at",
        )
        .bind(notice.incident)
        .bind(delivery)
        .bind(to_word(&notice.severity)?)
        .bind(to_json(notice)?)
        .bind(remind_at.map(Timestamp::as_millisecond))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn set_reminder(
        &mut self,
        telling: &Telling,
        incident: i64,
        remind_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        query(
            "UPDATE notify_threads SET remind_at = $4 WHERE incident_id = $1
                 AND person_id = (SELECT id FROM notify_people WHERE name = $2)
                 AND channel_id = (SELECT id FROM notify_channels WHERE name = $3)",
        )
        .bind(incident)
        .bind(telling.person.as_str())
        .bind(telling.channel.as_str())
        .bind(remind_at.map(Timestamp::as_millisecond))
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    async fn end(&mut self, telling: &Telling, incident: i64) -> Result<(), StoreError> {
        query(
            "DELETE FROM notify_threads WHERE incident_id = $1
                 AND person_id = (SELECT id FROM notify_people WHERE name = $2)
                 AND channel_id = (SELECT id FROM notify_channels WHERE name = $3)",
        )
        .bind(incident)
        .bind(telling.person.as_str())
        .bind(telling.channel.as_str())
        .execute(&mut *self.connection)
        .await?;
        Ok(())
    }

    /// Takes back what waits to be told again, perhaps until the end of quiet hours.
    async fn withdraw_reminders(&mut self, telling: &Telling, incident: i64) -> Result<(), StoreError> {
        let waiting: Vec<i64> = query_scalar(
            "SELECT DISTINCT d.id FROM notify_items i JOIN notify_deliveries d ON d.id = i.delivery_id
             JOIN notify_people p ON p.id = i.person_id JOIN notify_channels c ON c.id = i.channel_id
             WHERE i.incident_id = $1 AND p.name = $2 AND c.name = $3
                 AND d.kind = 'reminder' AND d.state = 'waiting'",
        )
        .bind(incident)
        .bind(telling.person.as_str())
        .bind(telling.channel.as_str())
        .fetch_all(&mut *self.connection)
        .await?;
        for delivery in waiting {
            self.withdraw(incident, delivery).await?;
        }
        Ok(())
    }

    /// Takes an incident out of a message that waits; a message about nothing else is dropped.
    async fn withdraw(&mut self, incident: i64, delivery: i64) -> Result<(), StoreError> {
        let others: i64 =
            query_scalar("SELECT COUNT(*) FROM notify_items WHERE delivery_id = $1 AND incident_id <> $2")
                .bind(delivery)
                .bind(incident)
                .fetch_one(&mut *self.connection)
                .await?;
        if others == 0 {
            query("UPDATE notify_deliveries SET state = 'dropped' WHERE id = $1 AND state = 'waiting'")
                .bind(delivery)
                .execute(&mut *self.connection)
                .await?;
        } else {
            query("DELETE FROM notify_items WHERE delivery_id = $1 AND incident_id = $2")
                .bind(delivery)
                .bind(incident)
                .execute(&mut *self.connection)
                .await?;
        }
        Ok(())
    }
}
