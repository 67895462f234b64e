//! Why an operation was not done.

use crate::backup::engine::EngineError;
use crate::backup::own::OwnBackupError;
use crate::backup::{CreateError, DiskError, EscrowError};
use crate::catalogue::CatalogueError;
use crate::fleet::{FleetError, InvalidKey};
use crate::model::{JobId, Name};
use crate::notify::SendError;
use crate::provision::{AuthorityError, ProvisionError};
use crate::settings::SettingsError;
use crate::store::StoreError;
use crate::vault::VaultError;

/// Why an operation was not done. Each says what to do next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperationError {
    /// It makes no sense, or not now.
    #[error("{0}")]
    Refused(String),
    /// Another job is changing the same host.
    #[error(
        "{host} is being changed by job {job} ({title}), asked for by {actor} at {since}. Wait until it has ended; see it with: allmende job show {job}"
    )]
    Busy {
        /// The host.
        host: Name,
        /// The other job.
        job: JobId,
        /// What it is about.
        title: String,
        /// Who asked for it.
        actor: String,
        /// Since when it runs, local time.
        since: String,
    },
    /// An action's program ended with a code that says so.
    #[error("{action} on {service} failed{}", said_at_the_end(.said))]
    ActionFailed {
        /// The action.
        action: String,
        /// "kita-sonne/cloud".
        service: String,
        /// The last lines that its program printed, secrets masked.
        said: Vec<String>,
    },
    /// Services were not backed up, or not all of what belongs to them.
    #[error("{good} of {all} backups are complete:\n{}", .lines.join("\n"))]
    NotBackedUp {
        /// How many are complete.
        good: usize,
        /// How many there should be.
        all: usize,
        /// What came of each.
        lines: Vec<String>,
    },
    /// A repository could not be made.
    #[error(transparent)]
    Repository(#[from] CreateError),
    /// Somebody wants nothing to be changed on a host.
    #[error(
        "{host} is locked by {by} since {since}: {reason}. Nothing is changed on it; when that is over: allmende host unlock {host}"
    )]
    Locked {
        /// The host.
        host: Name,
        /// Who locked it.
        by: String,
        /// Since when, local time.
        since: String,
        /// Why.
        reason: String,
    },
    /// A person ended it.
    #[error(
        "it was cancelled: a host finishes what it has in hand, and what was changed stays changed. To go on, repeat the command"
    )]
    Cancelled,
    /// The server that worked on it stops.
    #[error("the server that worked on it stopped: the job waits for a server to run again")]
    HandedBack,
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// A template or its parameters.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The way to a host.
    #[error(transparent)]
    Fleet(#[from] FleetError),
    /// A key of the controller's.
    #[error(transparent)]
    Key(#[from] InvalidKey),
    /// The controller's authority.
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    /// Planning or applying.
    #[error(transparent)]
    Provision(#[from] ProvisionError),
    /// Sending messages.
    #[error(transparent)]
    Send(#[from] SendError),
    /// The key of the emergency sheet.
    #[error(transparent)]
    Escrow(#[from] EscrowError),
    /// A copy of Allmende's own data.
    #[error(transparent)]
    OwnBackup(#[from] OwnBackupError),
    /// restic on the controller.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// A target's folder.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
}

fn said_at_the_end(lines: &[String]) -> String {
    match lines {
        [] => " without a word".to_owned(),
        [line] => format!(": {line}"),
        lines => format!(":\n  {}", lines.join("\n  ")),
    }
}
