//! The escrow key: a second key to each repository of an organisation, whose password is on the organisation's emergency sheet.

use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::Errno;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::ESCROW;
use crate::model::{Name, Secret};
use crate::vault::{SecretScope, Vault, VaultError, generate_on_paper};

/// What the password was when somebody typed it off the sheet, in the scope of [`ESCROW`].
const CONFIRMED: &str = "escrow_confirmed";

/// How often it is looked whether restic wants the new password.
const LOOK: Duration = Duration::from_millis(20);

/// Why a repository did not get its second key.
#[derive(Debug, thiserror::Error)]
pub enum EscrowError {
    /// restic said no.
    #[error("{repository} did not get the key of the emergency sheet: {said}")]
    Refused {
        /// Whose repository, and where.
        repository: String,
        /// What restic said.
        said: String,
    },
    /// restic did not start, or the new password did not reach it.
    #[error(
        "cannot give {repository} the key of the emergency sheet: {source}; is restic installed here? apt install restic"
    )]
    Failed {
        /// Whose repository, and where.
        repository: String,
        /// What the system said.
        source: io::Error,
    },
    /// The vault.
    #[error(transparent)]
    Vault(#[from] VaultError),
}

/// The password on the emergency sheet of an organisation; made when it is asked for the first time.
///
/// # Errors
/// What the vault says.
pub async fn escrow_password(vault: &Vault, organisation: &Name) -> Result<Secret, VaultError> {
    let scope = SecretScope::Backups(organisation.clone());
    vault.get_or_create(&scope, ESCROW, generate_on_paper).await
}

/// Whether somebody has typed the password off the sheet since it is what it is.
///
/// # Errors
/// What the vault says.
pub async fn is_confirmed(vault: &Vault, organisation: &Name) -> Result<bool, VaultError> {
    let scope = SecretScope::Backups(organisation.clone());
    let confirmed = vault.get(&scope, CONFIRMED).await?;
    Ok(confirmed.is_some() && confirmed == vault.get(&scope, ESCROW).await?)
}

/// Remembers that somebody typed the password off the sheet; says whether it was that. Spaces, hyphens and large letters do not
/// matter.
///
/// # Errors
/// What the vault says.
pub async fn confirm(vault: &Vault, organisation: &Name, typed: &Secret) -> Result<bool, VaultError> {
    let password = escrow_password(vault, organisation).await?;
    let letters = |text: &str| -> String {
        let letters = text.chars().filter(|letter| letter.is_alphanumeric());
        letters.flat_map(char::to_lowercase).collect()
    };
    if letters(typed.reveal()) != letters(password.reveal()) {
        return Ok(false);
    }
    let scope = SecretScope::Backups(organisation.clone());
    vault.put(&scope, CONFIRMED, &password).await?;
    Ok(true)
}

/// Sees to it that the password of the sheet opens a repository: after it was made, and whenever that is in doubt. Says whether
/// the key was missing. `restic` gives a call of restic with the repository and all else that it takes, apart from
/// a password.
///
/// # Errors
/// See [`EscrowError`].
pub async fn ensure_escrow_key(
    vault: &Vault,
    organisation: &Name,
    repository: &str,
    password: &Secret,
    restic: impl Fn() -> Command,
) -> Result<bool, EscrowError> {
    let failed = |source| EscrowError::Failed {
        repository: repository.to_owned(),
        source,
    };
    let escrow = escrow_password(vault, organisation).await?;
    let mut open = restic();
    open.args(["cat", "config", "--no-cache", "--no-lock"]);
    if told(open, &escrow, None).await.map_err(failed)?.0.success() {
        return Ok(false);
    }
    let pipe = NewPassword::make().map_err(failed)?;
    let mut add = restic();
    add.args([
        "key",
        "add",
        "--no-cache",
        "--host",
        "allmende",
        "--user",
        "escrow",
    ])
    .arg("--new-password-file")
    .arg(&pipe.0);
    let (status, said) = told(add, password, Some((&pipe, &escrow)))
        .await
        .map_err(failed)?;
    if status.success() {
        return Ok(true);
    }
    Err(EscrowError::Refused {
        repository: repository.to_owned(),
        said,
    })
}

/// Runs restic with its password on standard input, and a new one in a pipe; how it ended, and what it said.
async fn told(
    mut restic: Command,
    password: &Secret,
    new: Option<(&NewPassword, &Secret)>,
) -> io::Result<(ExitStatus, String)> {
    let mut child = restic
        .env("RESTIC_PASSWORD_FILE", "/dev/stdin")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        // One that ended early says why by itself.
        let _ = stdin.write_all(password.reveal().as_bytes()).await;
    }
    let ended = child.wait_with_output();
    let output = match new {
        None => ended.await?,
        Some((pipe, secret)) => {
            tokio::pin!(ended);
            tokio::select! {
                output = &mut ended => output?,
                written = pipe.write(secret) => {
                    written?;
                    ended.await?
                }
            }
        }
    };
    let said = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    Ok((output.status, last.unwrap_or("it said nothing").to_owned()))
}

/// A named pipe in a folder of its own: so that the password is on no disk.
struct NewPassword(PathBuf);

impl NewPassword {
    fn make() -> io::Result<Self> {
        let name = format!("allmende-{}-{:x}", std::process::id(), number());
        let folder = std::env::temp_dir().join(name);
        std::fs::DirBuilder::new().mode(0o700).create(&folder)?;
        let pipe = Self(folder.join("password"));
        mknodat(CWD, &pipe.0, FileType::Fifo, Mode::from_raw_mode(0o600), 0)?;
        Ok(pipe)
    }

    /// Waits until somebody reads, and writes.
    async fn write(&self, secret: &Secret) -> io::Result<()> {
        loop {
            match open(
                &self.0,
                OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC,
                Mode::empty(),
            ) {
                Err(Errno::NXIO) => tokio::time::sleep(LOOK).await,
                opened => return std::fs::File::from(opened?).write_all(secret.reveal().as_bytes()),
            }
        }
    }
}

impl Drop for NewPassword {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
        let _ = std::fs::remove_dir(self.0.parent().unwrap_or(Path::new("")));
    }
}

/// A number that no other pipe of this process has.
fn number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use std::process::Command as Process;

    use super::*;
    use crate::store::tests::in_sqlite;

    #[tokio::test]
    async fn the_sheets_password_opens_a_repository_once_it_was_given_and_only_the_typed_one_counts() {
        let (folder, store) = in_sqlite().await;
        Vault::init(folder.path()).expect("a key");
        let organisation = crate::store::tests::organisation("kita-sonne");
        store.organisations().add(&organisation).await.expect("added");
        let vault = Vault::open(store, folder.path()).await.expect("opens");
        let repository = folder.path().join("repository");
        let own = folder.path().join("own");
        std::fs::write(&own, "the repository's own").expect("written");
        let restic = |password: &Path| {
            let mut restic = Process::new("restic");
            restic.args(["--no-cache", "-r"]).arg(&repository);
            restic.arg("--password-file").arg(password);
            restic
        };
        let made = restic(&own).arg("init").output().expect("restic is installed");
        assert!(made.status.success(), "{made:?}");

        let call = || {
            let mut restic = Command::new("restic");
            restic.arg("-r").arg(&repository);
            restic
        };
        let name = &organisation.name;
        let wrong = Secret::new("not this one".to_owned());
        let error = ensure_escrow_key(&vault, name, "kita-sonne/cloud in disk1", &wrong, call).await;
        let error = error.expect_err("refused").to_string();
        assert!(
            error.contains("kita-sonne/cloud in disk1") && error.contains("wrong password"),
            "{error}"
        );
        let password = Secret::new("the repository's own".to_owned());
        let added = ensure_escrow_key(&vault, name, "it", &password, call).await;
        assert!(added.expect("added"));
        let added = ensure_escrow_key(&vault, name, "it", &password, call).await;
        assert!(!added.expect("looked"), "it is given once");

        let escrow = escrow_password(&vault, name).await.expect("kept");
        let sheet = folder.path().join("sheet");
        std::fs::write(&sheet, format!("{}\n", escrow.reveal())).expect("written");
        let opened = restic(&sheet).args(["cat", "config"]).output().expect("runs");
        assert!(opened.status.success(), "{opened:?}");

        assert!(!is_confirmed(&vault, name).await.expect("looked"));
        let typed = |text: &str| Secret::new(text.to_owned());
        let tried = confirm(&vault, name, &typed("abcd-efgh")).await;
        assert!(!tried.expect("compared"));
        assert!(!is_confirmed(&vault, name).await.expect("looked"));
        let tried = confirm(
            &vault,
            name,
            &typed(&escrow.reveal().to_uppercase().replace('-', " ")),
        )
        .await;
        assert!(tried.expect("compared"));
        assert!(is_confirmed(&vault, name).await.expect("looked"));
        let scope = SecretScope::Backups(name.clone());
        let other = generate_on_paper().expect("made");
        vault.put(&scope, ESCROW, &other).await.expect("changed");
        assert!(
            !is_confirmed(&vault, name).await.expect("looked"),
            "a new one is typed anew"
        );
    }
}
