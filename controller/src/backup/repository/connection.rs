//! One connection, from its first request until nothing of it works on any more.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, mpsc};

use super::answer::answer;
use super::folder::Folder;
use super::refusal::{Deed, Refused};
use super::route::Name;
use super::{Permission, Repository};

/// How many refusals and failures are told; after so many misdeeds nobody listens any longer.
const TOLD: usize = 100;

/// Longer addresses are cut when they are told.
const TOLD_PATH: usize = 200;

/// How long answers may take on their way after the connection was ended from here.
const FAREWELL: Duration = Duration::from_secs(1);

/// Requests at once; restic has five.
const STREAMS: u32 = 16;

/// Bytes on their way in each request, and in all of them.
const WINDOW: u32 = 512 << 10;
const WINDOW_OF_ALL: u32 = 2 << 20;

/// Bytes that are sent in one go.
const FRAME: u32 = 256 << 10;

/// What came of a connection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Served {
    /// Bytes of contents that were taken in.
    pub bytes_in: u64,
    /// Bytes of contents that were given out.
    pub bytes_out: u64,
    /// Names of the locks that were set and not removed: when the process that set them has ended, they can be. A name whose
    /// content never arrived may be among them.
    pub locks_left: Vec<String>,
    /// What was refused, at most a hundred.
    pub refused: Vec<Refused>,
    /// What went wrong with the controller's own disk, at most a hundred.
    pub failures: Vec<String>,
}

/// Serves the repository until the stream ends, until there is no room left, or until the other side misbehaved a hundred times.
/// Dropped before, it ends the connection as well.
pub async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    repository: Repository,
) -> Served {
    let (alive, mut all_gone) = mpsc::channel(1);
    let told = Arc::new(Told::default());
    let connection = Arc::new(Connection {
        folder: Folder::new(repository.folder),
        permission: repository.permission,
        reserve_percent: u64::from(repository.reserve_percent),
        allowance: repository.allowance.map(AtomicU64::new),
        told: told.clone(),
        _alive: alive,
    });
    if let Err(error) = connection.folder.tidy() {
        connection.failed("removing what was left unfinished", &error);
    }

    let service = service_fn(move |request| answer(connection.clone(), request));
    let http = http2::Builder::new(TokioExecutor::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(WINDOW_OF_ALL)
        .max_frame_size(FRAME)
        .max_send_buf_size(WINDOW as usize)
        .serve_connection(TokioIo::new(stream), service);
    let mut http = Box::pin(http);
    tokio::select! {
        // However it ended: restic at the other end says what it missed.
        _ = http.as_mut() => {}
        () = told.enough.notified() => {
            http.as_mut().graceful_shutdown();
            let _ = tokio::time::timeout(FAREWELL, http.as_mut()).await;
        }
    }
    drop(http);
    all_gone.recv().await;
    told.sum_up()
}

/// What the requests of one connection share.
pub struct Connection {
    /// The repository's files.
    pub folder: Folder,
    /// What may be done.
    pub permission: Permission,
    reserve_percent: u64,
    allowance: Option<AtomicU64>,
    told: Arc<Told>,
    /// Whoever works for this connection holds it: a file that is just being named is not left out of the account.
    _alive: mpsc::Sender<()>,
}

/// What is told to the caller at the end.
#[derive(Default)]
struct Told {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    locks: Mutex<BTreeSet<Name>>,
    refused: Mutex<Vec<Refused>>,
    failures: Mutex<Vec<String>>,
    enough: Notify,
}

impl Connection {
    /// Takes note of a request that is refused.
    pub fn refuse(&self, deed: Deed, path: &str) {
        let mut refused = lock(&self.told.refused);
        if refused.len() < TOLD {
            let path = path
                .chars()
                .take(TOLD_PATH)
                .flat_map(char::escape_default)
                .collect();
            refused.push(Refused { deed, path });
        }
        if deed == Deed::NoRoom || refused.len() == TOLD {
            self.told.enough.notify_one();
        }
    }

    /// Takes note of something that went wrong here.
    pub fn failed(&self, attempted: &str, error: &io::Error) {
        let mut failures = lock(&self.told.failures);
        if failures.len() < TOLD {
            failures.push(format!("{attempted}: {error}"));
        }
    }

    /// Takes so many bytes from what may still be written; false if there are not as many.
    pub fn claim(&self, bytes: u64) -> io::Result<bool> {
        let room = self.folder.room()?;
        let reserved = room.total / 100 * self.reserve_percent;
        if room.free < reserved.saturating_add(bytes) || room.free_files_percent < self.reserve_percent {
            return Ok(false);
        }
        Ok(self.allowance.as_ref().is_none_or(|allowance| {
            allowance
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                    left.checked_sub(bytes)
                })
                .is_ok()
        }))
    }

    /// Counts contents that were taken in.
    pub fn count_in(&self, bytes: usize) {
        self.told.bytes_in.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Counts contents that were given out.
    pub fn count_out(&self, bytes: usize) {
        self.told.bytes_out.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The locks that were set on this connection and are still there.
    pub fn locks(&self) -> MutexGuard<'_, BTreeSet<Name>> {
        lock(&self.told.locks)
    }
}

impl Told {
    fn sum_up(&self) -> Served {
        let locks = std::mem::take(&mut *lock(&self.locks));
        Served {
            bytes_in: self.bytes_in.load(Ordering::Relaxed),
            bytes_out: self.bytes_out.load(Ordering::Relaxed),
            locks_left: locks.iter().map(ToString::to_string).collect(),
            refused: std::mem::take(&mut *lock(&self.refused)),
            failures: std::mem::take(&mut *lock(&self.failures)),
        }
    }
}

/// No holder of one of these leaves it half changed, whatever happens to it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
