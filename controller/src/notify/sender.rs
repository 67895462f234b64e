//! The sender: tries what is due, one message at a time for each channel, channels side by side.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;

use super::failure::{Failure, Fault};
use super::mail::Post;
use super::message::{Message, compose};
use super::{http, matrix, ntfy, routing, secret_name, webhook};
use crate::model::{
    Channel, ChannelHealth, Content, DeliveryKind, Name, Organisation, Parcel, Recipient, Rule, Secret,
    Status, Way,
};
use crate::store::{DeliveryClaim, NewDelivery, Store, StoreError};
use crate::vault::{SecretScope, Vault, VaultError};

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(60);

/// How long a claim lasts: longer than an attempt and what is written afterwards.
const LEASE: SignedDuration = SignedDuration::from_mins(3);

/// How many messages are tried in one pass.
const PASS: i64 = 200;

/// After how many attempts in a row that failed because of it, a channel counts as failing.
const PATIENCE: i64 = 3;

/// How often a message is tried whose address may be wrong.
const DOUBTS: i64 = 5;

/// Minutes until the next attempt, after the first, second … failure in a row.
const BACKOFF: [i64; 6] = [1, 2, 5, 10, 20, 30];

/// Sends messages.
pub struct Sender<'a> {
    store: &'a Store,
    vault: &'a Vault,
    client: Client,
    holder: String,
    /// How long one attempt may take.
    patience: Duration,
}

/// What a pass did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Messages that arrived.
    pub arrived: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Channels of which it was told that they fail.
    pub reported: usize,
}

/// Why a pass could not be made.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// What decides where messages go, as of the beginning of a pass.
struct Book {
    channels: Vec<(Channel, ChannelHealth)>,
    people: Vec<Recipient>,
    rules: Vec<Rule>,
    organisations: Vec<Organisation>,
}

impl Book {
    async fn read(store: &Store) -> Result<Self, StoreError> {
        let notifications = store.notifications();
        Ok(Self {
            channels: notifications.channels().await?,
            people: notifications.people().await?,
            rules: notifications.rules().await?,
            organisations: store.organisations().list().await?,
        })
    }
}

impl<'a> Sender<'a> {
    /// A sender. `holder` names it in the store, for people.
    ///
    /// # Errors
    /// When the system's certificates cannot be read.
    pub fn new(store: &'a Store, vault: &'a Vault, holder: impl Into<String>) -> Result<Self, Failure> {
        Ok(Self {
            store,
            vault,
            client: http::client()?,
            holder: holder.into(),
            patience: ATTEMPT,
        })
    }

    /// Waits no longer than this for an answer.
    #[cfg(test)]
    pub fn hurried(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Tries all that is due. Safe at any time, by any number of controllers.
    ///
    /// # Errors
    /// What the store or the vault says. What was claimed is taken up again when its lease has ended.
    pub async fn send_due(&self, now: Timestamp) -> Result<Sent, SendError> {
        let notifications = self.store.notifications();
        notifications.expire(now).await?;
        let mut by_channel: BTreeMap<Name, Vec<i64>> = BTreeMap::new();
        for (id, channel) in notifications.due(PASS, now).await? {
            by_channel.entry(channel).or_default().push(id);
        }
        let mut sent = Sent::default();
        if !by_channel.is_empty() {
            let book = Book::read(self.store).await?;
            let passes = by_channel
                .iter()
                .map(|(channel, ids)| self.pass(channel, ids, &book, now));
            for pass in join_all(passes).await {
                let pass = pass?;
                sent.arrived += pass.arrived;
                sent.failed += pass.failed;
            }
        }
        sent.reported = self.report(now).await?;
        Ok(sent)
    }

    /// Sends somebody a test by a channel, now and once, and says what the other side said.
    ///
    /// # Errors
    /// What the store or the vault says. The inner error is the other side's.
    pub async fn try_out(
        &self,
        channel: &Name,
        person: &Name,
        now: Timestamp,
    ) -> Result<Result<String, Failure>, SendError> {
        let notifications = self.store.notifications();
        let book = Book::read(self.store).await?;
        let new = NewDelivery {
            kind: DeliveryKind::Test,
            person: person.clone(),
            channel: channel.clone(),
            content: Content::Test,
            due_at: now,
            after: None,
        };
        let (claim, parcel) = notifications
            .post_claimed(&new, &self.holder, now + LEASE, now)
            .await?;
        let outcome = self.attempt(&parcel, &book, now).await?;
        match &outcome {
            Ok(answer) => {
                notifications.arrived(claim, answer, now).await?;
                self.channel_worked(channel, now).await?;
            }
            Err(failure) => notifications.give_up(claim, &failure.said, None, now).await?,
        }
        Ok(outcome)
    }

    /// Tries messages of one channel, until the channel itself fails.
    async fn pass(
        &self,
        channel: &Name,
        ids: &[i64],
        book: &Book,
        now: Timestamp,
    ) -> Result<Sent, SendError> {
        let notifications = self.store.notifications();
        let mut sent = Sent::default();
        for id in ids {
            let claimed = notifications.claim(*id, &self.holder, now + LEASE, now).await?;
            let Some((claim, parcel)) = claimed else { continue };
            if let Some(morning) = in_quiet_hours(&parcel, book, now) {
                notifications.postpone(claim, morning).await?;
                continue;
            }
            match self.attempt(&parcel, book, now).await? {
                Ok(answer) => {
                    notifications.arrived(claim, &answer, now).await?;
                    self.channel_worked(channel, now).await?;
                    sent.arrived += 1;
                }
                Err(failure) => {
                    sent.failed += 1;
                    self.failed(claim, &parcel, &failure, book, now).await?;
                    if failure.fault == Fault::Channel {
                        break;
                    }
                }
            }
        }
        Ok(sent)
    }

    /// One attempt.
    async fn attempt(
        &self,
        parcel: &Parcel,
        book: &Book,
        now: Timestamp,
    ) -> Result<Result<String, Failure>, SendError> {
        let name = &parcel.delivery.channel;
        let channel = book.channels.iter().find(|(channel, _)| channel.name == *name);
        let person = book
            .people
            .iter()
            .find(|person| person.name == parcel.delivery.person);
        let (Some((channel, _)), Some(person)) = (channel, person) else {
            let gone = Failure::new(Fault::Message, "the channel or the person was just changed");
            return Ok(Err(gone));
        };
        let secret = self
            .vault
            .get(&SecretScope::Controller, &secret_name(name))
            .await?;
        let message = match compose(parcel, person, &book.organisations, now) {
            Ok(message) => message,
            Err(error) => {
                let said = format!("the message cannot be written: {error:#}");
                return Ok(Err(Failure::new(Fault::Refused, said)));
            }
        };
        let delivery = self.deliver(channel, secret.as_ref(), person, &message);
        Ok(tokio::time::timeout(self.patience, delivery)
            .await
            .unwrap_or_else(|_| {
                let said = format!(
                    "{} gave no answer within {} seconds",
                    channel.way.other_side(),
                    self.patience.as_secs()
                );
                Err(Failure::new(Fault::Channel, said))
            }))
    }

    async fn deliver(
        &self,
        channel: &Channel,
        secret: Option<&Secret>,
        person: &Recipient,
        message: &Message,
    ) -> Result<String, Failure> {
        let kind = channel.way.kind();
        let to = channel.way.other_side();
        let missing = || {
            let said = format!(
                "there is no secret for {0}; give it with: allmende notify channel edit {0} --secret",
                channel.name
            );
            Failure::new(Fault::Channel, said)
        };
        let nowhere = || {
            let said = format!(
                "{} has no address for {kind}; give it with: allmende notify person edit {} --{kind} …",
                person.title, person.name
            );
            Failure::new(Fault::Refused, said)
        };
        match &channel.way {
            Way::Mail {
                server,
                encryption,
                from,
                user,
                ca,
            } => {
                if user.is_some() && secret.is_none() {
                    return Err(missing());
                }
                let post = Post {
                    server,
                    encryption: *encryption,
                    from,
                    user: user.as_deref(),
                    ca: ca.as_deref(),
                    password: secret,
                };
                post.send(person.address(kind).ok_or_else(nowhere)?, message)
                    .await
            }
            Way::Webhook { url } => {
                let key = secret.ok_or_else(missing)?;
                webhook::send(&self.client, url, &to, key, person.name.as_str(), message).await
            }
            Way::Ntfy { url } => {
                let topic = person.address(kind).ok_or_else(nowhere)?;
                ntfy::send(&self.client, url, &to, secret, topic, message).await
            }
            Way::Matrix { url } => {
                let token = secret.ok_or_else(missing)?;
                let room = person.address(kind).ok_or_else(nowhere)?;
                matrix::send(&self.client, url, &to, token, room, message).await
            }
        }
    }

    async fn failed(
        &self,
        claim: DeliveryClaim,
        parcel: &Parcel,
        failure: &Failure,
        book: &Book,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let notifications = self.store.notifications();
        let channel = &parcel.delivery.channel;
        let rest = failure
            .retry_after
            .and_then(|rest| SignedDuration::try_from(rest).ok())
            .unwrap_or_default();
        if failure.fault == Fault::Channel {
            let retry_at = |failures| (now + backoff(failures)).max(now + rest);
            notifications
                .channel_failed(channel, &failure.said, PATIENCE, now, retry_at)
                .await?;
        }
        let hopeless = match failure.fault {
            Fault::Channel => false,
            Fault::Message => claim.attempt() >= DOUBTS,
            Fault::Refused => true,
        };
        if hopeless {
            let instead = instead(parcel, failure, book, now);
            return notifications
                .give_up(claim, &failure.said, instead.as_ref(), now)
                .await;
        }
        let due = match failure.fault {
            // The channel decides when it is next tried, and what was first in line stays first.
            Fault::Channel => now,
            _ => (now + backoff(claim.attempt())).max(now + rest),
        };
        notifications.again(claim, &failure.said, due).await
    }

    async fn channel_worked(&self, channel: &Name, now: Timestamp) -> Result<(), StoreError> {
        self.store
            .notifications()
            .channel_worked(channel, now, |report, content| NewDelivery {
                kind: DeliveryKind::ChannelRecovered,
                person: report.person.clone(),
                channel: report.channel.clone(),
                content,
                due_at: now,
                after: Some(report.id),
            })
            .await
    }

    /// Tells of channels that fail, by others. Says of how many.
    async fn report(&self, now: Timestamp) -> Result<usize, StoreError> {
        let notifications = self.store.notifications();
        let channels = notifications.channels().await?;
        if channels.iter().all(|(_, health)| health.failing_since.is_none()) {
            return Ok(0);
        }
        let (rules, people) = (notifications.rules().await?, notifications.people().await?);
        let mut reported = 0;
        for (channel, health) in &channels {
            let Some(since) = health.failing_since else {
                continue;
            };
            let Some((person, way)) = routing::other_way(&channel.name, None, &rules, &people, &channels)
            else {
                continue;
            };
            let told = notifications
                .report_failing(&channel.name, now, |undelivered| NewDelivery {
                    kind: DeliveryKind::ChannelFailing,
                    person,
                    channel: way,
                    content: Content::Channel {
                        channel: channel.name.clone(),
                        error: health.last_error.clone().unwrap_or_default(),
                        since,
                        undelivered,
                        person: None,
                    },
                    due_at: now,
                    after: None,
                })
                .await?;
            reported += usize::from(told);
        }
        Ok(reported)
    }
}

/// When a message may be told that was due before the quiet hours of its person and is late: they hold for it, too.
fn in_quiet_hours(parcel: &Parcel, book: &Book, now: Timestamp) -> Option<Timestamp> {
    let waits = matches!(
        parcel.delivery.kind,
        DeliveryKind::Alert | DeliveryKind::Reminder | DeliveryKind::Digest
    );
    let worst = parcel.notices.iter().map(|notice| notice.severity).max();
    let person = book
        .people
        .iter()
        .find(|person| person.name == parcel.delivery.person)
        .filter(|_| waits)?;
    let earliest = person.may_be_told(worst.unwrap_or(Status::Ok), now);
    (earliest > now).then_some(earliest)
}

/// Who is told instead, when somebody could not be told of something that matters.
fn instead(parcel: &Parcel, failure: &Failure, book: &Book, now: Timestamp) -> Option<NewDelivery> {
    let delivery = &parcel.delivery;
    if !matches!(
        delivery.kind,
        DeliveryKind::Alert | DeliveryKind::Reminder | DeliveryKind::Away
    ) {
        return None;
    }
    let (person, channel) = routing::other_way(
        &delivery.channel,
        Some(&delivery.person),
        &book.rules,
        &book.people,
        &book.channels,
    )?;
    let unreached = book.people.iter().find(|person| person.name == delivery.person)?;
    Some(NewDelivery {
        kind: DeliveryKind::ChannelFailing,
        person,
        channel,
        content: Content::Channel {
            channel: delivery.channel.clone(),
            error: failure.said.clone(),
            since: delivery.created_at,
            undelivered: parcel.content.about(&parcel.notices),
            person: Some(unreached.title.clone()),
        },
        due_at: now,
        after: None,
    })
}

/// How long nothing is tried after so many failures in a row.
fn backoff(failures: i64) -> SignedDuration {
    let place = usize::try_from(failures.saturating_sub(1)).unwrap_or_default();
    SignedDuration::from_mins(BACKOFF.get(place).copied().unwrap_or(30))
}
