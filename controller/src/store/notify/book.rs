//! Channels, people and rules.

use jiff::Timestamp;

use super::Notifications;
use crate::model::{Channel, ChannelHealth, Name, Recipient, Rule};
use crate::store::columns::{from_json, from_word, name, optional_time, to_json, to_word};
use crate::store::connection::Connection;
use crate::store::query::{query, query_scalar};
use crate::store::{StoreError, organisations};

#[derive(sqlx::FromRow)]
struct ChannelRow {
    name: String,
    way: String,
    failures: i64,
    failing_since: Option<i64>,
    retry_at: Option<i64>,
    last_ok_at: Option<i64>,
    last_error: Option<String>,
}

const CHANNELS: &str =
    "SELECT name, way, failures, failing_since, retry_at, last_ok_at, last_error FROM notify_channels
     ORDER BY name";

impl ChannelRow {
    fn read(self) -> Result<(Channel, ChannelHealth), StoreError> {
        let what = format!("channel {}", self.name);
        let health = ChannelHealth {
            failures: self.failures,
            failing_since: optional_time(self.failing_since, &what)?,
            retry_at: optional_time(self.retry_at, &what)?,
            last_ok_at: optional_time(self.last_ok_at, &what)?,
            last_error: self.last_error,
        };
        let channel = Channel {
            way: from_json(&self.way, &what)?,
            name: name(self.name, &what)?,
        };
        Ok((channel, health))
    }
}

#[derive(sqlx::FromRow)]
struct PersonRow {
    name: String,
    title: String,
    language: String,
    mail: Option<String>,
    ntfy: Option<String>,
    matrix: Option<String>,
    quiet: Option<String>,
    zone: String,
    second: i64,
}

const PEOPLE: &str =
    "SELECT name, title, language, mail, ntfy, matrix, quiet, zone, second FROM notify_people
     ORDER BY name";

impl PersonRow {
    fn read(self) -> Result<Recipient, StoreError> {
        let what = format!("person {}", self.name);
        let damaged = |reason: String| StoreError::damaged(&what, reason);
        Ok(Recipient {
            title: self.title,
            language: from_word(&self.language, &what)?,
            mail: self.mail,
            ntfy: self.ntfy,
            matrix: self.matrix,
            quiet: self.quiet.map(|text| text.parse()).transpose().map_err(damaged)?,
            zone: self
                .zone
                .parse()
                .map_err(|error| StoreError::damaged(&what, error))?,
            second: self.second != 0,
            name: name(self.name, &what)?,
        })
    }
}

#[derive(sqlx::FromRow)]
struct RuleRow {
    id: i64,
    organisation: Option<String>,
    person: String,
    channel: String,
    threshold: String,
    delay_seconds: i64,
    remind_seconds: Option<i64>,
    digest: i64,
}

const RULES: &str =
    "SELECT r.id, o.name AS organisation, p.name AS person, c.name AS channel, r.threshold, r.delay_seconds,
        r.remind_seconds, r.digest
     FROM notify_rules r
     JOIN notify_people p ON p.id = r.person_id
     JOIN notify_channels c ON c.id = r.channel_id
     LEFT JOIN organisations o ON o.id = r.organisation_id
     ORDER BY r.id";

impl RuleRow {
    fn read(self) -> Result<Rule, StoreError> {
        let what = format!("rule {}", self.id);
        Ok(Rule {
            id: self.id,
            organisation: self.organisation.map(|text| name(text, &what)).transpose()?,
            person: name(self.person, &what)?,
            channel: name(self.channel, &what)?,
            from: from_word(&self.threshold, &what)?,
            delay: self.delay_seconds,
            remind: self.remind_seconds,
            digest: self.digest != 0,
        })
    }
}

impl Notifications<'_> {
    /// All channels, by name, with how they are.
    pub async fn channels(&self) -> Result<Vec<(Channel, ChannelHealth)>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        channels(&mut connection).await
    }

    /// The channel with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn channel(&self, wanted: &Name) -> Result<(Channel, ChannelHealth), StoreError> {
        let all = self.channels().await?;
        let names: Vec<String> = all.iter().map(|(channel, _)| channel.name.to_string()).collect();
        all.into_iter()
            .find(|(channel, _)| channel.name == *wanted)
            .ok_or_else(|| StoreError::unknown("channel", wanted, &names))
    }

    /// Adds a channel.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub async fn add_channel(&self, channel: &Channel) -> Result<(), StoreError> {
        query("INSERT INTO notify_channels (name, way) VALUES ($1, $2)")
            .bind(channel.name.as_str())
            .bind(to_json(&channel.way)?)
            .execute(&self.0.write)
            .await
            .map_err(|error| StoreError::taken(error, "channel", &channel.name))?;
        Ok(())
    }

    /// Changes where a channel goes. What failed before does not count against it any more.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn change_channel(&self, channel: &Channel) -> Result<(), StoreError> {
        self.channel(&channel.name).await?;
        query("UPDATE notify_channels SET way = $2, retry_at = NULL WHERE name = $1")
            .bind(channel.name.as_str())
            .bind(to_json(&channel.way)?)
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// Removes a channel with its messages.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while rules need it.
    pub async fn remove_channel(&self, wanted: &Name) -> Result<(), StoreError> {
        self.channel(wanted).await?;
        self.refuse_used("channel", wanted, |rule| rule.channel == *wanted)
            .await?;
        query("DELETE FROM notify_channels WHERE name = $1")
            .bind(wanted.as_str())
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// All people who are told, by name.
    pub async fn people(&self) -> Result<Vec<Recipient>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        people(&mut connection).await
    }

    /// The person with this name.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn person(&self, wanted: &Name) -> Result<Recipient, StoreError> {
        let all = self.people().await?;
        let names: Vec<String> = all.iter().map(|person| person.name.to_string()).collect();
        all.into_iter()
            .find(|person| person.name == *wanted)
            .ok_or_else(|| StoreError::unknown("person", wanted, &names))
    }

    /// Adds a person.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub async fn add_person(&self, person: &Recipient) -> Result<(), StoreError> {
        let sql = "INSERT INTO notify_people (name, title, language, mail, ntfy, matrix, quiet, zone, second)
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
        self.write_person(sql, person).await
    }

    /// Changes a person; the name stays.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] with the nearest names.
    pub async fn change_person(&self, person: &Recipient) -> Result<(), StoreError> {
        self.person(&person.name).await?;
        let sql = "UPDATE notify_people SET title = $2, language = $3, mail = $4, ntfy = $5, matrix = $6, quiet = $7,
                   zone = $8, second = $9 WHERE name = $1";
        self.write_person(sql, person).await
    }

    async fn write_person(&self, sql: &'static str, person: &Recipient) -> Result<(), StoreError> {
        query(sql)
            .bind(person.name.as_str())
            .bind(&person.title)
            .bind(to_word(&person.language)?)
            .bind(&person.mail)
            .bind(&person.ntfy)
            .bind(&person.matrix)
            .bind(person.quiet.map(|quiet| quiet.to_string()))
            .bind(person.zone.to_string())
            .bind(i64::from(person.second))
            .execute(&self.0.write)
            .await
            .map_err(|error| StoreError::taken(error, "person", &person.name))?;
        Ok(())
    }

    /// Removes a person with the messages to them.
    ///
    /// # Errors
    /// [`StoreError::InUse`] while rules need them.
    pub async fn remove_person(&self, wanted: &Name) -> Result<(), StoreError> {
        self.person(wanted).await?;
        self.refuse_used("person", wanted, |rule| rule.person == *wanted)
            .await?;
        query("DELETE FROM notify_people WHERE name = $1")
            .bind(wanted.as_str())
            .execute(&self.0.write)
            .await?;
        Ok(())
    }

    /// All rules, by number.
    pub async fn rules(&self) -> Result<Vec<Rule>, StoreError> {
        let mut connection = self.0.read.acquire().await?;
        rules(&mut connection).await
    }

    /// Adds a rule and says its number; the one in `rule` is ignored.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] for an organisation, person or channel that does not exist.
    pub async fn add_rule(&self, rule: &Rule) -> Result<i64, StoreError> {
        self.person(&rule.person).await?;
        self.channel(&rule.channel).await?;
        let mut transaction = self.0.begin().await?;
        let organisation = organisations::optional_id(&mut transaction, rule.organisation.as_ref()).await?;
        let id = query_scalar(
            "INSERT INTO notify_rules
                 (organisation_id, person_id, channel_id, threshold, delay_seconds, remind_seconds, digest)
             SELECT $1, p.id, c.id, $4, $5, $6, $7 FROM notify_people p, notify_channels c
             WHERE p.name = $2 AND c.name = $3
             RETURNING id",
        )
        .bind(organisation)
        .bind(rule.person.as_str())
        .bind(rule.channel.as_str())
        .bind(to_word(&rule.from)?)
        .bind(rule.delay)
        .bind(rule.remind)
        .bind(i64::from(rule.digest))
        .fetch_one(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(id)
    }

    /// Removes a rule.
    ///
    /// # Errors
    /// [`StoreError::Unknown`] when there is none with this number.
    pub async fn remove_rule(&self, id: i64) -> Result<(), StoreError> {
        let done = query("DELETE FROM notify_rules WHERE id = $1")
            .bind(id)
            .execute(&self.0.write)
            .await?;
        if done > 0 {
            return Ok(());
        }
        let existing: Vec<String> = self
            .rules()
            .await?
            .iter()
            .map(|rule| rule.id.to_string())
            .collect();
        Err(StoreError::unknown("rule", id, &existing))
    }

    async fn refuse_used(
        &self,
        noun: &'static str,
        wanted: &Name,
        uses: impl Fn(&Rule) -> bool,
    ) -> Result<(), StoreError> {
        let rules = self.rules().await?;
        let by: Vec<String> = rules
            .iter()
            .filter(|rule| uses(rule))
            .map(|rule| format!("rule {}", rule.id))
            .collect();
        if by.is_empty() {
            return Ok(());
        }
        Err(StoreError::InUse {
            noun,
            name: wanted.to_string(),
            by,
        })
    }

    /// Remembers that a channel failed: nothing is tried before `retry_at`, and after `patience` failures in a row it counts
    /// as failing.
    pub async fn channel_failed(
        &self,
        channel: &Name,
        error: &str,
        patience: i64,
        now: Timestamp,
        retry_at: impl Fn(i64) -> Timestamp + Send,
    ) -> Result<(), StoreError> {
        let mut transaction = self.0.begin().await?;
        let failures: Option<i64> = query_scalar(
            "UPDATE notify_channels SET failures = failures + 1 WHERE name = $1 RETURNING failures",
        )
        .bind(channel.as_str())
        .fetch_optional(&mut *transaction)
        .await?;
        let failures = failures.unwrap_or_default();
        query(
            "UPDATE notify_channels SET last_error = $2, retry_at = $3,
                 failing_since = CASE WHEN failures >= $4 THEN COALESCE(failing_since, $5) ELSE failing_since END
             WHERE name = $1",
        )
        .bind(channel.as_str())
        .bind(error)
        .bind(retry_at(failures).as_millisecond())
        .bind(patience)
        .bind(now.as_millisecond())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }
}

pub(super) async fn channels(
    connection: &mut Connection,
) -> Result<Vec<(Channel, ChannelHealth)>, StoreError> {
    let rows: Vec<ChannelRow> = query(CHANNELS).fetch_all(connection).await?;
    rows.into_iter().map(ChannelRow::read).collect()
}

pub(super) async fn people(connection: &mut Connection) -> Result<Vec<Recipient>, StoreError> {
    let rows: Vec<PersonRow> = query(PEOPLE).fetch_all(connection).await?;
    rows.into_iter().map(PersonRow::read).collect()
}

pub(super) async fn rules(connection: &mut Connection) -> Result<Vec<Rule>, StoreError> {
    let rows: Vec<RuleRow> = query(RULES).fetch_all(connection).await?;
    rows.into_iter().map(RuleRow::read).collect()
}
