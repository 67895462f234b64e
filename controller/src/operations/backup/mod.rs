//! Operations on targets and backups.

mod location;
mod target;
mod target_removal;

pub use target::{AddTarget, EditTarget, needs_secret};
pub use target_removal::RemoveTarget;
