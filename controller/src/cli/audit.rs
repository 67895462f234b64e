//! `allmende audit`.

use clap::{Args, Subcommand};

use super::arguments::Json;
use super::style::Style;
use super::words::local_time;
use super::{Answer, CliError, print_json, table};
use crate::operations::Controller;

/// What can be asked about the audit log.
#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Lists the newest entries
    List(List),
    /// Proves that no entry was changed or taken out; exit code 3 if one was
    Verify(Json),
}

/// Arguments of `audit list`.
#[derive(Debug, Args)]
pub struct List {
    /// How many
    #[arg(long, default_value_t = 20)]
    limit: u32,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &AuditCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        AuditCommand::List(List { limit, json }) => {
            let entries = controller.store.audit().list(*limit).await?;
            if json.json {
                print_json(&entries);
            } else {
                let rows = entries.iter().map(|entry| {
                    vec![
                        entry.sequence.to_string(),
                        local_time(entry.at()),
                        entry.actor.clone(),
                        entry.operation.clone(),
                        entry.phase.clone(),
                        entry.message.clone(),
                    ]
                });
                println!(
                    "{}",
                    table(["ENTRY", "WHEN", "WHO", "OPERATION", "PHASE", "WHAT"], rows)
                );
            }
            Ok(Answer::Yes)
        }
        AuditCommand::Verify(json) => {
            let verdict = controller.verify_audit().await?;
            if json.json {
                print_json(&verdict);
            } else if verdict.intact() {
                println!("{} {verdict}", style.green("✓"));
            } else {
                println!("{} {verdict}", style.red("✗"));
            }
            Ok(Answer::from(verdict.intact()))
        }
    }
}
