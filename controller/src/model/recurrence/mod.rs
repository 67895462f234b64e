//! When something happens again and again.
//!
//! A recurrence is written as a crontab line of five fields, or in words. It is evaluated on the clock that people see in a
//! time zone, with these rules where that clock is changed (`docs/schedules.md` says them to people):
//!
//! - A **time of day** (minute and hour without a star) happens once for each time that the clock shows it: one that is left
//!   out in spring happens right after the gap, one that comes twice in autumn happens the first time.
//! - A **rhythm** (a star in front of the minute or hour, or every one of them) goes on in real time: through both of the hours
//!   that look alike in autumn, and over the gap in spring. If its hours are written out, what falls into the gap is made up
//!   for once right after it, so that no day is left out.

mod fields;
mod sentence;
#[cfg(test)]
mod tests;
mod words;

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

use super::Text;
use fields::Fields;

/// How far ahead a next time is looked for: a 29 February that is a Monday comes after at most 40 years.
const YEARS: i16 = 41;

/// Clocks are never moved further than this at once.
const FARTHEST_MOVE: SignedDuration = SignedDuration::from_hours(25);

/// When something happens again and again; see the module.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Recurrence {
    written: String,
    fields: Fields,
    /// Whether words named no time of day, so that a few minutes more or less do not matter.
    loose: bool,
}

/// A text that is no recurrence. Each says what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidRecurrence {
    /// Neither words nor fields.
    #[error(
        "{text:?} says no times: write it in words, like \"daily 03:00\", \"weekly monday 04:30\", \"monthly 1 05:00\", \"every 15 minutes\", \"täglich 03:00\", or as a crontab line of 5 fields (minute hour day month weekday), like \"0 3 * * *\"; this has {found} of them"
    )]
    Fields {
        /// What was written.
        text: String,
        /// How many fields it has.
        found: usize,
    },
    /// A field of a crontab line.
    #[error("{text:?} cannot be the {field} of a crontab line: {reason}")]
    Field {
        /// Which one.
        field: &'static str,
        /// What was written.
        text: String,
        /// Why not.
        reason: String,
    },
    /// Words that miss something.
    #[error("{text:?} is not complete or not understood: write it like \"{example}\"")]
    Words {
        /// What was written.
        text: String,
        /// What would do.
        example: &'static str,
    },
    /// A rhythm that does not fit into an hour or a day.
    #[error("{text:?} would stumble at the full hour or at midnight: possible are {possible}")]
    Uneven {
        /// What was written.
        text: String,
        /// Numbers that fit.
        possible: String,
    },
    /// A date that no year has.
    #[error(
        "{text:?} never happens: no month has such a day; days go up to 29 in February and to 30 in April, June, September and November"
    )]
    Never {
        /// What was written.
        text: String,
    },
}

impl FromStr for Recurrence {
    type Err = InvalidRecurrence;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const LONGEST: usize = 200;
        let written = text.split_whitespace().collect::<Vec<_>>().join(" ");
        if written.len() > LONGEST {
            return Err(InvalidRecurrence::Fields {
                text: written.chars().take(40).collect(),
                found: written.split(' ').count(),
            });
        }
        let line = words::line(&written)?;
        let fields = Fields::parse(line.as_deref().unwrap_or(&written))?;
        let recurrence = Self {
            loose: line.is_some() && fields.is_rhythm(),
            fields,
            written,
        };
        if recurrence
            .next_after(Timestamp::UNIX_EPOCH, &TimeZone::UTC)
            .is_none()
        {
            return Err(InvalidRecurrence::Never {
                text: recurrence.written,
            });
        }
        Ok(recurrence)
    }
}

impl TryFrom<String> for Recurrence {
    type Error = InvalidRecurrence;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Recurrence> for String {
    fn from(recurrence: Recurrence) -> Self {
        recurrence.written
    }
}

impl fmt::Display for Recurrence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.written)
    }
}

impl Recurrence {
    /// What it means, in a sentence: "every day at 03:00".
    pub fn sentence(&self) -> Text {
        sentence::describe(&self.fields)
    }

    /// Whether words named no time of day ("hourly"), so that a few minutes more or less do not matter.
    pub fn is_loose(&self) -> bool {
        self.loose
    }

    /// The first time after `after`; none where that would be beyond the calendar. The work is bounded, whatever is written.
    pub fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(after);
        let begin = local.checked_sub(FARTHEST_MOVE).ok()?;
        let mut date = begin.date();
        let last_year = date.year().saturating_add(YEARS);
        let mut found: Option<Timestamp> = None;
        while date.year() <= last_year {
            if !self.fields.months.has(date.month()) {
                date = next_month(date)?;
                continue;
            }
            // Later days cannot come before what was found, unless clocks are moved between them.
            if let Some(found) = found
                && date.at(0, 0, 0, 0).checked_sub(FARTHEST_MOVE).ok()? > zone.to_datetime(found)
            {
                break;
            }
            if self.fields.on(date) {
                for hour in &self.fields.hours.numbers {
                    if date.at(*hour, 59, 59, 0) < begin {
                        continue;
                    }
                    for minute in &self.fields.minutes.numbers {
                        let times = self.instants(date.at(*hour, *minute, 0, 0), zone);
                        let soonest = times.into_iter().flatten().filter(|time| *time > after);
                        found = soonest.chain(found).min();
                    }
                    // Times of one day only move apart by what clocks are moved.
                    if let Some(found) = found
                        && date.at(*hour, 0, 0, 0).checked_sub(FARTHEST_MOVE).ok()? > zone.to_datetime(found)
                    {
                        return Some(found);
                    }
                }
            }
            date = match date.tomorrow() {
                Ok(tomorrow) => tomorrow,
                Err(_) => break,
            };
        }
        found
    }

    /// The times after `after`, one after the other.
    pub fn times_after(&self, after: Timestamp, zone: &TimeZone) -> impl Iterator<Item = Timestamp> {
        std::iter::successors(self.next_after(after, zone), |last| self.next_after(*last, zone))
    }

    /// When this minute of the calendar happens in real time: usually once.
    fn instants(&self, civil: jiff::civil::DateTime, zone: &TimeZone) -> [Option<Timestamp>; 2] {
        let at = |offset: Offset| offset.to_timestamp(civil).ok();
        match zone.to_ambiguous_timestamp(civil).offset() {
            AmbiguousOffset::Unambiguous { offset } => [at(offset), None],
            AmbiguousOffset::Fold { before, after } => {
                [at(before), if self.fields.is_rhythm() { at(after) } else { None }]
            }
            // A rhythm through all hours has its next time soon enough.
            AmbiguousOffset::Gap { .. } if self.fields.hours.is_open() => [None, None],
            AmbiguousOffset::Gap { before, .. } => [at(before).and_then(|time| end_of_gap(time, zone)), None],
        }
    }
}

/// The moment at which a gap ends; `inside` is when the missing time would have been, had the clock not been moved.
fn end_of_gap(inside: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let after = inside.checked_add(1.second()).ok()?;
    zone.preceding(after).next().map(|moved| moved.timestamp())
}

fn next_month(date: Date) -> Option<Date> {
    date.first_of_month().checked_add(1.month()).ok()
}
