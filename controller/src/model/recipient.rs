//! People who are told, when they want their peace, and the rules by which they are told.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::civil::Time;
use jiff::tz::{Disambiguation, TimeZone};
use serde::{Deserialize, Serialize};

use super::{ChannelKind, Language, Name, Status, Zone};

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recipient {
    /// Short name, unique: `anna`.
    pub name: Name,
    /// The name that people use: "Anna Muster".
    pub title: String,
    /// The language of what they get.
    pub language: Language,
    /// Where mail goes.
    pub mail: Option<String>,
    /// The topic that they follow at an ntfy server.
    pub ntfy: Option<String>,
    /// The Matrix room that they read: `!abc:example.org`.
    pub matrix: Option<String>,
    /// When they want their peace from what can wait.
    pub quiet: Option<QuietHours>,
    /// Where their clock is.
    pub zone: Zone,
    /// Whether they are told when the controller was away.
    pub second: bool,
}

/// Hours of every day, from the first to before the second: `22:00-07:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct QuietHours {
    from: Time,
    until: Time,
}

/// Who is told of what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Its number, counted up from 1.
    pub id: i64,
    /// Of which organisation; none for all, and for what belongs to none.
    pub organisation: Option<Name>,
    /// Who.
    pub person: Name,
    /// By which channel.
    pub channel: Name,
    /// From which severity on.
    pub from: Threshold,
    /// Seconds that something must last before it is told.
    pub delay: i64,
    /// Seconds after which it is told again while nobody took it on; none for never.
    pub remind: Option<i64>,
    /// Whether the weekly digest comes, too.
    pub digest: bool,
}

/// From which severity on somebody is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Threshold {
    /// Everything
    Warning,
    /// Only what somebody has to do something about now
    Critical,
    /// Nothing; only the weekly digest, if that is asked for
    Nothing,
}

impl Recipient {
    /// Where a channel of this kind reaches them; nothing for web hooks, which know where they go.
    pub fn address(&self, kind: ChannelKind) -> Option<&str> {
        match kind {
            ChannelKind::Mail => self.mail.as_deref(),
            ChannelKind::Ntfy => self.ntfy.as_deref(),
            ChannelKind::Matrix => self.matrix.as_deref(),
            ChannelKind::Webhook => None,
        }
    }

    /// Whether a channel of this kind reaches them.
    pub fn is_reached_by(&self, kind: ChannelKind) -> bool {
        kind == ChannelKind::Webhook || self.address(kind).is_some()
    }

    /// When something of this severity may be told that could be told at `at`.
    pub fn may_be_told(&self, severity: Status, at: Timestamp) -> Timestamp {
        if severity == Status::Critical {
            return at;
        }
        self.quiet
            .and_then(|quiet| quiet.end(at, self.zone.rules()))
            .unwrap_or(at)
    }
}

impl Threshold {
    /// Whether something of this severity is told. What cannot be told how it is, counts like a warning.
    pub fn lets_through(self, severity: Status) -> bool {
        match self {
            Self::Warning => severity != Status::Ok,
            Self::Critical => severity == Status::Critical,
            Self::Nothing => false,
        }
    }
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Nothing => "nothing",
        })
    }
}

impl QuietHours {
    /// When they end, if it is quiet at `at`. Where a clock change lets the hour of the end come twice, it is the second one.
    pub fn end(&self, at: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let local = zone.to_datetime(at);
        let time = local.time();
        let (quiet, date) = if self.from < self.until {
            (self.from <= time && time < self.until, Some(local.date()))
        } else if time >= self.from {
            (true, local.date().tomorrow().ok())
        } else {
            (time < self.until, Some(local.date()))
        };
        let end = date?.to_datetime(self.until);
        let end = zone
            .to_ambiguous_zoned(end)
            .disambiguate(Disambiguation::Later)
            .ok()?
            .timestamp();
        (quiet && end > at).then_some(end)
    }
}

impl FromStr for QuietHours {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || format!("{text:?} are no quiet hours: write them like 22:00-07:00");
        let time = |text: &str| {
            let (hour, minute) = text.trim().split_once(':').unwrap_or((text.trim(), "0"));
            Time::new(hour.parse().ok()?, minute.parse().ok()?, 0, 0).ok()
        };
        let (from, until) = text.split_once('-').ok_or_else(refuse)?;
        let (from, until) = time(from).zip(time(until)).ok_or_else(refuse)?;
        if from == until {
            return Err(refuse());
        }
        Ok(Self { from, until })
    }
}

impl TryFrom<String> for QuietHours {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<QuietHours> for String {
    fn from(quiet: QuietHours) -> Self {
        quiet.to_string()
    }
}

impl fmt::Display for QuietHours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (from, until) = (self.from, self.until);
        f.pad(&format!(
            "{:02}:{:02}-{:02}:{:02}",
            from.hour(),
            from.minute(),
            until.hour(),
            until.minute()
        ))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    #[test]
    fn a_night_of_peace_ends_in_the_morning_of_its_zone() {
        let quiet: QuietHours = "22:00-07:00".parse().expect("quiet hours");
        let berlin = Zone::default();
        let end = |text: &str| quiet.end(at(text), berlin.rules());
        assert_eq!(end("2026-11-22T22:30:00Z"), Some(at("2026-11-23T06:00:00Z")));
        assert_eq!(end("2026-11-23T05:59:59Z"), Some(at("2026-11-23T06:00:00Z")));
        assert_eq!(end("2026-11-23T06:00:00Z"), None);
        assert_eq!(end("2026-07-01T20:00:00Z"), Some(at("2026-07-02T05:00:00Z")));
        assert_eq!(end("2026-07-01T19:59:00Z"), None);
    }

    #[test]
    fn what_are_no_quiet_hours_is_refused() {
        for bad in [
            "",
            "22:00",
            "22:00-22:00",
            "25:00-07:00",
            "22-7-8",
            "a-b",
            "22:60-07:00",
        ] {
            assert!(bad.parse::<QuietHours>().is_err(), "{bad}");
        }
        assert_eq!(
            "22-7".parse::<QuietHours>().expect("short").to_string(),
            "22:00-07:00"
        );
        assert!("Europe/Kiel".parse::<Zone>().is_err());
    }

    proptest! {
        #[test]
        fn quiet_hours_end_later_within_a_day_and_then_it_is_not_quiet(
            from in 0i8..24, until in 0i8..24, minute in 0i8..60, seconds in 0i64..63_072_000,
        ) {
            prop_assume!(from != until);
            let quiet = QuietHours {
                from: Time::constant(from, 0, 0, 0),
                until: Time::new(until, minute, 0, 0).expect("a time"),
            };
            prop_assume!(quiet.from != quiet.until);
            let zone = Zone::default();
            // Two years with their clock changes.
            let now = Timestamp::from_second(1_767_225_600 + seconds).expect("a time");
            if let Some(end) = quiet.end(now, zone.rules()) {
                prop_assert!(end > now);
                prop_assert!(end.as_second() - now.as_second() <= 26 * 3600);
                prop_assert_eq!(quiet.end(end, zone.rules()), None);
            }
        }
    }
}
