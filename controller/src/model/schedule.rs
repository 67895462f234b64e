//! Schedules: what is asked for again and again, and when.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Name, Recurrence, Zone};

/// An operation that is asked for at certain times.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, unique among all schedules.
    pub name: Name,
    /// The organisation that it belongs to; none where it is Allmende's own.
    pub organisation: Option<Name>,
    /// The operation's name: `host.apply`.
    pub operation: String,
    /// The operation's parameters, without secrets.
    pub parameters: serde_json::Value,
    /// When.
    pub recurrence: Recurrence,
    /// Whose clock.
    pub zone: Zone,
    /// At most so many seconds later; see [`Schedule::jitter`].
    pub jitter_seconds: i64,
    /// Set while it rests.
    pub paused: Option<Pause>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
}

/// That a schedule rests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// Who said so.
    pub by: String,
    /// Since when.
    pub since: Timestamp,
    /// Why.
    pub reason: String,
}

/// A time that has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// The first time that was not served yet.
    pub first: Timestamp,
    /// The last one that has come: the one that is served, for all of them.
    pub at: Timestamp,
    /// How many before it were missed; never more than [`Due::COUNTED`].
    pub missed: usize,
}

impl Due {
    /// Missed times are not counted any further: it makes no difference to anybody.
    pub const COUNTED: usize = 1000;
}

/// The later start of a schedule, in whole seconds below `bound`: different for each schedule, always the same for one, on
/// every controller. It is made from the schedule's name and the moment at which it was made, so that the schedules of many
/// installations do not all start in the same second.
fn jitter(name: &Name, created_at: Timestamp, bound: i64) -> SignedDuration {
    let identity = format!("schedule {name} {}", created_at.as_millisecond());
    let hash = Sha256::digest(identity.as_bytes());
    let number = hash
        .iter()
        .take(8)
        .fold(0u64, |number, byte| number << 8 | u64::from(*byte));
    let bound = u64::try_from(bound).unwrap_or(0).max(1);
    SignedDuration::from_secs(i64::try_from(number % bound).unwrap_or(0))
}

impl Schedule {
    /// How much later than its times it starts: less than its bound, always the same, the same on every controller.
    pub fn jitter(&self) -> SignedDuration {
        jitter(&self.name, self.created_at, self.jitter_seconds)
    }

    /// The times after `after`, as written: a start comes [`Schedule::jitter`] later.
    pub fn times_after(&self, after: Timestamp) -> impl Iterator<Item = Timestamp> {
        self.recurrence.times_after(after, self.zone.rules())
    }

    /// What is to be served, when all times up to `anchor` were: however many have come, the last of them once.
    pub fn due(&self, anchor: Timestamp, now: Timestamp) -> Option<Due> {
        let until = now.checked_sub(self.jitter()).ok()?;
        let first = self.next_after(anchor).filter(|first| *first <= until)?;
        let times: Vec<Timestamp> = self
            .times_after(anchor)
            .take_while(|time| *time <= until)
            .take(Due::COUNTED + 1)
            .collect();
        let at = if times.len() > Due::COUNTED {
            self.last_until(until)
        } else {
            times.last().copied()
        };
        Some(Due {
            first,
            at: at.unwrap_or(first).max(first),
            missed: times.len().saturating_sub(1),
        })
    }

    fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        self.recurrence.next_after(after, self.zone.rules())
    }

    /// The last time until `until`, looked for in ever longer stretches: what comes often is found in a short one.
    fn last_until(&self, until: Timestamp) -> Option<Timestamp> {
        (0..20).find_map(|doubled| {
            let stretch = SignedDuration::from_hours(1 << doubled);
            self.times_after(until.checked_sub(stretch).ok()?)
                .take_while(|time| *time <= until)
                .last()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time(text: &str) -> Timestamp {
        text.parse().expect(text)
    }

    fn schedule(recurrence: &str, jitter_seconds: i64) -> Schedule {
        Schedule {
            name: "nightly".parse().expect("a name"),
            organisation: None,
            operation: "host.apply".to_owned(),
            parameters: serde_json::Value::Null,
            recurrence: recurrence.parse().expect(recurrence),
            zone: "Europe/Berlin".parse().expect("a zone"),
            jitter_seconds,
            paused: None,
            created_by: "anna".to_owned(),
            created_at: time("2026-01-01T00:00:00Z"),
        }
    }

    #[test]
    fn a_jitter_is_always_the_same_and_below_its_bound() {
        let made = time("2026-01-01T00:00:00Z");
        let spread: std::collections::BTreeSet<SignedDuration> = (0..50)
            .map(|number| {
                let name: Name = format!("schedule-{number}").parse().expect("a name");
                assert_eq!(jitter(&name, made, 0), SignedDuration::ZERO);
                let later = jitter(&name, made, 600);
                assert_eq!(later, jitter(&name, made, 600));
                assert!(later < SignedDuration::from_secs(600));
                later
            })
            .collect();
        assert!(spread.len() > 40, "they do not start together: {spread:?}");
        // Another machine must come to the same.
        assert_eq!(
            jitter(&"nightly".parse().expect("a name"), made, 600).as_secs(),
            61
        );
    }

    #[test]
    fn however_many_times_were_missed_the_last_is_served_once() {
        let hourly = schedule("0 * * * *", 0);
        let anchor = time("2026-11-01T00:00:00Z");
        assert_eq!(hourly.due(anchor, time("2026-11-01T00:59:59Z")), None);
        let due = |now| hourly.due(anchor, time(now)).expect("due");
        assert_eq!(
            (due("2026-11-01T01:00:00Z").missed, due("2026-11-01T01:00:00Z").at),
            (0, time("2026-11-01T01:00:00Z"))
        );
        let late = due("2026-11-01T05:10:00Z");
        assert_eq!(
            (late.first, late.at, late.missed),
            (time("2026-11-01T01:00:00Z"), time("2026-11-01T05:00:00Z"), 4)
        );
    }

    #[test]
    fn years_of_missed_minutes_are_counted_only_so_far() {
        let due = schedule("* * * * *", 0)
            .due(time("2020-01-01T00:00:00Z"), time("2026-11-01T05:10:30Z"))
            .expect("due");
        assert_eq!((due.at, due.missed), (time("2026-11-01T05:10:00Z"), Due::COUNTED));
    }

    #[test]
    fn a_start_waits_for_its_jitter() {
        let daily = schedule("0 3 * * *", 600);
        let anchor = time("2026-11-01T12:00:00Z");
        let due = time("2026-11-02T02:00:00Z");
        let start = due + daily.jitter();
        assert!(daily.jitter() > SignedDuration::ZERO);
        assert_eq!(daily.due(anchor, start - SignedDuration::from_secs(1)), None);
        assert_eq!(daily.due(anchor, start).expect("due").at, due);
    }

    #[test]
    fn a_zone_is_one_that_exists() {
        assert_eq!(
            "europe/berlin".parse::<Zone>().expect("found").as_str(),
            "Europe/Berlin"
        );
        let error = "Berlin".parse::<Zone>().expect_err("none").to_string();
        assert!(error.contains("Europe/Berlin"), "{error}");
    }
}
