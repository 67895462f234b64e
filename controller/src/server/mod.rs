//! `allmende serve`: the controller that runs day and night. It does jobs that were handed to it, and keeps house.
//!
//! Every task ends when [`Stop`] says so. Whatever must not be forgotten is in the store before it begins, so that a server
//! may be killed at any moment; several may run on one store.

mod clock;
mod housekeeping;
mod install;
mod page;
mod presence;
mod stop;
mod sweep;
mod systemd;
mod telling;
mod workers;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::task::JoinSet;

use crate::operations::{Controller, OperationError};
pub use install::{Installation, install};
use stop::Stop;

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data cannot be used.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// Something else has its address.
    #[error(
        "cannot answer on {address}: {source}. If another server of Allmende runs here, see it with: systemctl status allmende; else choose another address with `listen` in allmende.toml"
    )]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The signals cannot be heard.
    #[error("cannot hear signals: {0}")]
    Signals(std::io::Error),
    /// It cannot be installed.
    #[error("cannot install the server: {attempt}: {reason}")]
    Install {
        /// What was attempted.
        attempt: String,
        /// What came back.
        reason: String,
    },
}

/// Runs until a signal ends it; jobs in hand are finished or given back.
///
/// # Errors
/// See [`ServerError`].
pub async fn run(data_dir: &Path, templates: &[PathBuf]) -> Result<(), ServerError> {
    let controller = Arc::new(Controller::open(data_dir, templates).await?);
    let address = controller.settings.listen;
    let listener = tokio::net::TcpListener::bind(address)
        .await
        .map_err(|source| ServerError::Listen { address, source })?;
    let address = listener.local_addr().unwrap_or(address);
    let stop = Stop::on_signals().map_err(ServerError::Signals)?;
    let mut tasks = JoinSet::new();
    tasks.spawn(presence::keep(controller.clone(), stop.clone()));
    tasks.spawn(workers::work(controller.clone(), stop.clone()));
    tasks.spawn(sweep::keep(controller.clone(), stop.clone()));
    tasks.spawn(housekeeping::keep(controller.clone(), stop.clone()));
    tasks.spawn(clock::tick(controller.clone(), stop.clone()));
    tasks.spawn(telling::keep(controller.clone(), stop.clone()));
    tasks.spawn(page::answer(controller.clone(), listener, stop.clone()));
    tasks.spawn(systemd::feed_watchdog(stop.clone()));
    log(&format!("serving {} on http://{address}/", data_dir.display()));
    systemd::notify("READY=1");
    while tasks.join_next().await.is_some() {}
    log("stopped");
    Ok(())
}

/// A line for the journal.
fn log(line: &str) {
    use std::io::Write;
    // Nobody may be there to read it, which is no reason to stop.
    let _ = writeln!(std::io::stderr(), "{line}");
}
