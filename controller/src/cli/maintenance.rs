//! `allmende maintenance`.

use clap::Subcommand;
use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::arguments::Json;
use super::organisation::Changing;
use super::style::Style;
use super::words::time_in;
use super::{Answer, CliError, perform, print_json, table};
use crate::model::{MaintenancePlan, MaintenanceScope};
use crate::operations::{AddMaintenance, Controller, EndMaintenance};

/// What can be asked about maintenance.
#[derive(Debug, Subcommand)]
pub enum MaintenanceCommand {
    /// Makes a time in which nobody is alarmed, once or again and again; checks go on
    #[command(after_help = "Examples:
  allmende maintenance add web1 --for 2h --reason \"New disk\"
  allmende maintenance add kita-sonne/cloud --from \"2026-11-28 22:00\" --for 90m --reason \"Nextcloud 35\"
  allmende maintenance add web1 --at \"sun 03:00\" --for 1h --reason \"Updates and restart\"")]
    Add(Box<Changing<AddMaintenance>>),
    /// Lists the times that are now or will come
    List(Json),
    /// Ends one: people are alarmed again
    End(Changing<EndMaintenance>),
}

/// Runs it.
pub async fn run(
    command: &MaintenanceCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        MaintenanceCommand::Add(add) => perform(&add.operation, controller, &add.confirm, style).await,
        MaintenanceCommand::End(end) => perform(&end.operation, controller, &end.confirm, style).await,
        MaintenanceCommand::List(json) => {
            let windows = controller.store.watch().maintenance().await?;
            if json.json {
                print_json(&windows);
                return Ok(Answer::Yes);
            }
            if windows.is_empty() {
                println!("No maintenance: people are alarmed at all times.");
                return Ok(Answer::Yes);
            }
            let now = Timestamp::now();
            let rows = windows.iter().filter_map(|window| {
                let (from, until) = window.plan.next(now)?;
                let about = match &window.about {
                    MaintenanceScope::Organisation(name) | MaintenanceScope::Host(name) => name.to_string(),
                    MaintenanceScope::Service(name) => name.clone(),
                };
                let state = if from <= now {
                    style.yellow("now")
                } else {
                    "planned".to_owned()
                };
                // Where the time of day is by somebody's clock, that clock is the row's.
                let (zone, again) = match &window.plan {
                    MaintenancePlan::Once { .. } => (TimeZone::system(), String::new()),
                    MaintenancePlan::Recurring { at, zone, .. } => {
                        (zone.rules().clone(), format!("{at} ({zone})"))
                    }
                };
                Some(vec![
                    window.id.to_string(),
                    state,
                    about,
                    time_in(&zone, from),
                    time_in(&zone, until),
                    again,
                    window.made_by.clone(),
                    window.reason.clone(),
                ])
            });
            let head = ["NUMBER", "STATE", "ABOUT", "FROM", "UNTIL", "AGAIN", "WHO", "WHY"];
            println!("{}", table(head, rows));
            Ok(Answer::Yes)
        }
    }
}
