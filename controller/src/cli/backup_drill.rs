//! `allmende backup drill`.

use clap::Args;

use super::arguments::{Confirm, Json};
use super::style::Style;
use super::{Answer, CliError, carry_out, print_json};
use crate::model::ServiceRef;
use crate::operations::{Controller, Risk, RunDrill};

/// Arguments of `backup drill`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende backup drill cloud

Restores into scratch places on the service's host, compares with what the backup wrote down, damages the copy, compares again
and removes everything. The service is not touched.")]
pub struct Drill {
    /// The service: NAME or ORGANISATION/NAME
    service: ServiceRef,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &Drill, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let operation = RunDrill {
        service: command.service.clone(),
    };
    let done = carry_out(&operation, Risk::Change, controller, &command.confirm, style).await?;
    let Some(outcome) = done else {
        return Ok(Answer::Yes);
    };
    let passed = outcome.details["drill"]["outcome"] == "passed";
    if command.json.json {
        print_json(&outcome.details["drill"]);
        return Ok(passed.into());
    }
    let sign = if passed {
        style.green("✓")
    } else {
        style.red("✗")
    };
    println!("{sign} {}", outcome.message);
    Ok(passed.into())
}
