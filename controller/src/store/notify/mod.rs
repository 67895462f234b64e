//! Telling people: channels, people, rules, and the messages on their way.

mod book;
mod heartbeat;
mod incidents;
mod outbox;
mod routing;
mod weeks;

pub use heartbeat::Beat;
pub use outbox::{Claim as DeliveryClaim, NewDelivery};
pub use weeks::LastWeek;

use super::Store;

/// Channels, people, rules and messages in the store.
pub struct Notifications<'a>(pub(super) &'a Store);
