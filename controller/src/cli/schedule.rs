//! `allmende schedule`.

use std::str::FromStr;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::arguments::{Confirm, Json};
use super::organisation::{Changing, Show};
use super::style::Style;
use super::words::local_time;
use super::{Answer, CliError, carry_out, perform, print_json, table};
use crate::model::{Due, Name, Recurrence, Schedule, Zone};
use crate::operations::{
    AddSchedule, Controller, EditSchedule, Operation, OperationError, PauseSchedule, RemoveSchedule, Request,
    ResumeSchedule, Risk, SHOWN_TIMES, seconds,
};
use crate::store::{ScheduleRun, now};

/// Schedules: what is asked for again and again
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:
  allmende schedule add nightly-apply --at 'daily 03:00' --apply web1")]
pub enum ScheduleCommand {
    /// Adds a schedule
    #[command(after_help = WHEN)]
    Add(Add),
    /// Lists all schedules
    List(Json),
    /// Shows a schedule with its next and its last times
    Show(Show),
    /// Changes a schedule; what is not given stays
    #[command(after_help = "Examples:
  allmende schedule edit nightly-apply --at 'daily 04:30'
  allmende schedule edit nightly-apply --apply web2")]
    Edit(Edit),
    /// Lets a schedule rest until it is resumed
    #[command(after_help = "Example:
  allmende schedule pause nightly-apply --reason 'the provider moves web1 this week'")]
    Pause(Changing<PauseSchedule>),
    /// Lets a schedule go on, with its next time
    Resume(Changing<ResumeSchedule>),
    /// Removes a schedule
    Remove(Changing<Remove>),
}

const WHEN: &str = "When, in English or German, or as a crontab line (minute hour day month weekday):
  'daily 03:00'            'täglich um 03:00 Uhr'      '0 3 * * *'
  'weekdays 07:00'         'werktags 07:00'            '0 7 * * 1-5'
  'weekly monday 04:30'    'montags 04:30'             '30 4 * * 1'
  'monthly 1 05:00'        'monatlich am 1. 05:00'     '0 5 1 * *'
  'hourly'                 'stündlich'                 '0 * * * *'
  'every 15 minutes'       'alle 15 Minuten'           '*/15 * * * *'

Examples:
  allmende schedule add nightly-apply --at 'daily 03:00' --apply web1
  allmende schedule add holidays --at '0 20 23 12 *' --operation host.lock --set name=web1 --set 'reason=nobody is there'
  allmende schedule add nightly-apply --at 'daily 03:00' --apply web1 --dry-run";

/// Arguments of `schedule add`.
#[derive(Debug, Args)]
#[command(group(clap::ArgGroup::new("asked").args(["apply", "operation"]).required(true)))]
pub struct Add {
    /// Its name, for example nightly-apply
    name: Name,
    /// When: 'daily 03:00', 'weekly monday 04:30', or a crontab line; see below
    #[arg(long, value_name = "WHEN")]
    at: Recurrence,
    /// Whose clock
    #[arg(long, value_name = "ZONE", default_value = Zone::DEFAULT)]
    zone: Zone,
    /// Starts up to this much later, always the same, so that not everything starts at once: 30s, 10m, 1h
    #[arg(long, value_name = "TIME")]
    jitter: Option<Jitter>,
    /// The organisation that it belongs to
    #[arg(long = "org", value_name = "ORGANISATION")]
    organisation: Option<Name>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    confirm: Confirm,
}

/// Arguments of `schedule edit`.
#[derive(Debug, Args)]
pub struct Edit {
    /// Its name
    name: Name,
    /// When: 'daily 03:00', 'weekly monday 04:30', or a crontab line
    #[arg(long, value_name = "WHEN")]
    at: Option<Recurrence>,
    /// Whose clock
    #[arg(long, value_name = "ZONE")]
    zone: Option<Zone>,
    /// Starts up to this much later: 0, 30s, 10m, 1h
    #[arg(long, value_name = "TIME")]
    jitter: Option<Jitter>,
    /// The organisation that it belongs to
    #[arg(long = "org", value_name = "ORGANISATION")]
    organisation: Option<Name>,
    #[command(flatten)]
    what: What,
    #[command(flatten)]
    confirm: Confirm,
}

/// Arguments of `schedule remove`.
#[derive(Debug, Args)]
pub struct Remove {
    /// Its name
    name: Name,
}

/// What is asked for.
#[derive(Debug, Args)]
struct What {
    /// Brings this host, and everything that is on it by then, to the desired state
    #[arg(long, value_name = "HOST", conflicts_with_all = ["operation", "set"])]
    apply: Option<Name>,
    /// Any other operation, by its name; its parameters follow with --set
    #[arg(long, value_name = "OPERATION", help = operation_help())]
    operation: Option<String>,
    /// A parameter of the operation: NAME=TEXT, or NAME:=JSON for what is no text; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Argument>,
}

fn operation_help() -> String {
    let possible = Request::NAMES
        .iter()
        .filter(|name| Request::risk_of(name) != Some(Risk::Destructive));
    let possible: Vec<&str> = possible.copied().collect();
    format!(
        "Any other operation, by its name ({}); its parameters follow with --set",
        possible.join(", ")
    )
}

impl What {
    /// The operation, if one is given, and its parameters.
    fn asked(&self) -> (Option<String>, Map<String, Value>) {
        if let Some(host) = &self.apply {
            let parameters = [
                ("host".to_owned(), Value::from(host.as_str())),
                ("everything".to_owned(), Value::from(true)),
            ];
            return (Some("host.apply".to_owned()), parameters.into_iter().collect());
        }
        let parameters = self.set.iter().map(|set| (set.name.clone(), set.value.clone()));
        (self.operation.clone(), parameters.collect())
    }
}

/// `NAME=TEXT` or `NAME:=JSON`.
#[derive(Debug, Clone)]
struct Argument {
    name: String,
    value: Value,
}

impl FromStr for Argument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || {
            "expected NAME=TEXT, for example host=web1, or NAME:=JSON, for example everything:=true"
                .to_owned()
        };
        let (name, value) = text.split_once('=').ok_or_else(wrong)?;
        let (name, value) = match name.strip_suffix(':') {
            Some(name) => {
                let value = serde_json::from_str(value)
                    .map_err(|error| format!("the value of {name} is no JSON: {error}"))?;
                (name, value)
            }
            None => (name, Value::from(value)),
        };
        if name.is_empty() {
            return Err(wrong());
        }
        Ok(Self {
            name: name.to_owned(),
            value,
        })
    }
}

/// A length of time, in seconds: `30s`, `10m`, `1h`, `0`.
#[derive(Debug, Clone, Copy)]
struct Jitter(i64);

impl FromStr for Jitter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || "expected a number with its unit: 30s, 10m or 1h".to_owned();
        let unit = match text.chars().last() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3600,
            _ if text == "0" => return Ok(Self(0)),
            _ => return Err(wrong()),
        };
        let count: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
        count
            .checked_mul(unit)
            .filter(|count| *count >= 0)
            .map(Self)
            .ok_or_else(wrong)
    }
}

/// Runs it.
pub async fn run(
    command: &ScheduleCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        ScheduleCommand::Add(add) => {
            let (operation, parameters) = add.what.asked();
            let operation = operation.ok_or_else(|| {
                OperationError::Refused("say what the schedule asks for: --apply or --operation".to_owned())
            })?;
            let operation = AddSchedule {
                name: add.name.clone(),
                at: add.at.clone(),
                zone: add.zone.clone(),
                jitter_seconds: add.jitter.map(|jitter| jitter.0),
                organisation: add.organisation.clone(),
                operation,
                parameters: Value::Object(parameters),
            };
            change(&operation, &add.name, controller, &add.confirm, style).await
        }
        ScheduleCommand::Edit(edit) => {
            let (operation, parameters) = edit.what.asked();
            let operation = EditSchedule {
                name: edit.name.clone(),
                at: edit.at.clone(),
                zone: edit.zone.clone(),
                jitter_seconds: edit.jitter.map(|jitter| jitter.0),
                organisation: edit.organisation.clone(),
                operation,
                parameters,
            };
            change(&operation, &edit.name, controller, &edit.confirm, style).await
        }
        ScheduleCommand::Pause(pause) => perform(&pause.operation, controller, &pause.confirm, style).await,
        ScheduleCommand::Resume(Changing { operation, confirm }) => {
            change(operation, &operation.name, controller, confirm, style).await
        }
        ScheduleCommand::Remove(Changing { operation, confirm }) => {
            let operation = RemoveSchedule {
                name: operation.name.clone(),
            };
            perform(&operation, controller, confirm, style).await
        }
        ScheduleCommand::List(json) => list(json, controller, style).await,
        ScheduleCommand::Show(Show { name, json }) => show(name, json, controller, style).await,
    }
}

/// Changes a schedule and shows its next times.
async fn change<O: Operation>(
    operation: &O,
    name: &Name,
    controller: &Controller,
    confirm: &Confirm,
    style: Style,
) -> Result<Answer, CliError> {
    if let Some(outcome) = carry_out(operation, O::RISK, controller, confirm, style).await? {
        println!("{}", outcome.message);
        let schedule = controller.store.schedules().get(name).await?;
        let jitter = jitter(&schedule);
        if !jitter.is_empty() {
            println!("  {jitter}");
        }
        show_next(&schedule, now());
        remind(controller, style).await?;
    }
    Ok(Answer::Yes)
}

/// Says when nobody is there who would serve schedules.
async fn remind(controller: &Controller, style: Style) -> Result<(), CliError> {
    if controller.servers().await?.is_empty() {
        println!(
            "{} No server is running, and without one nothing happens by itself: allmende serve --help",
            style.yellow("!")
        );
    }
    Ok(())
}

/// "each start 1 min 13 s later (jitter up to 5 min)", or nothing.
fn jitter(schedule: &Schedule) -> String {
    match schedule.jitter_seconds {
        0 => String::new(),
        bound => format!(
            "each start {} later (jitter up to {})",
            seconds(schedule.jitter().as_secs()),
            seconds(bound)
        ),
    }
}

fn show_next(schedule: &Schedule, after: Timestamp) {
    for (number, start) in starts(schedule, after).take(SHOWN_TIMES).enumerate() {
        let name = if number == 0 { "next" } else { "" };
        println!("  {name:10}  {}", schedule.zone.show(start));
    }
}

/// When it will really start: its times after `after`, with its jitter.
fn starts(schedule: &Schedule, after: Timestamp) -> impl Iterator<Item = Timestamp> {
    let jitter = schedule.jitter();
    schedule
        .times_after(after)
        .filter_map(move |time| time.checked_add(jitter).ok())
}

/// From when on times have starts that lie ahead: one may have passed, and its start not.
fn ahead(schedule: &Schedule, now: Timestamp) -> Timestamp {
    now.checked_sub(schedule.jitter()).unwrap_or(now)
}

/// What a schedule asks for, in words.
fn asks_for(schedule: &Schedule) -> String {
    Request::parse(&schedule.operation, &schedule.parameters)
        .map_or_else(|_| schedule.operation.clone(), |request| request.title())
}

async fn list(json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let schedules = controller.store.schedules().list().await?;
    let now = now();
    if json.json {
        let mut values = Vec::new();
        for schedule in &schedules {
            values.push(value(schedule, controller, now, 1).await?);
        }
        print_json(&values);
        return Ok(Answer::Yes);
    }
    if schedules.is_empty() {
        println!(
            "Nothing is scheduled. For example: allmende schedule add nightly-apply --at 'daily 03:00' --apply HOST"
        );
        return Ok(Answer::Yes);
    }
    let mut rows = Vec::new();
    for schedule in &schedules {
        let next = match (&schedule.paused, starts(schedule, ahead(schedule, now)).next()) {
            (Some(_), _) => style.yellow("paused"),
            (None, Some(start)) => schedule.zone.show(start),
            (None, None) => "never".to_owned(),
        };
        let runs = controller.store.schedules().runs(&schedule.name, 1).await?;
        rows.push(vec![
            schedule.name.to_string(),
            schedule.recurrence.to_string(),
            asks_for(schedule),
            next,
            runs.first()
                .map_or_else(|| "never".to_owned(), |run| last(run, style)),
        ]);
    }
    println!("{}", table(["SCHEDULE", "WHEN", "WHAT", "NEXT", "LAST"], rows));
    remind(controller, style).await?;
    Ok(Answer::Yes)
}

fn last(run: &ScheduleRun, style: Style) -> String {
    match (&run.refusal, run.job, run.state) {
        (Some(_), ..) => style.red("refused"),
        (None, Some(job), Some(state)) => format!("job {job} {}", super::job::state(state, style)),
        _ => local_time(run.fired_at),
    }
}

async fn show(name: &Name, json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let schedule = controller.store.schedules().get(name).await?;
    let now = now();
    if json.json {
        print_json(&value(&schedule, controller, now, SHOWN_TIMES).await?);
        return Ok(Answer::Yes);
    }
    println!("{}", style.bold(schedule.name.as_str()));
    let line = |name: &str, value: &str| println!("  {name:10}  {value}");
    line("asks for", &asks_for(&schedule));
    let sentence = schedule.recurrence.sentence().en;
    let written = schedule.recurrence.to_string();
    let meaning = if written == sentence {
        String::new()
    } else {
        format!(": {sentence}")
    };
    line(
        "when",
        &format!("{written}{meaning}, on the clock of {}", schedule.zone),
    );
    let jitter = jitter(&schedule);
    if !jitter.is_empty() {
        line("", &jitter);
    }
    if let Some(organisation) = &schedule.organisation {
        line("belongs to", organisation.as_str());
    }
    line(
        "added",
        &format!(
            "by {} at {}",
            schedule.created_by,
            local_time(schedule.created_at)
        ),
    );
    if let Some(pause) = &schedule.paused {
        let paused = format!(
            "by {} since {}: {}",
            pause.by,
            local_time(pause.since),
            pause.reason
        );
        line("paused", &style.yellow(&paused));
    } else {
        if let Some(due) = controller.store.schedules().overdue(name, now).await? {
            line("waiting", &style.yellow(&overdue(&schedule, &due)));
        }
        show_next(&schedule, ahead(&schedule, now));
    }
    for run in controller.store.schedules().runs(name, 5).await? {
        let missed = match run.missed {
            0 => String::new(),
            missed => format!(", and {missed} missed before"),
        };
        let refusal = run
            .refusal
            .as_ref()
            .map_or(String::new(), |reason| format!(": {reason}"));
        let text = format!(
            "{}{missed}  {}{refusal}",
            schedule.zone.show(run.due_at),
            last(&run, style)
        );
        line("was", &text);
    }
    remind(controller, style).await?;
    Ok(Answer::Yes)
}

fn overdue(schedule: &Schedule, due: &Due) -> String {
    let since = schedule.zone.show(due.first);
    match due.missed {
        0 => format!("since {since}: a server, or the end of the job before, is waited for"),
        missed => format!("since {since}, with {missed} more: one run will do for all of them"),
    }
}

/// A schedule for programs.
async fn value(
    schedule: &Schedule,
    controller: &Controller,
    now: Timestamp,
    next: usize,
) -> Result<Value, CliError> {
    let paused = schedule.paused.is_some();
    let starts: Vec<Timestamp> = starts(schedule, ahead(schedule, now))
        .take(if paused { 0 } else { next })
        .collect();
    let runs = controller
        .store
        .schedules()
        .runs(&schedule.name, u32::try_from(next).unwrap_or(1))
        .await?;
    let mut value = serde_json::to_value(schedule)
        .map_err(|error| OperationError::Refused(format!("cannot print JSON: {error}")))?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert(
            "sentence".to_owned(),
            serde_json::json!(schedule.recurrence.sentence()),
        );
        fields.insert("asks_for".to_owned(), asks_for(schedule).into());
        fields.insert(
            "starts_later_seconds".to_owned(),
            schedule.jitter().as_secs().into(),
        );
        fields.insert("next".to_owned(), serde_json::json!(starts));
        fields.insert("runs".to_owned(), serde_json::json!(runs));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_a_text_unless_it_says_that_it_is_json() {
        let read = |text: &str| text.parse::<Argument>().map(|set| (set.name, set.value));
        assert_eq!(read("host=web1"), Ok(("host".to_owned(), Value::from("web1"))));
        assert_eq!(read("reason=a=b"), Ok(("reason".to_owned(), Value::from("a=b"))));
        assert_eq!(read("port=22"), Ok(("port".to_owned(), Value::from("22"))));
        assert_eq!(read("port:=22"), Ok(("port".to_owned(), Value::from(22))));
        assert_eq!(
            read("services:=[\"a/b\"]"),
            Ok(("services".to_owned(), serde_json::json!(["a/b"])))
        );
        for wrong in ["host", "=web1", ":=1", "port:=", "port:=[1"] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_jitter_has_a_unit() {
        let read = |text: &str| text.parse::<Jitter>().map(|jitter| jitter.0);
        assert_eq!(
            [read("0"), read("30s"), read("10m"), read("1h")],
            [Ok(0), Ok(30), Ok(600), Ok(3600)]
        );
        for wrong in [
            "",
            "10",
            "m",
            "-5m",
            "1d",
            "ß",
            "99999999999999999999s",
            "9223372036854775807h",
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
    }
}
