//! `allmende controller`: copies of Allmende's own data, and the way back.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::{Confirm, actor};
use super::follow::Follower;
use super::style::Style;
use super::words::local_time;
use super::{Answer, CliError, perform, show_preview};
use crate::model::Secret;
use crate::operations::{
    BackUpController, Controller, Operation, Restoration, Restored, check_passphrase, execute, passphrase_in,
};

/// The controller itself: copies of its own data, and the way back
#[derive(Debug, Subcommand)]
pub enum ControllerCommand {
    /// Copies Allmende's own data into a file that a passphrase opens; also while a server runs
    #[command(after_help = "Examples:
  allmende controller backup /media/stick/allmende.tar.gz.age
  allmende controller backup              as [self_backup] in allmende.toml says
  allmende schedule add own-backup --at 'daily 03:30' --operation controller.backup")]
    Backup(Backup),
    /// Brings Allmende's own data back into an empty data directory
    #[command(after_help = "Examples:
  allmende controller restore /media/stick/allmende.tar.gz.age
  allmende controller restore copy.tar.gz.age --data-dir /srv/allmende

An allmende.toml that is in the directory already counts instead of the one in the copy: so the
data can go into another database.")]
    Restore(Restore),
}

/// Arguments of `controller backup`.
#[derive(Debug, Args)]
pub struct Backup {
    /// The file; without one, a new one in the folder of the settings
    file: Option<PathBuf>,
    /// The file whose first line is the passphrase, instead of asking for it
    #[arg(long, value_name = "FILE", requires = "file")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Arguments of `controller restore`.
#[derive(Debug, Args)]
pub struct Restore {
    /// The file
    file: PathBuf,
    /// The file whose first line is the passphrase, instead of asking for it
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Runs `controller backup`.
pub async fn backup(command: &Backup, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let Some(file) = &command.file else {
        let operation = BackUpController {
            file: None,
            passphrase: None,
        };
        return perform(&operation, controller, &command.confirm, style).await;
    };
    let operation = BackUpController {
        file: Some(std::path::absolute(file).map_err(|source| CliError::File {
            path: file.clone(),
            source,
        })?),
        passphrase: Some(match &command.passphrase_file {
            Some(path) => passphrase_in(path)?,
            None => new_passphrase()?,
        }),
    };
    if command.confirm.dry_run {
        show_preview(&operation.preview(controller).await?);
        return Ok(Answer::Yes);
    }
    // Never by a server: the passphrase is written down nowhere.
    let follower = Follower::new(style);
    let finished = execute(controller, &actor(), &operation, &follower).await;
    follower.finish();
    println!("{}", finished?.message);
    Ok(Answer::Yes)
}

/// Runs `controller restore`.
pub async fn restore(command: &Restore, data_dir: &Path, style: Style) -> Result<Answer, CliError> {
    let passphrase = match &command.passphrase_file {
        Some(path) => passphrase_in(path)?,
        None => typed("Passphrase of the backup")?,
    };
    let restoration = Restoration::prepare(data_dir, &command.file, &passphrase)?;
    let manifest = restoration.manifest();
    println!(
        "{} holds Allmende's data of {} from {}, and is whole.",
        command.file.display(),
        local_time(manifest.made_at),
        manifest.machine
    );
    if command.confirm.dry_run {
        return Ok(Answer::Yes);
    }
    command
        .confirm
        .ask(&format!("Bring them back into {}", data_dir.display()))?;
    let restored = restoration.run(&actor(), &command.file).await?;
    tell(&restored, data_dir, style);
    Ok(Answer::Yes)
}

fn tell(restored: &Restored, data_dir: &Path, style: Style) {
    let [organisations, hosts, services] = restored.counts;
    println!(
        "{} {organisations} organisations, {hosts} hosts and {services} services are back, in {} and {}.",
        style.green("✓"),
        data_dir.display(),
        restored.database
    );
    for path in &restored.manifest.left_out {
        println!(
            "{} {} was not in the copy; the settings name it: put it back by hand.",
            style.yellow("!"),
            path.display()
        );
    }
    println!();
    println!("Next:");
    println!("  1. Nothing else may work with these data: stop the old server, if there still is one.");
    println!("  2. allmende audit verify         proves that nobody changed the log");
    println!(
        "  3. allmende plan --all           what changed since; the hosts accept the same key as before"
    );
    println!("  4. sudo allmende serve --install if a server ran on the old machine");
}

/// Asks twice for a new passphrase.
fn new_passphrase() -> Result<Secret, CliError> {
    let passphrase = check_passphrase(typed("Passphrase for the backup, at least 12 characters")?)?;
    if typed("Once more")? != passphrase {
        return Err(CliError::Declined(
            "These were two different passphrases. Nothing was written.".to_owned(),
        ));
    }
    Ok(passphrase)
}

/// Asks for something that is not shown.
fn typed(question: &str) -> Result<Secret, CliError> {
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Declined(format!(
            "{question}: there is no terminal to ask at. Give it with --passphrase-file FILE"
        )));
    }
    rpassword::prompt_password(format!("{question}: "))
        .map(Secret::new)
        .map_err(|error| CliError::Declined(format!("cannot read the passphrase: {error}")))
}
