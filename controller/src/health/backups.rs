//! What is asked of backups: facts about a service's backups and about a target come in, answers go out. Missing is worse than failing:
//! what was never made has nobody to say so.

use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use super::inside::Point;
use super::inside::reached_on;
use super::say;
use crate::model::{Answer, Figure, Name, Size, Status};

const DAY: Duration = Duration::from_secs(86_400);

/// A drill, or a look at whether the data are whole, that is older than this needs somebody soon, and now.
const OLD_PROOF: (Duration, Duration) = (Duration::from_secs(15 * 86_400), Duration::from_secs(43 * 86_400));

/// Nothing is written into the last tenth of a disk.
const RESERVE: u64 = 10;

/// Below this share of room that may still be written into, a target needs somebody soon; percent.
const LITTLE: u64 = 5;

/// A target that will be full within these days needs somebody soon, and now.
const FULL_SOON: (i64, i64) = (30, 7);

/// How old something is in a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Age<'a> {
    /// Where it is.
    pub target: &'a Name,
    /// How long ago; none when there is none.
    pub age: Option<Duration>,
}

/// What a disk looks like to whoever wants to write to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// What is free.
    pub free: Size,
    /// All of it.
    pub total: Size,
}

/// How old the newest complete backup is in each target. `rhythm` is how often one is made, `waiting` how long there could have
/// been one.
pub fn newest_backup(ages: &[Age<'_>], rhythm: Duration, waiting: Duration) -> Answer {
    let late = (rhythm + rhythm / 2, rhythm * 3);
    // A service without a target is told of by itself.
    let Some(oldest) = oldest(ages, waiting) else {
        return homeless(&[]);
    };
    let lasts = oldest.age.unwrap_or(waiting);
    let status = above(lasts, late);
    let values = json!({ "target": oldest.target.as_str(), "hours": hours(lasts) });
    let key = match (oldest.age, status) {
        (None, Status::Ok) => "backups.first_to_come",
        (None, _) => "backups.none",
        (Some(_), _) => "backups.newest",
    };
    let mut answer = answer(
        status,
        key,
        &values,
        Some(("backups.newest_advice", values.clone())),
    );
    answer.figure = figure(hours(lasts), "h");
    answer
}

/// The last drill: how long ago one passed, and whether the newest failed. `waiting` is how long there has been something to try.
pub fn drill(passed: Option<Duration>, failed: bool, waiting: Duration) -> Answer {
    if failed {
        return answer(
            Status::Critical,
            "backups.drill_failed",
            (),
            Some(("backups.drill_failed_advice", json!({}))),
        );
    }
    proof("drill", passed, waiting)
}

/// Whether the data in the targets are whole, and how long ago somebody looked.
pub fn integrity(damaged: Option<(&Name, &str)>, ages: &[Age<'_>], waiting: Duration) -> Answer {
    if let Some((target, damage)) = damaged {
        let values = json!({ "target": target.as_str(), "damage": damage });
        return answer(
            Status::Critical,
            "backups.damaged",
            &values,
            Some(("backups.damaged_advice", values.clone())),
        );
    }
    let checked = oldest(ages, waiting).and_then(|oldest| oldest.age);
    proof("integrity", checked, waiting)
}

fn proof(what: &str, age: Option<Duration>, waiting: Duration) -> Answer {
    let lasts = age.unwrap_or(waiting);
    let status = above(lasts, OLD_PROOF);
    let days = lasts.as_secs() / DAY.as_secs();
    let key = match age {
        Some(_) => format!("backups.{what}"),
        None => format!("backups.no_{what}"),
    };
    let advice = format!("backups.{what}_advice");
    let mut answer = answer(status, &key, json!({ "days": days }), Some((&advice, json!({}))));
    answer.figure = figure(days, "d");
    answer
}

/// Snapshots in a service's repositories that Allmende did not make, by target.
pub fn strangers(found: &[(&Name, usize)]) -> Answer {
    match found.iter().find(|(_, count)| *count > 0) {
        None => answer(Status::Ok, "backups.no_strangers", (), None),
        Some((target, count)) => {
            let values = json!({ "target": target.as_str(), "count": count });
            answer(
                Status::Warning,
                "backups.strangers",
                &values,
                Some(("backups.strangers_advice", values.clone())),
            )
        }
    }
}

/// Services that have something to keep and no target that serves them.
pub fn homeless(services: &[String]) -> Answer {
    let Some(first) = services.first() else {
        return answer(Status::Ok, "backups.all_at_home", (), None);
    };
    let values = json!({ "service": first, "count": services.len() });
    answer(
        Status::Warning,
        "backups.homeless",
        &values,
        Some(("backups.homeless_advice", json!({}))),
    )
}

/// A target: whether it is there, what room it has, and when it will be full. `room` is none where nobody can tell, `history` what
/// all repositories took on earlier days.
pub fn target(
    missing: Option<&str>,
    room: Option<Room>,
    used: Size,
    quota: Option<Size>,
    history: &[Point],
) -> Answer {
    if let Some(reason) = missing {
        let values = json!({ "reason": reason });
        return answer(
            Status::Critical,
            "backups.target_missing",
            &values,
            Some(("backups.target_missing_advice", json!({}))),
        );
    }
    // What is smaller of the disk and the quota.
    let left = room.map(|room| (room.free.0.saturating_sub(room.total.0 / RESERVE), room.total.0));
    let allowed = quota.map(|quota| (quota.0.saturating_sub(used.0), quota.0));
    let Some((left, whole)) = left.into_iter().chain(allowed).min() else {
        return answer(
            Status::Ok,
            "backups.target_endless",
            json!({ "used": used.to_string() }),
            None,
        );
    };
    let now = history.last().map(|point| point.at);
    let full = reached_on(history, used.0 as f64 + left as f64);
    let days = full
        .zip(now)
        .map(|(full, now)| full.duration_since(now).as_hours() / 24);
    let by_room = match left.saturating_mul(100).checked_div(whole).unwrap_or(0) {
        _ if left == 0 => Status::Critical,
        0..LITTLE => Status::Warning,
        _ => Status::Ok,
    };
    let by_day = match days {
        Some(days) if days < FULL_SOON.1 => Status::Critical,
        Some(days) if days < FULL_SOON.0 => Status::Warning,
        _ => Status::Ok,
    };
    let status = by_room.max(by_day);
    let values = json!({
        "used": used.to_string(),
        "left": Size(left).to_string(),
        "day": full.map(|full| full.to_zoned(TimeZone::UTC).date().to_string()),
        "days": days,
    });
    let mut answer = answer(
        status,
        "backups.target",
        &values,
        Some(("backups.target_advice", json!({}))),
    );
    answer.figure = figure(left / 1_000_000, "MB");
    answer
}

/// What is oldest of these; what is not there is as old as it could be.
fn oldest<'a>(ages: &'a [Age<'a>], waiting: Duration) -> Option<&'a Age<'a>> {
    ages.iter()
        .max_by_key(|age| (age.age.is_none(), age.age.unwrap_or(waiting)))
}

fn hours(lasts: Duration) -> u64 {
    lasts.as_secs() / 3600
}

fn figure(value: u64, unit: &str) -> Option<Figure> {
    Some(Figure {
        value: value as f64,
        unit: unit.to_owned(),
    })
}

/// What is said, and, unless all is well, what to do.
fn answer(
    status: Status,
    key: &str,
    values: impl serde::Serialize,
    advice: Option<(&str, serde_json::Value)>,
) -> Answer {
    Answer {
        status,
        figure: None,
        sentence: say(key, values),
        advice: advice
            .filter(|_| status != Status::Ok)
            .map(|(key, values)| say(key, values)),
    }
}

fn above(value: Duration, (warning, critical): (Duration, Duration)) -> Status {
    if value > critical {
        Status::Critical
    } else if value > warning {
        Status::Warning
    } else {
        Status::Ok
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn days(days: u64) -> Duration {
        DAY * u32::try_from(days).expect("few")
    }

    fn name(text: &str) -> Name {
        text.parse().expect(text)
    }

    #[test]
    fn a_missing_backup_is_told_and_the_target_that_lacks_it_longest_is_named() {
        let (home, away) = (name("home"), name("away"));
        let status = |home_age: Option<Duration>, away_age: Option<Duration>| {
            let ages = [(&home, home_age), (&away, away_age)].map(|(target, age)| Age { target, age });
            newest_backup(&ages, DAY, days(9))
        };
        assert_eq!(status(Some(days(1)), Some(days(1))).status, Status::Ok);
        let old = status(Some(days(1)), Some(days(2)));
        assert_eq!(old.status, Status::Warning);
        assert!(old.sentence.en.contains("in away is 48 hours old"), "{old:?}");
        assert!(old.advice.expect("advice").de.contains("allmende backup run"));
        assert_eq!(status(Some(days(4)), Some(days(1))).status, Status::Critical);
        let none = status(None, Some(days(5)));
        assert_eq!(none.status, Status::Critical);
        assert!(none.sentence.de.contains("In home gibt es kein"), "{none:?}");
        let young = [Age {
            target: &home,
            age: None,
        }];
        let young = newest_backup(&young, DAY, Duration::from_secs(7200));
        assert_eq!(young.status, Status::Ok);
        assert!(young.sentence.en.contains("no backup in home yet"), "{young:?}");
    }

    #[test]
    fn a_drill_that_failed_and_one_that_nobody_makes_are_told() {
        assert_eq!(drill(Some(days(7)), false, days(90)).status, Status::Ok);
        assert_eq!(drill(Some(days(16)), false, days(90)).status, Status::Warning);
        assert_eq!(drill(Some(days(1)), true, days(90)).status, Status::Critical);
        assert_eq!(drill(None, false, days(3)).status, Status::Ok);
        let never = drill(None, false, days(50));
        assert_eq!(never.status, Status::Critical);
        assert!(never.sentence.en.contains("never been tried"), "{never:?}");
    }

    #[test]
    fn damage_and_strangers_are_told_with_their_place() {
        let home = name("home");
        let whole = [Age {
            target: &home,
            age: Some(days(3)),
        }];
        assert_eq!(integrity(None, &whole, days(50)).status, Status::Ok);
        let unseen = [Age {
            target: &home,
            age: None,
        }];
        assert_eq!(integrity(None, &unseen, days(20)).status, Status::Warning);
        let damaged = integrity(Some((&home, "a pack is missing")), &whole, days(50));
        assert_eq!(damaged.status, Status::Critical);
        assert!(
            damaged
                .sentence
                .de
                .contains("home sind beschädigt: a pack is missing"),
            "{damaged:?}"
        );
        assert_eq!(strangers(&[(&home, 0)]).status, Status::Ok);
        let strange = strangers(&[(&home, 2)]);
        assert_eq!(strange.status, Status::Warning);
        assert!(
            strange.sentence.en.contains("There are 2 backups in home"),
            "{strange:?}"
        );
        let homeless = homeless(&["kita/wiki".to_owned(), "kita/cloud".to_owned()]);
        assert!(
            homeless.sentence.en.contains("kita/wiki and 1 more services"),
            "{homeless:?}"
        );
    }

    #[test]
    fn a_target_says_what_may_be_added_and_when_it_is_full() {
        let gb = |number: u64| Size(number * 1_000_000_000);
        let room = |free| {
            Some(Room {
                free: gb(free),
                total: gb(100),
            })
        };
        assert_eq!(target(None, room(50), gb(40), None, &[]).status, Status::Ok);
        // The last tenth is not for backups.
        assert_eq!(target(None, room(14), gb(40), None, &[]).status, Status::Warning);
        assert_eq!(target(None, room(10), gb(40), None, &[]).status, Status::Critical);
        let quota = target(None, room(90), gb(40), Some(gb(41)), &[]);
        assert_eq!(quota.status, Status::Warning);
        assert!(quota.sentence.en.contains("1.0 GB may be added"), "{quota:?}");
        let gone = target(Some("no disk is mounted at /media/usb"), None, gb(40), None, &[]);
        assert_eq!(gone.status, Status::Critical);
        assert!(gone.sentence.de.contains("/media/usb"), "{gone:?}");
        assert_eq!(target(None, None, gb(40), None, &[]).status, Status::Ok);
        // A gigabyte a day, and ten are left.
        let history: Vec<Point> = (0..20u32)
            .map(|day| Point {
                at: Timestamp::UNIX_EPOCH + DAY * day,
                value: f64::from(21 + day) * 1e9,
            })
            .collect();
        let growing = target(None, room(20), gb(40), None, &history);
        assert_eq!(growing.status, Status::Warning);
        assert!(
            growing.sentence.en.contains("on 1970-01-30 (in 10 days)"),
            "{growing:?}"
        );
    }
}
