//! `allmende backup`.

use clap::{Args, Subcommand};

use super::arguments::Json;
use super::organisation::Changing;
use super::style::Style;
use super::{Answer, CliError, backup_drill, backup_list, backup_run, backup_simulate, perform};
use crate::model::{BackupId, Name, ServiceRef};
use crate::operations::{CheckBackups, Controller, CopyBackups, PruneBackups};

/// What can be asked about backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Backs services up now
    #[command(after_help = "Examples:
  allmende backup run cloud
  allmende backup run --org kita-sonne
  allmende backup run --all

Exit code 1 if one of the backups is not complete.")]
    Run(backup_run::Run),
    /// Proves that the newest backup restores; exit code 3 if it does not
    Drill(backup_drill::Drill),
    /// Lists backups, the newest first
    #[command(after_help = "Examples:
  allmende backup list
  allmende backup list kita-sonne/cloud --limit 100")]
    List(List),
    /// Shows a backup: what is in it, where it is, what proves it
    Show(ShowBackup),
    /// Draws which backups would stay over a year
    #[command(after_help = "Examples:
  allmende backup simulate kita-sonne/cloud
  allmende backup simulate --keep daily=7,weekly=5,monthly=12 --every 'daily 03:00'
  allmende backup simulate --keep hourly=24,daily=14 --every hourly

Nothing is changed. The rules are those of the service's targets, or those given with --keep.")]
    Simulate(Box<backup_simulate::Simulate>),
    /// Forgets the backups that the rules of their targets do not keep, and removes their data
    Prune(Changing<PruneBackups>),
    /// Looks whether repositories are whole, and reads a part of their data for it, each time another one
    Check(Changing<CheckBackups>),
    /// Copies backups from the controller's disk to the other targets
    Copy(Changing<CopyBackups>),
}

/// Which backups.
#[derive(Debug, Args)]
pub struct List {
    /// Only those of this service, which may be gone by now
    pub service: Option<ServiceRef>,
    /// Only those of this organisation
    #[arg(long = "org", value_name = "ORGANISATION", conflicts_with = "service")]
    pub organisation: Option<Name>,
    /// How many
    #[arg(long, default_value_t = 30)]
    pub limit: usize,
    #[command(flatten)]
    pub json: Json,
}

/// Which backup.
#[derive(Debug, Args)]
pub struct ShowBackup {
    /// Its number
    pub id: BackupId,
    #[command(flatten)]
    pub json: Json,
}

/// Runs it.
pub async fn run(command: &BackupCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        BackupCommand::Drill(command) => backup_drill::run(command, controller, style).await,
        BackupCommand::Run(command) => backup_run::run(command, controller, style).await,
        BackupCommand::List(list) => backup_list::list(list, controller, style).await,
        BackupCommand::Show(show) => backup_list::show(show, controller, style).await,
        BackupCommand::Simulate(simulate) => backup_simulate::run(simulate, controller, style).await,
        BackupCommand::Prune(Changing { operation, confirm }) => {
            perform(operation, controller, confirm, style).await
        }
        BackupCommand::Check(Changing { operation, confirm }) => {
            perform(operation, controller, confirm, style).await
        }
        BackupCommand::Copy(Changing { operation, confirm }) => {
            perform(operation, controller, confirm, style).await
        }
    }
}
