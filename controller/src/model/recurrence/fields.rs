//! The five fields of a crontab line: which minutes, hours, days, months and weekdays it means.
//!
//! Numbers, ranges and steps are read by the `cron` crate; it stays in this file. What it understands otherwise than crontab
//! does is kept from it: it is given a second of its own, names instead of numbers for weekdays (it counts from Sunday = 1),
//! and each field alone, so that it never combines days with weekdays. Its iterators are not used: they lose and double
//! times where daylight saving begins and ends.

use std::collections::BTreeSet;
use std::str::FromStr;

use cron::{Schedule, TimeUnitSpec};
use jiff::civil::Date;

use super::InvalidRecurrence;

/// Which times of day on which days are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fields {
    pub(super) minutes: Set,
    pub(super) hours: Set,
    pub(super) days: Set,
    pub(super) months: Set,
    /// Sunday is 0.
    pub(super) weekdays: Set,
}

/// The numbers that a field means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Set {
    pub(super) numbers: BTreeSet<i8>,
    /// Whether it was written with a star in front, which crontab treats otherwise than the same numbers written out.
    pub(super) star: bool,
    /// Whether it means every number there is.
    pub(super) all: bool,
}

const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

/// What a field is about.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    first: i8,
    last: i8,
    names: &'static [&'static str],
}

const MINUTE: Kind = kind("minute", 0, 59, &[]);
const HOUR: Kind = kind("hour", 0, 23, &[]);
const DAY: Kind = kind("day of the month", 1, 31, &[]);
const MONTH: Kind = kind("month", 1, 12, &MONTHS);
// Sunday is 0, and 7 as well.
const WEEKDAY: Kind = kind("weekday", 0, 7, &WEEKDAYS);

const fn kind(name: &'static str, first: i8, last: i8, names: &'static [&'static str]) -> Kind {
    Kind {
        name,
        first,
        last,
        names,
    }
}

impl Fields {
    /// Reads five fields.
    pub(super) fn parse(line: &str) -> Result<Self, InvalidRecurrence> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(InvalidRecurrence::Fields {
                text: line.to_owned(),
                found: fields.len(),
            });
        };
        Ok(Self {
            minutes: read(MINUTE, minute)?,
            hours: read(HOUR, hour)?,
            days: read(DAY, day)?,
            months: read(MONTH, month)?,
            weekdays: read(WEEKDAY, weekday)?,
        })
    }

    /// Whether it is meant to happen on this day: on one of the days or one of the weekdays where both are written out, on
    /// what is both where one has a star in front.
    pub(super) fn on(&self, date: Date) -> bool {
        let day = self.days.has(date.day());
        let weekday = self.weekdays.has(date.weekday().to_sunday_zero_offset());
        self.months.has(date.month())
            && if self.either_day() {
                day || weekday
            } else {
                day && weekday
            }
    }

    /// Whether one of the two kinds of days is enough.
    pub(super) fn either_day(&self) -> bool {
        !self.days.star && !self.weekdays.star
    }

    /// Whether it is a rhythm, which goes on in real time when clocks change, and not a time of day.
    pub(super) fn is_rhythm(&self) -> bool {
        self.minutes.is_open() || self.hours.is_open()
    }
}

impl Set {
    pub(super) fn has(&self, number: i8) -> bool {
        self.numbers.contains(&number)
    }

    /// Whether it leaves the number open: a star, or every number.
    pub(super) fn is_open(&self) -> bool {
        self.star || self.all
    }

    /// The distance of the numbers, where they cover all there is in equal steps: 15 for 0, 15, 30, 45.
    pub(super) fn step(&self, of: i8) -> Option<i8> {
        let step = self.numbers.iter().nth(1).copied()?;
        let even = of % step == 0
            && self
                .numbers
                .iter()
                .copied()
                .eq((0..of).step_by(usize::try_from(step).ok()?));
        even.then_some(step)
    }
}

/// Reads one field. Each item is checked before the crate sees it: what crontab does not know must not slip through.
fn read(kind: Kind, text: &str) -> Result<Set, InvalidRecurrence> {
    let refuse = |reason: String| InvalidRecurrence::Field {
        field: kind.name,
        text: text.to_owned(),
        reason,
    };
    let mut items = Vec::new();
    for item in text.split(',') {
        items.extend(check(kind, item).map_err(refuse)?);
    }
    let written = items.join(",");
    let line = match kind.name {
        "minute" => format!("0 {written} * * * *"),
        "hour" => format!("0 0 {written} * * *"),
        "day of the month" => format!("0 0 0 {written} * *"),
        "month" => format!("0 0 0 1 {written} *"),
        _ => format!("0 0 0 * * {written}"),
    };
    let schedule = Schedule::from_str(&line).map_err(|error| refuse(error.to_string()))?;
    let numbers: Vec<u32> = match kind.name {
        "minute" => schedule.minutes().iter().collect(),
        "hour" => schedule.hours().iter().collect(),
        "day of the month" => schedule.days_of_month().iter().collect(),
        "month" => schedule.months().iter().collect(),
        // The crate counts from Sunday = 1.
        _ => schedule.days_of_week().iter().map(|day| day - 1).collect(),
    };
    let numbers: BTreeSet<i8> = numbers
        .into_iter()
        .filter_map(|number| i8::try_from(number).ok())
        .collect();
    let last = if kind.name == WEEKDAY.name { 6 } else { kind.last };
    Ok(Set {
        all: (kind.first..=last).all(|number| numbers.contains(&number)),
        star: text.starts_with('*'),
        numbers,
    })
}

/// Checks `*`, `*/5`, `3`, `mon`, `1-5` or `0-30/10`, and says it so that the crate understands the same.
fn check(kind: Kind, item: &str) -> Result<Vec<String>, String> {
    let (range, step) = match item.split_once('/') {
        Some((range, step)) => (range, Some(step)),
        None => (item, None),
    };
    let step =
        match step {
            None => None,
            Some(text) => {
                let step = text
                    .parse::<i8>()
                    .ok()
                    .filter(|_| text.bytes().all(|c| c.is_ascii_digit()));
                let fits = step.filter(|step| (1..=kind.last).contains(step));
                Some(fits.ok_or_else(|| {
                    format!("behind / stands a number from 1 to {}, not {text:?}", kind.last)
                })?)
            }
        };
    let (from, to) = match (range, range.split_once('-')) {
        // A week has no day 7 beside day 0.
        ("*", _) => (kind.first, if kind.name == WEEKDAY.name { 6 } else { kind.last }),
        (_, Some((from, to))) => {
            let (from, to) = (number(kind, from)?, number(kind, to)?);
            // "fri-sun": what ends with Sunday ends with day 7.
            let to = if to == 0 && from > 0 && kind.name == WEEKDAY.name {
                7
            } else {
                to
            };
            if from > to {
                let (first, last) = (kind.first, kind.last);
                return Err(format!(
                    "a range goes upwards; write {from}-{last},{first}-{to} instead of {range}"
                ));
            }
            (from, to)
        }
        (_, None) => {
            let only = number(kind, range)?;
            if let Some(step) = step {
                let last = kind.last;
                return Err(format!(
                    "a step needs a range: write {only}-{last}/{step}, or */{step}"
                ));
            }
            (only, only)
        }
    };
    let step = step.unwrap_or(1);
    if kind.name != WEEKDAY.name {
        return Ok(vec![format!("{from}-{to}/{step}")]);
    }
    let days = (from..=to).step_by(usize::try_from(step).unwrap_or(1));
    Ok(days
        .map(|day| WEEKDAYS[usize::try_from(day % 7).unwrap_or(0)].to_owned())
        .collect())
}

/// A number of this field, or the name of one.
fn number(kind: Kind, text: &str) -> Result<i8, String> {
    let lower = text.to_ascii_lowercase();
    if let Some(place) = kind.names.iter().position(|name| *name == lower) {
        return i8::try_from(place)
            .map(|place| place + kind.first)
            .map_err(|error| error.to_string());
    }
    text.parse::<i8>()
        .ok()
        .filter(|_| text.bytes().all(|c| c.is_ascii_digit()))
        .filter(|number| (kind.first..=kind.last).contains(number))
        .ok_or_else(|| {
            let names = match kind.names {
                [] => String::new(),
                names => format!(", or {}", names.join(" ")),
            };
            format!(
                "{text:?} is no number from {} to {}{names}",
                kind.first, kind.last
            )
        })
}
