//! What keep-rules would leave of the backups of a year.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::retention::{Held, Reason, kept};
use crate::model::{Recurrence, Retention};

/// A backup that would have been made.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Simulated {
    /// When.
    pub at: Timestamp,
    /// Why it would still be there; empty if it were forgotten.
    pub reasons: BTreeSet<Reason>,
}

/// The backups that would have been made at these times from `from` until `until`, the oldest first, and which of them would
/// still be there at the end.
pub fn simulate(
    rules: Retention,
    every: &Recurrence,
    (from, until): (Timestamp, Timestamp),
    zone: &TimeZone,
) -> Vec<Simulated> {
    let made: Vec<Held> = every
        .times_after(from, zone)
        .take_while(|at| *at <= until)
        .zip(1..)
        .map(|(at, id)| Held {
            id,
            at,
            complete: true,
            drilled: false,
        })
        .collect();
    let mut staying = kept(&made, rules, zone);
    made.into_iter()
        .map(|backup| Simulated {
            at: backup.at,
            reasons: staying.remove(&backup.id).unwrap_or_default(),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_year_of_nights_leaves_what_the_rules_say() {
        let zone = TimeZone::get("Europe/Berlin").expect("known");
        let time = |text: &str| text.parse::<Timestamp>().expect(text);
        let year = (time("2025-12-01T12:00:00Z"), time("2026-12-01T12:00:00Z"));
        let every: Recurrence = "daily 03:00".parse().expect("a recurrence");
        let made = simulate(Retention::USUAL, &every, year, &zone);
        assert_eq!(made.len(), 365);
        let staying: Vec<_> = made.iter().filter(|backup| !backup.reasons.is_empty()).collect();
        // Seven days, with a Sunday and the last of November among them; three more Sundays; ten more months; a year.
        assert_eq!(staying.len(), 21);
        let count = |reason| {
            staying
                .iter()
                .filter(|backup| backup.reasons.contains(&reason))
                .count()
        };
        assert_eq!(count(Reason::Daily), 7);
        assert_eq!(count(Reason::Weekly), 5);
        assert_eq!(count(Reason::Monthly), 12);
        assert_eq!(count(Reason::Yearly), 2);
    }
}
