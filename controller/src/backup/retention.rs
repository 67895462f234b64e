//! Which backups stay, and which are forgotten: by their numbers, all parts of a backup together.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::model::{Backup, BackupId, BackupOutcome, Drill, DrillOutcome, Retention, Snapshot};

/// A backup as it is in one repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Its number.
    pub id: BackupId,
    /// When it began.
    pub at: Timestamp,
    /// Whether all of its parts are there, and nothing is missing in them.
    pub complete: bool,
    /// Whether a drill proved it.
    pub drilled: bool,
}

impl Held {
    /// The backups of which a repository holds at least a part. What is in it that no backup knows is not among them.
    pub fn in_repository(backups: &[Backup], snapshots: &[Snapshot], drills: &[Drill]) -> Vec<Self> {
        let mut parts: BTreeMap<BackupId, BTreeSet<_>> = BTreeMap::new();
        for snapshot in snapshots.iter().filter(|snapshot| snapshot.removed_at.is_none()) {
            parts.entry(snapshot.backup).or_default().insert(&snapshot.part);
        }
        let proven: BTreeSet<BackupId> = drills
            .iter()
            .filter(|drill| drill.outcome == DrillOutcome::Passed)
            .map(|drill| drill.backup)
            .collect();
        backups
            .iter()
            .filter_map(|backup| {
                let there = parts.get(&backup.id)?;
                Some(Self {
                    id: backup.id,
                    at: backup.began_at,
                    complete: backup.outcome == Some(BackupOutcome::Complete)
                        && backup.parts.iter().all(|part| there.contains(part)),
                    drilled: proven.contains(&backup.id),
                })
            })
            .collect()
    }
}

/// Why a backup stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// It is the newest that is complete.
    NewestComplete,
    /// It is the newest that a drill proved.
    NewestDrilled,
    /// It is not complete, and newer than all that are: whatever is in it is nowhere else.
    NewerThanComplete,
    /// Nothing is ever forgotten.
    All,
    /// It is one of the last.
    Last,
    /// It is the last of an hour.
    Hourly,
    /// It is the last of a day.
    Daily,
    /// It is the last of a week.
    Weekly,
    /// It is the last of a month.
    Monthly,
    /// It is the last of a year.
    Yearly,
}

/// The backups that stay, with the reasons; all others are to be forgotten.
///
/// Only complete backups count: an incomplete one never stands for a day, and takes no place away from a complete one. Hours, days
/// and so on are those that have a backup, counted from the newest, by the clocks of `zone`. Whatever the rules say, the newest
/// complete backup and the newest that a drill proved stay.
pub fn kept(held: &[Held], rules: Retention, zone: &TimeZone) -> BTreeMap<BackupId, BTreeSet<Reason>> {
    let mut kept: BTreeMap<BackupId, BTreeSet<Reason>> = BTreeMap::new();
    let mut keep = |backup: &Held, reason| {
        kept.entry(backup.id).or_default().insert(reason);
    };
    let mut newest_first: Vec<&Held> = held.iter().collect();
    newest_first.sort_by_key(|backup| std::cmp::Reverse((backup.at, backup.id)));
    let complete: Vec<&Held> = newest_first
        .iter()
        .copied()
        .filter(|backup| backup.complete)
        .collect();
    for backup in newest_first.iter().take_while(|backup| !backup.complete) {
        keep(backup, Reason::NewerThanComplete);
    }
    if let Some(backup) = complete.first() {
        keep(backup, Reason::NewestComplete);
    }
    if let Some(backup) = newest_first.iter().find(|backup| backup.drilled) {
        keep(backup, Reason::NewestDrilled);
    }
    if rules.keeps_all() {
        for backup in &newest_first {
            keep(backup, Reason::All);
        }
        return kept;
    }
    for backup in complete.iter().take(count(rules.last)) {
        keep(backup, Reason::Last);
    }
    let by_the_clock: Vec<(&Held, DateTime)> = complete
        .iter()
        .map(|backup| (*backup, backup.at.to_zoned(zone.clone()).datetime()))
        .collect();
    for (number, span, reason) in [
        (rules.hourly, hour as fn(DateTime) -> [i64; 2], Reason::Hourly),
        (rules.daily, day, Reason::Daily),
        (rules.weekly, week, Reason::Weekly),
        (rules.monthly, month, Reason::Monthly),
        (rules.yearly, year, Reason::Yearly),
    ] {
        let mut served = BTreeSet::new();
        for (backup, local) in &by_the_clock {
            if served.len() == count(number) {
                break;
            }
            if served.insert(span(*local)) {
                keep(backup, reason);
            }
        }
    }
    kept
}

fn count(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The clocks' hour: the two that bear the same name in autumn are one.
fn hour(at: DateTime) -> [i64; 2] {
    let [day, _] = day(at);
    [day, at.hour().into()]
}

fn day(at: DateTime) -> [i64; 2] {
    [i64::from(at.year()) * 1000 + i64::from(at.day_of_year()), 0]
}

fn week(at: DateTime) -> [i64; 2] {
    let week = at.date().iso_week_date();
    [week.year().into(), week.week().into()]
}

fn month(at: DateTime) -> [i64; 2] {
    [at.year().into(), at.month().into()]
}

fn year(at: DateTime) -> [i64; 2] {
    [at.year().into(), 0]
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;
    use proptest::prelude::*;

    use super::*;

    fn berlin() -> TimeZone {
        TimeZone::get("Europe/Berlin").expect("known")
    }

    fn rules(text: &str) -> Retention {
        text.parse().expect(text)
    }

    fn at(text: &str) -> Timestamp {
        let local: DateTime = text.parse().expect(text);
        local.to_zoned(berlin()).expect("a time").timestamp()
    }

    /// Complete backups at these times, numbered from 1.
    fn complete(times: &[&str]) -> Vec<Held> {
        (1..)
            .zip(times)
            .map(|(id, text)| Held {
                id,
                at: at(text),
                complete: true,
                drilled: false,
            })
            .collect()
    }

    fn ids(held: &[Held], text: &str) -> Vec<BackupId> {
        kept(held, rules(text), &berlin()).into_keys().collect()
    }

    #[test]
    fn the_last_of_each_day_stays_by_the_clocks_of_the_place() {
        // 23:30 and 00:30 in Berlin are the same day in UTC.
        let held = complete(&["2026-07-01T23:30", "2026-07-02T00:30", "2026-07-02T12:00"]);
        assert_eq!(ids(&held, "daily=2"), [1, 3]);
        let utc: Vec<_> = kept(&held, rules("daily=2"), &TimeZone::UTC)
            .into_keys()
            .collect();
        assert_eq!(utc, [2, 3]);
    }

    #[test]
    fn days_without_a_backup_are_not_counted() {
        let held = complete(&["2026-01-01T03:00", "2026-02-01T03:00", "2026-06-01T03:00"]);
        assert_eq!(ids(&held, "daily=3"), [1, 2, 3]);
        assert_eq!(ids(&held, "daily=2"), [2, 3]);
    }

    #[test]
    fn a_week_belongs_to_the_year_in_which_most_of_it_lies() {
        // Monday 2025-12-29 to Sunday 2026-01-04 are one week.
        let held = complete(&[
            "2025-12-28T03:00",
            "2025-12-29T03:00",
            "2026-01-04T03:00",
            "2026-01-05T03:00",
        ]);
        assert_eq!(ids(&held, "weekly=3"), [1, 3, 4]);
    }

    #[test]
    fn an_incomplete_backup_stands_for_no_day() {
        let mut held = complete(&[
            "2026-07-01T03:00",
            "2026-07-01T04:00",
            "2026-07-02T03:00",
            "2026-07-02T04:00",
        ]);
        held[1].complete = false;
        held[3].complete = false;
        // 4 is newer than all that is complete; 2 is not.
        assert_eq!(ids(&held, "daily=7"), [1, 3, 4]);
        assert_eq!(ids(&held, "last=1"), [3, 4]);
    }

    #[test]
    fn a_part_of_a_backup_that_is_missing_in_a_repository_makes_it_incomplete_there() {
        use crate::model::{Part, Size};
        let backup = |id, outcome| Backup {
            id,
            organisation: "kita-sonne".parse().expect("a name"),
            service: "cloud".parse().expect("a name"),
            host: "web1".parse().expect("a name"),
            job: None,
            parts: vec![Part::Files, Part::Dump("db".to_owned())],
            began_at: at("2026-07-01T03:00"),
            ended_at: None,
            outcome: Some(outcome),
            complaints: Vec::new(),
            proof: None,
            files: 0,
            bytes: Size(0),
            added_bytes: Size(0),
        };
        let snapshot = |backup, part, removed_at| Snapshot {
            backup,
            repository: "aaaa".to_owned(),
            part,
            id: "1".repeat(64),
            removed_at,
        };
        let backups = [
            backup(1, BackupOutcome::Complete),
            backup(2, BackupOutcome::Complete),
            backup(3, BackupOutcome::Incomplete),
            backup(4, BackupOutcome::Complete),
        ];
        let db = || Part::Dump("db".to_owned());
        let snapshots = [
            snapshot(1, Part::Files, None),
            snapshot(1, db(), None),
            snapshot(2, Part::Files, None),
            snapshot(2, db(), Some(at("2026-07-02T03:00"))),
            snapshot(3, Part::Files, None),
            snapshot(3, db(), None),
            // Of a backup that nobody knows.
            snapshot(9, Part::Files, None),
        ];
        let held = Held::in_repository(&backups, &snapshots, &[]);
        let complete: Vec<_> = held.iter().map(|held| (held.id, held.complete)).collect();
        assert_eq!(complete, [(1, true), (2, false), (3, false)]);
    }

    /// Backups of some years at any times, some incomplete, some proven.
    fn any_held() -> impl Strategy<Value = Vec<Held>> {
        prop::collection::vec(
            (
                0..200_000_000i64,
                prop::bool::weighted(0.8),
                prop::bool::weighted(0.1),
            ),
            0..120,
        )
        .prop_map(|all| {
            (1..)
                .zip(all)
                .map(|(id, (seconds, complete, drilled))| Held {
                    id,
                    at: Timestamp::from_second(1_700_000_000 + seconds).expect("a time"),
                    complete,
                    drilled,
                })
                .collect()
        })
    }

    fn any_rules() -> impl Strategy<Value = Retention> {
        (0..4u32, 0..30u32, 0..10u32, 0..6u32, 0..14u32, 0..4u32).prop_map(
            |(last, hourly, daily, weekly, monthly, yearly)| Retention {
                last,
                hourly,
                daily,
                weekly,
                monthly,
                yearly,
            },
        )
    }

    proptest! {
        #[test]
        fn the_newest_complete_and_the_newest_proven_backup_always_stay(held in any_held(), rules in any_rules()) {
            let kept = kept(&held, rules, &berlin());
            let newest = |wanted: fn(&Held) -> bool| {
                held.iter().filter(|backup| wanted(backup)).max_by_key(|backup| (backup.at, backup.id))
            };
            for backup in [newest(|backup| backup.complete), newest(|backup| backup.drilled)].into_iter().flatten() {
                prop_assert!(kept.contains_key(&backup.id));
            }
        }

        #[test]
        fn no_more_stay_than_the_rules_say(held in any_held(), rules in any_rules()) {
            prop_assume!(!rules.keeps_all());
            let kept = kept(&held, rules, &berlin());
            for (reason, number) in [
                (Reason::Last, rules.last),
                (Reason::Hourly, rules.hourly),
                (Reason::Daily, rules.daily),
                (Reason::Weekly, rules.weekly),
                (Reason::Monthly, rules.monthly),
                (Reason::Yearly, rules.yearly),
            ] {
                let number = usize::try_from(number).expect("small");
                let complete = held.iter().filter(|backup| backup.complete).count();
                let served = kept.values().filter(|reasons| reasons.contains(&reason)).count();
                prop_assert!(served <= number);
                if reason == Reason::Last {
                    prop_assert_eq!(served, number.min(complete));
                }
            }
            prop_assert!(kept.values().all(|reasons| !reasons.is_empty()));
        }

        #[test]
        fn what_is_incomplete_takes_no_place_from_what_is_complete(held in any_held(), rules in any_rules()) {
            prop_assume!(!rules.keeps_all());
            let complete: Vec<Held> = held.iter().copied().filter(|backup| backup.complete).collect();
            let among_all = kept(&held, rules, &berlin());
            // Which one is the newest proven may be an incomplete one.
            let alone: Vec<Held> = complete.iter().map(|backup| Held { drilled: false, ..*backup }).collect();
            for id in kept(&alone, rules, &berlin()).keys() {
                prop_assert!(among_all.contains_key(id));
            }
        }

        #[test]
        fn forgetting_twice_forgets_nothing_more(held in any_held(), rules in any_rules()) {
            let first = kept(&held, rules, &berlin());
            let left: Vec<Held> = held.iter().copied().filter(|backup| first.contains_key(&backup.id)).collect();
            prop_assert_eq!(kept(&left, rules, &berlin()), first);
        }

        #[test]
        fn the_order_of_the_list_makes_no_difference(held in any_held(), rules in any_rules()) {
            let reversed: Vec<Held> = held.iter().rev().copied().collect();
            prop_assert_eq!(kept(&held, rules, &berlin()), kept(&reversed, rules, &berlin()));
        }

    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(16))]

        #[test]
        fn forgetting_day_by_day_leaves_what_forgetting_at_the_end_does(rules in any_rules()) {
            prop_assume!(!rules.keeps_all());
            let start = at("2025-01-01T03:00");
            let all: Vec<Held> = (0..730i64)
                .map(|day| Held { id: day + 1, at: start + SignedDuration::from_hours(24 * day), complete: true, drilled: false })
                .collect();
            let mut there: Vec<Held> = Vec::new();
            for backup in &all {
                there.push(*backup);
                let staying = kept(&there, rules, &berlin());
                there.retain(|backup| staying.contains_key(&backup.id));
            }
            let day_by_day: Vec<_> = there.iter().map(|backup| backup.id).collect();
            let at_the_end: Vec<_> = kept(&all, rules, &berlin()).into_keys().collect();
            prop_assert_eq!(day_by_day, at_the_end);
        }
    }
}
