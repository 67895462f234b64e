//! Opening the database file.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use rustix::fs::{Access, access};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};

use super::connection::{Pool, Writer};
use super::{Store, StoreError};

/// How long one process waits for another that is writing.
const BUSY: Duration = Duration::from_secs(5);

/// How long it waits before it tries once more.
const AGAIN: Duration = Duration::from_millis(50);

impl Store {
    /// Opens the database at `path`, creates it and its directory where they are missing (mode 0600 and 0700), and brings an
    /// older one up to date.
    ///
    /// # Errors
    /// Says what is wrong with the file or directory: newer than this program, corrupt, read-only, not permitted.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let store = Self::open_as_it_is(path).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// The same, without bringing it up to date: for [`Store::fill`].
    ///
    /// # Errors
    /// As [`Store::open`].
    pub async fn open_as_it_is(path: &Path) -> Result<Self, StoreError> {
        prepare(path)?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .foreign_keys(true)
            .busy_timeout(BUSY)
            .synchronous(SqliteSynchronous::Normal);
        // What is deleted is overwritten: removing an organisation's key shall remove it.
        let write_options = options
            .clone()
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("secure_delete", "ON");
        let pool = SqlitePoolOptions::new()
            .max_connections(1)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false);
        let since = Instant::now();
        let write = loop {
            let connected = pool.clone().connect_with(write_options.clone()).await;
            match connected.map_err(StoreError::from) {
                // While another process changes the journal of a new file, SQLite refuses without having waited.
                Err(StoreError::Locked) if since.elapsed() < BUSY => tokio::time::sleep(AGAIN).await,
                connected => break connected.map_err(|error| error.at(&path.display().to_string()))?,
            }
        };
        let read = SqlitePoolOptions::new()
            .max_connections(4)
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true));
        Ok(Self {
            write: Writer(Pool::Sqlite(write)),
            read: Pool::Sqlite(read),
            place: path.display().to_string(),
            seal: Arc::new(OnceLock::new()),
        })
    }
}

/// Makes the directory and the file, with their modes, and finds out early what would fail late and less clearly.
fn prepare(path: &Path) -> Result<(), StoreError> {
    let directory = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(|error| refuse(directory, error))?;
    let created = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    match created {
        Ok(_) => {}
        // Not opened: closing any handle of a file takes away the locks that SQLite holds on it in this process.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let metadata = fs::metadata(path).map_err(|error| refuse(path, error))?;
            if metadata.is_dir() {
                return Err(refuse(path, io::ErrorKind::IsADirectory.into()));
            }
            access(path, Access::READ_OK | Access::WRITE_OK).map_err(|error| refuse(path, error.into()))?;
            if metadata.mode() & 0o077 != 0 {
                fs::set_permissions(path, fs::Permissions::from_mode(0o600))
                    .map_err(|error| refuse(path, error))?;
            }
        }
        Err(error) => return Err(refuse(path, error)),
    }
    // The journal is a file beside it.
    access(directory, Access::WRITE_OK).map_err(|error| refuse(directory, error.into()))
}

/// What the system's answer means for somebody who wants to open `path`.
fn refuse(path: &Path, error: io::Error) -> StoreError {
    StoreError::Open {
        place: path.display().to_string(),
        reason: match error.kind() {
            io::ErrorKind::PermissionDenied => {
                "this user may not; use the account that owns the data directory, or another --data-dir"
                    .to_owned()
            }
            io::ErrorKind::ReadOnlyFilesystem => "the disk is read-only; is it full or damaged?".to_owned(),
            io::ErrorKind::IsADirectory => "it is a directory".to_owned(),
            _ => error.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    // Tests may run as root, to whom nothing is forbidden; so this asks for the answer, not for the question.
    #[test]
    fn what_the_system_forbids_is_said_with_what_to_do() {
        for (errno, expected) in [
            (Errno::ACCESS, "--data-dir"),
            (Errno::PERM, "--data-dir"),
            (Errno::ROFS, "read-only"),
            (Errno::NOSPC, "No space left"),
        ] {
            let error = refuse(Path::new("data/allmende.db"), errno.into()).to_string();
            assert!(
                error.starts_with("cannot open the database data/allmende.db: "),
                "{error}"
            );
            assert!(error.contains(expected), "{error}");
        }
    }
}
