//! What several pages say in the same words.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::style::Style;
use crate::model::{HostLock, Incident, Status};

/// A sign and a word: never colour alone.
pub fn sign(status: Status, style: Style) -> String {
    match status {
        Status::Ok => style.green("✓ ok"),
        Status::Unknown => style.yellow("? unknown"),
        Status::Warning => style.yellow("! warning"),
        Status::Critical => style.red("✗ critical"),
    }
}

/// How an incident stands, in a sign and a word.
pub fn standing(incident: &Incident, style: Style) -> String {
    match incident.recovered_at {
        Some(_) => sign(Status::Ok, style).replace("ok", "over"),
        None => sign(incident.severity, style),
    }
}

/// A length of time in two words at most: `3 h 20 min`.
pub fn length(time: SignedDuration) -> String {
    let minutes = time.as_mins().max(0);
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => format!("{} s", time.as_secs().max(0)),
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A time as people here read it.
pub fn local_time(at: Timestamp) -> String {
    time_in(&TimeZone::system(), at)
}

/// A time by the clocks of a zone.
pub fn time_in(zone: &TimeZone, at: Timestamp) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Who locked a host, since when and why.
pub fn locked(lock: &HostLock) -> String {
    format!("by {} since {}: {}", lock.by, local_time(lock.since), lock.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_short() {
        for (seconds, shown) in [
            (5, "5 s"),
            (65, "1 min"),
            (12_000, "3 h 20 min"),
            (100_000, "1 d 3 h"),
            (-5, "0 s"),
        ] {
            assert_eq!(length(SignedDuration::from_secs(seconds)), shown);
        }
    }
}
