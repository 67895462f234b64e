//! What secrets of backups are called in the vault.

use crate::model::{Name, Repository};

/// The second key to all repositories of an organisation, as it is on its emergency sheet; in
/// [`SecretScope::Backups`](crate::vault::SecretScope::Backups).
pub const ESCROW: &str = "escrow";

/// The password of a repository; in [`SecretScope::Backups`](crate::vault::SecretScope::Backups) of its organisation.
pub fn repository_password(repository: &Repository) -> String {
    format!("backup_password_{}", repository.id)
}

/// The password or key with which the controller comes to a target; in
/// [`SecretScope::Controller`](crate::vault::SecretScope::Controller).
pub fn credential(target: &Name) -> String {
    format!("target {target}")
}
