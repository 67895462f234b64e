//! `allmende backup run`.

use clap::Args;

use super::apply::{OnHost, Targets, in_parallel, report_problems};
use super::follow::Follower;
use super::style::Style;
use super::{Answer, CliError, do_or_hand_over, show_preview};
use crate::model::Name;
use crate::operations::{Controller, Operation, RunBackup};

/// Arguments of `backup run`.
#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    targets: Targets,
    /// Shows what would be backed up
    #[arg(long)]
    dry_run: bool,
}

impl OnHost for RunBackup {
    fn host(&self) -> &Name {
        &self.host
    }
}

/// Runs it.
pub async fn run(command: &Run, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let operations: Vec<RunBackup> = command
        .targets
        .by_host(controller)
        .await?
        .into_iter()
        .filter(|(_, services)| !services.is_empty())
        .map(|(host, services)| RunBackup {
            host,
            services,
            everything: false,
        })
        .collect();
    if command.dry_run {
        for operation in &operations {
            show_preview(&operation.preview(controller).await?);
        }
        return Ok(Answer::Yes);
    }
    let follower = Follower::new(style);
    let (done, problems) = in_parallel(&operations, controller, async |operation: &RunBackup| {
        do_or_hand_over(operation, controller, &follower).await
    })
    .await;
    follower.finish();
    for outcome in &done {
        for line in outcome.message.lines() {
            println!("{} {line}", style.green("✓"));
        }
    }
    report_problems(problems, operations.len())?;
    Ok(Answer::Yes)
}
