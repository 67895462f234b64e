//! Telling people: who is told of what and when, and the ways by which it reaches them.
//!
//! The chain has three links, each of which may be cut off at any moment and taken up again by anybody:
//!
//! 1. [`route`] turns what happened to incidents into messages, each event once, in the transaction that marks it as decided.
//! 2. [`Sender::send_due`] claims messages with a lease, tries them, and writes down what came back. Who dies in between loses
//!    the lease; the message is then tried again. So every message arrives *at least* once. A second copy bears the same name:
//!    Matrix shows it once, ntfy replaces the first, mail has the same Message-ID, web hooks the same `Allmende-Delivery`.
//! 3. A channel that fails is left alone for a growing while; somebody is told by another one.

pub mod deadman;
pub mod digest;
mod failure;
mod http;
mod mail;
mod matrix;
mod message;
mod ntfy;
mod routing;
mod sender;
#[cfg(test)]
mod tests;
mod webhook;
mod words;

use jiff::Timestamp;

use crate::model::{Channel, Name};
use crate::store::{Store, StoreError};

pub use failure::Failure;
pub use mail::parse as parse_mailbox;
pub use sender::{SendError, Sender};

/// Turns what happened to incidents into messages, and reminds of what lasts. Says how many events and reminders there were.
///
/// # Errors
/// What the store says; nothing is lost then.
pub async fn route(store: &Store, now: Timestamp) -> Result<usize, StoreError> {
    let notifications = store.notifications();
    let mut routed = 0;
    loop {
        let batch = notifications
            .route(routing::GROUPING, now, |notice, rules, people, threads| {
                routing::decide(notice, rules, people, threads, now)
            })
            .await?;
        routed += batch;
        if batch == 0 {
            break;
        }
    }
    let reminded = notifications
        .remind(routing::GROUPING, now, |overdue, rules, people| {
            routing::remind(overdue, rules, people, now)
        })
        .await?;
    Ok(routed + reminded)
}

/// What a channel's password, token or key is called among the controller's secrets.
pub fn secret_name(channel: &Name) -> String {
    format!("notify {channel}")
}

/// Whether nothing goes out by a channel without a secret.
pub fn needs_secret(channel: &Channel) -> bool {
    use crate::model::Way;
    match &channel.way {
        Way::Mail { user, .. } => user.is_some(),
        Way::Webhook { .. } | Way::Matrix { .. } => true,
        Way::Ntfy { .. } => false,
    }
}
