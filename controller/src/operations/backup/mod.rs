//! Operations on targets and backups.

mod location;
mod repository;
mod run;
mod target;
mod target_removal;

pub use run::RunBackup;
pub use target::{AddTarget, EditTarget, needs_secret};
pub use target_removal::RemoveTarget;
