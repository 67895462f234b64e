//! Times as authors write them: how long, and at what time of day.

use std::fmt;
use std::str::FromStr;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How long: `90s`, `5m`, `26h`, `7d`. Programs get it in seconds, and may give it so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span {
    /// Its length.
    pub seconds: u64,
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let units = [('s', 1), ('m', 60), ('h', 3600), ('d', 86400)];
        units
            .into_iter()
            .find_map(|(unit, length)| {
                let number: u64 = text.strip_suffix(unit)?.parse().ok()?;
                number.checked_mul(length)
            })
            .filter(|seconds| *seconds > 0)
            .map(|seconds| Self { seconds })
            .ok_or_else(|| format!("{text:?} is no length of time: expected one like 90s, 5m, 26h or 7d"))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Seconds(u64),
            Words(String),
        }
        match Written::deserialize(deserializer) {
            Ok(Written::Seconds(0)) => Err(D::Error::custom("a length of time is at least a second")),
            Ok(Written::Seconds(seconds)) => Ok(Self { seconds }),
            Ok(Written::Words(words)) => words.parse().map_err(D::Error::custom),
            Err(_) => Err(D::Error::custom(
                "expected a length of time like 90s, 5m, 26h or 7d",
            )),
        }
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.seconds)
    }
}

/// Once a day at this time of the host: `daily 02:30`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DailyTime {
    /// The time of day.
    pub at: jiff::civil::Time,
}

impl FromStr for DailyTime {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.strip_prefix("daily ")
            .and_then(|time| jiff::civil::Time::strptime("%H:%M", time).ok())
            .map(|at| Self { at })
            .ok_or_else(|| format!("{text:?} is no time: expected one like \"daily 02:30\""))
    }
}

impl fmt::Display for DailyTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "daily {}", self.at.strftime("%H:%M"))
    }
}

impl<'de> Deserialize<'de> for DailyTime {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

impl Serialize for DailyTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_number_and_one_unit() {
        for (text, seconds) in [("90s", 90), ("5m", 300), ("26h", 93600), ("7d", 604_800)] {
            assert_eq!(text.parse(), Ok(Span { seconds }));
        }
        for bad in [
            "",
            "5",
            "m",
            "0m",
            "-5m",
            "5 m",
            "1h30m",
            "99999999999999999999d",
            "9999999999999999999d",
        ] {
            assert!(bad.parse::<Span>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn what_is_written_for_programs_can_be_read_again() {
        for text in ["90s", "5m", "26h", "7d"] {
            let span: Span = text.parse().expect(text);
            let written = serde_json::to_string(&span).expect("is written");
            assert_eq!(serde_json::from_str::<Span>(&written).expect("is read"), span);
        }
        for bad in ["0", "-5", "1.5", "true", "\"5\"", "[]"] {
            assert!(serde_json::from_str::<Span>(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_daily_time_is_a_time_of_day() {
        let text = "daily 02:30".parse::<DailyTime>().map(|time| time.to_string());
        assert_eq!(text.as_deref(), Ok("daily 02:30"));
        for bad in ["02:30", "daily", "daily 24:10", "daily 2", "weekly 02:30"] {
            assert!(bad.parse::<DailyTime>().is_err(), "{bad:?}");
        }
    }
}
