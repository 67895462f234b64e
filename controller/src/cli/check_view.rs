//! `allmende check list` and `check show`: how what is watched stands, and how it was.

use std::str::FromStr;

use clap::Args;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::arguments::Json;
use super::style::Style;
use super::words::{length, local_time, sign, standing};
use super::{Answer, CliError, print_json, table};
use crate::model::{CheckKey, Figure, Name, Status, Subject};
use crate::operations::{Controller, OperationError};
use crate::store::Sample;

/// Arguments of `check list`.
#[derive(Debug, Args)]
pub struct List {
    /// Of this organisation only
    #[arg(long)]
    org: Option<Name>,
    /// Of this host and its services only
    #[arg(long)]
    host: Option<Name>,
    /// Those that are not ok only
    #[arg(long)]
    bad: bool,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `check show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The check: web1:disk, kita-sonne/cloud:page
    key: String,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `check uptime`.
#[derive(Debug, Args)]
pub struct Uptime {
    /// The month: 2026-11; without it, the current one
    #[arg(long)]
    month: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Lists how everything stands, what is bad first.
pub async fn list(list: &List, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let mut standing = controller.store.watch().list().await?;
    standing.retain(|one| {
        list.org
            .as_ref()
            .is_none_or(|org| one.organisation.as_ref() == Some(org))
            && list
                .host
                .as_ref()
                .is_none_or(|host| one.host.as_ref() == Some(host))
            && (!list.bad || one.state.status != Status::Ok)
    });
    standing.sort_by(|a, b| {
        b.state
            .status
            .cmp(&a.state.status)
            .then_with(|| a.key.cmp(&b.key))
    });
    let bad = standing.iter().any(|one| one.state.status != Status::Ok);
    if list.json.json {
        print_json(&standing);
    } else if standing.is_empty() {
        println!("Nothing was asked yet. Checks are asked while a server runs: allmende serve");
    } else {
        let rows = standing.iter().map(|one| {
            vec![
                sign(one.state.status, style),
                one.key.to_string(),
                one.answer.figure.as_ref().map_or(String::new(), shown),
                one.state.since.map_or(String::new(), local_time),
                local_time(one.asked_at),
                one.answer.sentence.en.clone(),
            ]
        });
        println!(
            "{}",
            table(["STATE", "CHECK", "FIGURE", "SINCE", "ASKED", "ANSWER"], rows)
        );
    }
    Ok(Answer::from(!bad))
}

/// Shows one check: its last answer, its last day, its incidents.
pub async fn show(show: &Show, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let watch = controller.store.watch();
    let key = CheckKey::from_str(&show.key).map_err(OperationError::Refused)?;
    let all = watch.list().await?;
    let Some(one) = all.iter().find(|one| one.key == key) else {
        let known: Vec<String> = all
            .iter()
            .filter(|one| one.key.subject == key.subject)
            .map(|one| one.key.to_string())
            .collect();
        let hint = match known.is_empty() {
            true => "see: allmende check list".to_owned(),
            false => format!("there is {}", known.join(", ")),
        };
        return Err(CliError::Declined(format!("{key} was not asked yet; {hint}")));
    };
    let now = Timestamp::now();
    let day = watch
        .answers(&key, now - SignedDuration::from_hours(24), now)
        .await?;
    let mut incidents = watch.incidents(false, 1000).await?;
    incidents.retain(|incident| incident.key == key);
    incidents.truncate(5);
    if show.json.json {
        let answers: Vec<_> = day
            .iter()
            .map(|sample| serde_json::json!({
                "at": sample.at, "status": sample.status, "figure": sample.figure, "took_ms": sample.took_ms,
            }))
            .collect();
        print_json(&serde_json::json!({ "check": one, "last_day": answers, "incidents": incidents }));
        return Ok(Answer::from(one.state.status == Status::Ok));
    }
    println!("{}  {}", style.bold(&one.title.en), style.dim(&show.key));
    let since = one
        .state
        .since
        .map_or(String::new(), |since| format!("  since {}", local_time(since)));
    println!("  {}{since}", sign(one.state.status, style));
    println!("  {}", one.answer.sentence.en);
    if let Some(figure) = &one.answer.figure {
        println!("  figure {}", shown(figure));
    }
    if one.state.flapping {
        println!("  it comes and goes");
    }
    if one.answer.status != Status::Ok
        && let Some(advice) = &one.answer.advice
    {
        println!("  {} {}", style.bold("Next:"), advice.en);
    }
    println!(
        "\n  The last 24 hours, half an hour each; asked {} times",
        day.len()
    );
    println!("  {}", blocks(&day, now, style));
    println!("  {}", style.dim(&scale(now)));
    println!(
        "  {}",
        style.dim("▂ ok  ▅ warning or unknown  █ critical  · not asked")
    );
    if let Subject::Service(_) = &key.subject {
        let uptime = async |days: i64| {
            watch
                .uptime(&key.subject, now - SignedDuration::from_hours(24 * days), now)
                .await
        };
        let (week, month) = (uptime(7).await?, uptime(30).await?);
        let percent = |share: Option<f64>| {
            share.map_or("not known".to_owned(), |share| format!("{:.2} %", share * 100.0))
        };
        println!(
            "\n  {} could be used: {} of 7 days, {} of 30 days",
            key.subject,
            percent(week),
            percent(month)
        );
    }
    for incident in &incidents {
        let lasted = length(incident.duration(now));
        println!(
            "  incident {}: {} from {}, {lasted}",
            incident.id,
            standing(incident, style),
            local_time(incident.first_bad_at)
        );
    }
    Ok(Answer::from(one.state.status == Status::Ok))
}

/// How much of a month services could be used.
pub async fn uptime(uptime: &Uptime, controller: &Controller) -> Result<Answer, CliError> {
    let now = Timestamp::now();
    let zone = TimeZone::system();
    let month = uptime
        .month
        .clone()
        .unwrap_or_else(|| now.to_zoned(zone.clone()).strftime("%Y-%m").to_string());
    let wrong = || OperationError::Refused(format!("{month:?} is no month: write one like 2026-11"));
    let first = jiff::civil::Date::strptime("%Y-%m-%d", format!("{month}-01")).map_err(|_| wrong())?;
    let begin = |date: jiff::civil::Date| {
        date.to_zoned(zone.clone())
            .map(|zoned| zoned.timestamp())
            .map_err(|_| wrong())
    };
    let from = begin(first)?;
    let until = begin(first.last_of_month().tomorrow().map_err(|_| wrong())?)?.min(now);
    let mut shares = Vec::new();
    for service in controller.store.services().list().await? {
        let subject = Subject::Service(service.reference());
        let share = controller.store.watch().uptime(&subject, from, until).await?;
        shares.push((service.full_name(), share));
    }
    if uptime.json.json {
        let list: Vec<_> = shares
            .iter()
            .map(|(service, share)| serde_json::json!({ "service": service, "uptime": share }))
            .collect();
        print_json(&serde_json::json!({ "month": month, "services": list }));
    } else {
        let rows = shares.into_iter().map(|(service, share)| {
            let share = share.map_or("was not watched".to_owned(), |share| {
                format!("{:.2} %", share * 100.0)
            });
            vec![service, share]
        });
        println!(
            "{}",
            table(["SERVICE", &format!("COULD BE USED IN {month}")], rows)
        );
    }
    Ok(Answer::Yes)
}

const HALF_HOURS: usize = 48;

/// The last day in blocks; their height says again what their colour says.
fn blocks(day: &[Sample], now: Timestamp, style: Style) -> String {
    (0..HALF_HOURS)
        .map(|block| {
            let ago = SignedDuration::from_mins(30 * i64::try_from(HALF_HOURS - block).unwrap_or(0));
            let (from, until) = (now - ago, now - ago + SignedDuration::from_mins(30));
            let worst = day
                .iter()
                .filter(|sample| (from..until).contains(&sample.at))
                .map(|sample| sample.status)
                .max();
            match worst {
                None => style.dim("·"),
                Some(Status::Ok) => style.green("▂"),
                Some(Status::Warning | Status::Unknown) => style.yellow("▅"),
                Some(Status::Critical) => style.red("█"),
            }
        })
        .collect()
}

/// The times below the blocks, one every six hours.
fn scale(now: Timestamp) -> String {
    [24, 18, 12, 6]
        .map(|hours| {
            let at = (now - SignedDuration::from_hours(hours)).to_zoned(TimeZone::system());
            format!("{:12}", at.strftime("%H:%M").to_string())
        })
        .concat()
}

/// A figure as people read it.
fn shown(figure: &Figure) -> String {
    let tenths = (figure.value * 10.0).round();
    // Rounding keeps the sign of what was a little below zero; adding zero takes it off.
    let value = if tenths % 10.0 == 0.0 {
        format!("{:.0}", tenths / 10.0 + 0.0)
    } else {
        format!("{:.1}", tenths / 10.0)
    };
    format!("{value} {}", figure.unit).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_have_a_tenth_where_it_says_something() {
        let shown = |value: f64| {
            let unit = "s".to_owned();
            shown(&Figure { value, unit })
        };
        for (value, text) in [
            (-0.03, "0 s"),
            (-0.3, "-0.3 s"),
            (12.0, "12 s"),
            (11.96, "12 s"),
            (0.25, "0.3 s"),
        ] {
            assert_eq!(shown(value), text);
        }
    }

    #[test]
    fn a_day_is_drawn_with_the_worst_of_each_half_hour() {
        let now = Timestamp::from_second(1_800_000_000).expect("a time");
        let ago = |minutes: i64, status| Sample {
            at: now - SignedDuration::from_mins(minutes),
            status,
            figure: None,
            took_ms: 1,
        };
        let day = [
            ago(100, Status::Ok),
            ago(61, Status::Critical),
            ago(62, Status::Ok),
            ago(40, Status::Warning),
            ago(5, Status::Ok),
        ];
        let drawn = blocks(&day, now, Style::PLAIN);
        assert_eq!(drawn.chars().count(), HALF_HOURS);
        assert!(drawn.ends_with("·▂█▅▂"), "{drawn}");
        assert_eq!(scale(now).chars().count(), HALF_HOURS);
    }

    #[test]
    fn figures_have_no_more_digits_than_they_need() {
        let figure = |value, unit: &str| {
            shown(&Figure {
                value,
                unit: unit.to_owned(),
            })
        };
        assert_eq!(
            (figure(12.0, "%"), figure(35.27, "ms"), figure(3.0, "")),
            ("12 %".to_owned(), "35.3 ms".to_owned(), "3".to_owned())
        );
    }
}
