//! `allmende backup simulate`: a year, one line for each month, one sign for each day.

use std::collections::BTreeMap;

use clap::Args;
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};

use super::arguments::Json;
use super::backup_list::resolve;
use super::style::Style;
use super::{Answer, CliError, print_json};
use crate::backup::{Reason, Serving, Simulated, simulate};
use crate::model::{Name, Recurrence, Retention, ServiceRef, Zone};
use crate::operations::{Controller, OperationError};

/// Whose backups, or which rules.
#[derive(Debug, Args)]
pub struct Simulate {
    /// The service, with the rules of each of its targets
    #[arg(required_unless_present = "keep")]
    service: Option<ServiceRef>,
    /// Other rules: daily=7,weekly=5,monthly=12,yearly=2
    #[arg(long, value_name = "RULES")]
    keep: Option<Retention>,
    /// How often backups are made: daily, hourly, 'weekly monday 04:30', or a crontab line
    #[arg(long, value_name = "WHEN", default_value = "daily", value_parser = every)]
    every: Recurrence,
    /// Whose clock
    #[arg(long, value_name = "ZONE", default_value = Zone::DEFAULT)]
    zone: Zone,
    #[command(flatten)]
    json: Json,
}

/// A recurrence; `daily` and `weekly` alone mean the night.
fn every(text: &str) -> Result<Recurrence, String> {
    let whole = match text.trim() {
        "daily" => "daily 03:00",
        "weekly" => "weekly sunday 03:00",
        other => other,
    };
    whole.parse().map_err(|error| format!("{error}"))
}

/// Runs it.
pub async fn run(simulation: &Simulate, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let rules = rules(simulation, controller).await?;
    let until = Timestamp::now();
    let from = until
        .to_zoned(simulation.zone.rules().clone())
        .checked_sub(1.year())
        .map_or(until, |from| from.timestamp());
    let made = |rules| simulate(rules, &simulation.every, (from, until), simulation.zone.rules());
    if simulation.json.json {
        let all: Vec<_> = rules
            .iter()
            .map(|(target, rules)| {
                serde_json::json!({ "target": target, "keep": rules, "backups": made(*rules) })
            })
            .collect();
        print_json(&all);
        return Ok(Answer::Yes);
    }
    for (target, rules) in rules {
        if let Some(target) = target {
            println!("{}", style.bold(target.as_str()));
        }
        draw(&made(rules), rules, simulation, style);
    }
    Ok(Answer::Yes)
}

/// The rules to try, with their target.
async fn rules(
    simulation: &Simulate,
    controller: &Controller,
) -> Result<Vec<(Option<Name>, Retention)>, CliError> {
    if let Some(keep) = simulation.keep {
        return Ok(vec![(None, keep)]);
    }
    let Some(service) = &simulation.service else {
        return Ok(Vec::new());
    };
    let (organisation, _) = resolve(controller, service).await?;
    let targets = controller.store.targets().list().await?;
    let serving = Serving::of(&organisation, &targets);
    let all: Vec<_> = serving
        .first
        .into_iter()
        .chain(serving.copies)
        .map(|target| (Some(target.name.clone()), target.retention))
        .collect();
    if all.is_empty() {
        return Err(OperationError::Refused(format!(
            "no target serves {organisation}: add one with allmende target add, or give rules with --keep"
        ))
        .into());
    }
    Ok(all)
}

/// The sign of a day, from what is most lasting about it.
fn sign(reasons: &[Reason], style: Style) -> String {
    let strongest = reasons.iter().max();
    match strongest {
        Some(Reason::Yearly) => style.bold("Y"),
        Some(Reason::Monthly) => style.bold("M"),
        Some(Reason::Weekly) => style.bold("W"),
        Some(_) => style.bold("D"),
        None => style.dim("·"),
    }
}

fn draw(made: &[Simulated], rules: Retention, simulation: &Simulate, style: Style) {
    let mut days: BTreeMap<Date, Vec<Reason>> = BTreeMap::new();
    for backup in made {
        let day = backup.at.to_zoned(simulation.zone.rules().clone()).date();
        days.entry(day).or_default().extend(&backup.reasons);
    }
    // Days without a backup stay empty.
    let mut months: BTreeMap<(i16, i8), Vec<String>> = BTreeMap::new();
    for (day, reasons) in &days {
        let month = months.entry((day.year(), day.month())).or_default();
        month.resize(usize::try_from(day.day() - 1).unwrap_or_default(), " ".to_owned());
        month.push(sign(reasons, style));
    }
    println!("{}", style.dim("         1        10        20        30"));
    for ((year, month), days) in months {
        println!("{year}-{month:02}  {}", days.concat());
    }
    let staying = made.iter().filter(|backup| !backup.reasons.is_empty()).count();
    println!(
        "Of {} backups of a year, {staying} would stay with {rules}.",
        made.len()
    );
    println!(
        "{}",
        style.dim("Y last of a year, M of a month, W of a week, D of a day or an hour; · made and forgotten")
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_often_may_be_said_in_one_word() {
        for text in ["daily", "weekly", "hourly", "daily 22:15", "0 3 * * *"] {
            every(text).expect(text);
        }
        assert!(every("sometimes").is_err());
    }

    #[test]
    fn a_day_shows_what_is_most_lasting_about_it() {
        assert_eq!(
            sign(&[Reason::Daily, Reason::Monthly, Reason::Weekly], Style::PLAIN),
            "M"
        );
        assert_eq!(sign(&[Reason::Last, Reason::NewestComplete], Style::PLAIN), "D");
        assert_eq!(sign(&[], Style::PLAIN), "·");
    }
}
