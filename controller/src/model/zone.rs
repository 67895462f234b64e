//! Time zones.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

/// A time zone, by the name that the tz database has for it: `Europe/Berlin`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    name: String,
    rules: TimeZone,
}

/// A text that names no time zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no time zone that this machine knows: write one like Europe/Berlin, Europe/Lisbon or UTC; the list is in /usr/share/zoneinfo, which comes with the package tzdata"
)]
pub struct UnknownZone(String);

impl Zone {
    /// The zone of those for whom Allmende was made.
    pub const DEFAULT: &'static str = "Europe/Berlin";

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.name
    }

    /// Its rules.
    pub fn rules(&self) -> &TimeZone {
        &self.rules
    }

    /// A time as its clocks show it, with the weekday, and the offset that tells the two hours of autumn apart.
    pub fn show(&self, at: Timestamp) -> String {
        at.to_zoned(self.rules.clone())
            .strftime("%a %Y-%m-%d %H:%M:%S %Z")
            .to_string()
    }
}

impl FromStr for Zone {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rules = TimeZone::get(text).map_err(|_| UnknownZone(text.to_owned()))?;
        // "europe/berlin" is found too; it is kept as it is called.
        let name = rules.iana_name().unwrap_or(text).to_owned();
        Ok(Self { name, rules })
    }
}

impl TryFrom<String> for Zone {
    type Error = UnknownZone;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name
    }
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name)
    }
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(f)
    }
}

impl Default for Zone {
    fn default() -> Self {
        // Zones are compiled in; should this one be missing, UTC is the next best.
        Self::DEFAULT.parse().unwrap_or_else(|_| Self {
            name: "UTC".to_owned(),
            rules: TimeZone::UTC,
        })
    }
}
