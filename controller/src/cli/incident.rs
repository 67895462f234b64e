//! `allmende incident`.

use clap::{Args, Subcommand};
use jiff::Timestamp;

use super::arguments::Json;
use super::organisation::Changing;
use super::style::Style;
use super::words::{length, local_time, standing};
use super::{Answer, CliError, perform, print_json, table};
use crate::model::Name;
use crate::operations::{AcknowledgeIncident, Controller};

/// What can be asked about incidents.
#[derive(Debug, Subcommand)]
pub enum IncidentCommand {
    /// Lists incidents that are not over, the newest first; exit code 3 if there are any
    List(List),
    /// Shows an incident with all that happened
    Show(Show),
    /// Says that you take care of it
    #[command(
        alias = "ack",
        after_help = "Example:
  allmende incident acknowledge 4 --note \"The provider replaces the disk\" --for 2d"
    )]
    Acknowledge(Changing<AcknowledgeIncident>),
}

/// Arguments of `incident list`.
#[derive(Debug, Args)]
pub struct List {
    /// Those that are over as well
    #[arg(long)]
    all: bool,
    /// Of this organisation only
    #[arg(long)]
    org: Option<Name>,
    /// How many at most
    #[arg(long, default_value_t = 50)]
    limit: u32,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `incident show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Its number
    id: i64,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(
    command: &IncidentCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        IncidentCommand::List(list) => self::list(list, controller, style).await,
        IncidentCommand::Show(show) => self::show(show, controller, style).await,
        IncidentCommand::Acknowledge(acknowledge) => {
            perform(&acknowledge.operation, controller, &acknowledge.confirm, style).await
        }
    }
}

async fn list(list: &List, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let mut incidents = controller.store.watch().incidents(!list.all, list.limit).await?;
    if let Some(organisation) = &list.org {
        incidents.retain(|incident| incident.organisation.as_ref() == Some(organisation));
    }
    let now = Timestamp::now();
    let open = incidents.iter().any(|incident| incident.recovered_at.is_none());
    if list.json.json {
        print_json(&incidents);
    } else if incidents.is_empty() {
        println!("{} no incidents", style.green("✓"));
    } else {
        let rows = incidents.iter().map(|incident| {
            vec![
                incident.id.to_string(),
                standing(incident, style),
                incident.key.to_string(),
                incident.title.en.clone(),
                local_time(incident.first_bad_at),
                length(incident.duration(now)),
                incident
                    .acknowledged
                    .as_ref()
                    .map_or(String::new(), |by| by.by.clone()),
            ]
        });
        let head = ["INCIDENT", "STATE", "CHECK", "WHAT", "SINCE", "LASTS", "TAKEN BY"];
        println!("{}", table(head, rows));
    }
    Ok(Answer::from(list.all || !open))
}

async fn show(show: &Show, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let watch = controller.store.watch();
    let incident = watch.incident(show.id).await?;
    let timeline = watch.timeline(&incident).await?;
    let hidden: Vec<String> = match incident.recovered_at {
        None => watch
            .list()
            .await?
            .into_iter()
            .filter(|standing| standing.depends_on.contains(&incident.key))
            .filter(|standing| standing.state.first_bad.is_some() && standing.state.open.is_none())
            .map(|standing| standing.key.to_string())
            .collect(),
        Some(_) => Vec::new(),
    };
    if show.json.json {
        let value = serde_json::json!({ "incident": incident, "timeline": timeline, "hides": hidden });
        print_json(&value);
        return Ok(Answer::Yes);
    }
    let now = Timestamp::now();
    println!(
        "{}",
        style.bold(&format!("Incident {}: {}", incident.id, incident.title.en))
    );
    println!("  check     {}", incident.key);
    println!("  state     {}", standing(&incident, style));
    println!("  first bad {}", local_time(incident.first_bad_at));
    println!("  lasts     {}", length(incident.duration(now)));
    if let Some(acknowledged) = &incident.acknowledged {
        println!("  taken by  {}: {}", acknowledged.by, acknowledged.note);
        if let Some(until) = acknowledged.until {
            println!("  until     {}", local_time(until));
        }
    }
    if !hidden.is_empty() {
        println!("  hides     {}", hidden.join(", "));
    }
    println!();
    for event in &timeline {
        println!(
            "  {}  {:12} {}",
            local_time(event.at),
            event.kind,
            event.sentence.en
        );
    }
    if incident.recovered_at.is_none() {
        println!("\nNext: allmende check show {}", incident.key);
    }
    Ok(Answer::Yes)
}
