//! Operations on targets and backups.

mod chosen;
mod drill;
mod location;
mod repository;
mod restore;
mod run;
mod served;
mod target;
mod target_removal;
mod upkeep;

pub use drill::RunDrill;
pub use restore::{RestoreService, UndoRestore};
pub use run::RunBackup;
pub use target::{AddTarget, EditTarget, needs_secret};
pub use target_removal::RemoveTarget;
pub use upkeep::{CheckBackups, CopyBackups, PruneBackups};
