//! Making a repository in a folder of the controller's, with restic on the controller.

use std::path::Path;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::model::Secret;

/// Why there is no repository.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// There is no restic here.
    #[error("restic is not there on this machine: {0}. Install it: apt install restic")]
    NoEngine(std::io::Error),
    /// It said no.
    #[error("restic could not make the repository {folder}: {said}")]
    Refused {
        /// The folder.
        folder: String,
        /// What restic said.
        said: String,
    },
}

/// Makes a repository, unless there is one already. The password reaches restic by a pipe.
///
/// # Errors
/// See [`CreateError`].
pub async fn create(folder: &Path, password: &Secret) -> Result<(), CreateError> {
    if folder.join("config").exists() {
        return Ok(());
    }
    let mut restic = Command::new("restic")
        .args(["--no-cache", "init", "--repository-version", "2", "-r"])
        .arg(folder)
        .env("RESTIC_PASSWORD_FILE", "/dev/stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(CreateError::NoEngine)?;
    if let Some(mut stdin) = restic.stdin.take() {
        // One that does not read it says why.
        let _ = stdin.write_all(password.reveal().as_bytes()).await;
    }
    let ended = restic.wait_with_output().await.map_err(CreateError::NoEngine)?;
    if ended.status.success() {
        return Ok(());
    }
    Err(CreateError::Refused {
        folder: folder.display().to_string(),
        said: String::from_utf8_lossy(&ended.stderr).trim().to_owned(),
    })
}
