//! What is watched: how checks stand, their answers, incidents, history, maintenance.

mod answers;
mod history;
mod incidents;
mod maintenance;
mod timeline;
mod uptime;

pub use answers::Asked;
pub use history::{Keep, RollupSpan, Sample};

use super::Store;

/// What is watched, in the store.
pub struct Watch<'a>(pub(super) &'a Store);
