//! What can go wrong with the vault.

use std::path::PathBuf;

use crate::store::StoreError;

/// Why a secret was not to be had or kept.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// There is no master key.
    #[error(
        "the key to the secrets, {path}, is not there. In a new data directory, `allmende init` makes it; otherwise put your copy of it there, or that of the other controller on this database"
    )]
    NoKey {
        /// Where it should be.
        path: PathBuf,
    },
    /// The master key cannot be read or written.
    #[error("cannot use the key to the secrets, {path}: {source}")]
    Unusable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Others may read the master key.
    #[error(
        "others on this machine may read the key to the secrets (mode {mode:o}). Mend it with: chmod 600 {path}"
    )]
    Exposed {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file holds no key.
    #[error("{path} holds no key: it must have one line of 64 hexadecimal digits. Put your copy of it back")]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// The key is that of another database.
    #[error(
        "the key to the secrets does not fit this database: one of them was exchanged. Put the right one back"
    )]
    WrongKey,
    /// A secret was changed from outside.
    #[error("the secret {name} was damaged or moved in the database; restore the database from a backup")]
    Damaged {
        /// Its name.
        name: String,
    },
    /// A secret of an export that its key does not open.
    #[error(
        "the secret {name} of the export does not open with this key: it was sealed with another one, or changed afterwards"
    )]
    Sealed {
        /// Its name.
        name: String,
    },
    /// So short that it could not be masked in a log without masking half of the log.
    #[error("a secret must have at least {shortest} characters")]
    TooShort {
        /// The fewest that it may have.
        shortest: usize,
    },
    /// The system gives no random numbers.
    #[error("the system gives no random numbers: {0}")]
    NoRandomness(String),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}
