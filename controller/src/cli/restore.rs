//! `allmende restore`: services back from their backups.

use clap::Args;

use super::arguments::{Confirm, Json};
use super::style::Style;
use super::{Answer, CliError, carry_out, print_json, show_preview};
use crate::model::{BackupId, ServiceRef};
use crate::operations::{Controller, Operation, RestoreService, Risk, UndoRestore};

/// Brings a service, or a part of it, back from a backup
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende restore cloud
  allmende restore cloud --snapshot 12
  allmende restore wiki --path /srv/kita_wiki/data/pages/start.txt
  allmende restore cloud --database
  allmende restore cloud --into /root/look
  allmende restore cloud --undo

What is there now is backed up first. Everything is fetched while the service runs; then it is stopped for a moment.")]
pub struct Restore {
    /// The service: NAME or ORGANISATION/NAME
    service: ServiceRef,
    /// The backup; without it, the newest
    #[arg(long, value_name = "ID")]
    snapshot: Option<BackupId>,
    /// Only this file or folder; may be given several times
    #[arg(long = "path", value_name = "PATH")]
    paths: Vec<String>,
    /// Only this dump: the id that the template gives it
    #[arg(long = "database", value_name = "DUMP", num_args = 0..=1, default_missing_value = "database")]
    dumps: Vec<String>,
    /// Into this folder of the host, which must be empty; nothing else is touched
    #[arg(long, value_name = "DIR")]
    into: Option<String>,
    /// Without backing up what is there now
    #[arg(long)]
    no_safety: bool,
    /// Puts back what was there before a restore that was interrupted
    #[arg(long, conflicts_with_all = ["snapshot", "paths", "dumps", "into", "no_safety"])]
    undo: bool,
    /// Keeps what a restore brought that was interrupted when all was in its place
    #[arg(long, conflicts_with_all = ["undo", "snapshot", "paths", "dumps", "into", "no_safety"])]
    keep: bool,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &Restore, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let done = if command.undo || command.keep {
        let operation = UndoRestore {
            service: command.service.clone(),
            keep: command.keep,
        };
        carry_out(&operation, Risk::Change, controller, &command.confirm, style).await?
    } else {
        let operation = RestoreService {
            service: command.service.clone(),
            snapshot: command.snapshot,
            paths: command.paths.clone(),
            dumps: command.dumps.clone(),
            into: command.into.clone(),
            no_safety: command.no_safety,
        }
        .decided(controller)
        .await?;
        if operation.into.is_none() && !command.confirm.dry_run && !command.confirm.yes {
            show_preview(&operation.preview(controller).await?);
            let name = command.service.service.to_string();
            command.confirm.ask_for_name(&operation.title(), &name)?;
        }
        carry_out(&operation, Risk::Change, controller, &command.confirm, style).await?
    };
    if let Some(outcome) = done {
        if command.json.json {
            print_json(&outcome.details);
        } else {
            for line in outcome.message.lines() {
                println!("{} {line}", style.green("✓"));
            }
        }
    }
    Ok(Answer::Yes)
}
