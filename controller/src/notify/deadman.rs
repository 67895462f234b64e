//! The dead-man's switch: who watches the watcher.
//!
//! Outwards, an address is called every minute; when the calls stop, the service there tells somebody. Inwards, every beat of the
//! heart is remembered: when one comes long after the one before, the controller was away, and says so.

use jiff::{SignedDuration, Timestamp};
use reqwest::header::CONTENT_TYPE;
use serde::Serialize;

use super::failure::{Failure, Fault};
use super::{http, routing};
use crate::model::{Content, DeliveryKind};
use crate::settings::Deadman;
use crate::store::{Beat, NewDelivery, Store, StoreError};

/// What is sent to the address.
#[derive(Debug, Serialize)]
struct Pulse {
    at: Timestamp,
    version: &'static str,
    failing_channels: usize,
}

/// Beats the heart; to be called when the controller starts, and every minute. When it was away for longer than the settings
/// allow, those who are marked for it are told, each by one channel: once, whoever notices first.
///
/// # Errors
/// What the store says.
pub async fn beat(store: &Store, settings: &Deadman, now: Timestamp) -> Result<Beat, StoreError> {
    let notifications = store.notifications();
    let channels = notifications.channels().await?;
    let rules = notifications.rules().await?;
    let people = notifications.people().await?;
    let threshold = SignedDuration::from_mins(i64::from(settings.away_minutes));
    let tell = |since| {
        people
            .iter()
            .filter(|person| person.second)
            .filter_map(|person| {
                let channel = routing::channels_of(person, &rules, &channels).first().copied()?;
                Some(NewDelivery {
                    kind: DeliveryKind::Away,
                    person: person.name.clone(),
                    channel: channel.clone(),
                    content: Content::Away {
                        from: since,
                        until: now,
                    },
                    due_at: now,
                    after: None,
                })
            })
            .collect()
    };
    notifications.beat(threshold, now, tell).await
}

/// Calls the address of the settings, if there is one.
///
/// # Errors
/// Why the call did not arrive; the address is not in it, for it is as good as a password.
pub async fn ping(store: &Store, settings: &Deadman, now: Timestamp) -> Result<(), Failure> {
    let Some(url) = &settings.url else {
        return Ok(());
    };
    let channels = store
        .notifications()
        .channels()
        .await
        .map_err(|error| Failure::new(Fault::Channel, error.to_string()))?;
    let pulse = Pulse {
        at: now,
        version: env!("CARGO_PKG_VERSION"),
        failing_channels: channels
            .iter()
            .filter(|(_, health)| health.failing_since.is_some())
            .count(),
    };
    let body = serde_json::to_string(&pulse).unwrap_or_default();
    let request = http::client()?
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .body(body);
    http::send(request, "the address of the dead-man's switch")
        .await
        .map(drop)
}
