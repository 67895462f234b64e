//! What is asked of Allmende itself, and whether hosts still are as they were set up: figures come in, answers go out.

use std::time::Duration;

use serde_json::json;

use super::say;
use crate::model::{Answer, Figure, Job, Name, Status};

/// Below this share of free room a disk needs somebody soon, and now; percent.
const LITTLE_ROOM: (u64, u64) = (10, 5);

/// A job or a schedule's time that waits longer than this needs somebody soon, and now.
const LONG_WAIT: (Duration, Duration) = (Duration::from_secs(600), Duration::from_secs(3600));

/// Checks that are later than this need somebody soon, and now.
const LATE: (Duration, Duration) = (Duration::from_secs(60), Duration::from_secs(600));

/// A copy of Allmende's own data that is older than this needs somebody soon.
const OLD_COPY: Duration = Duration::from_secs(8 * 86_400);

/// The room that is left for Allmende's data.
pub fn disk(folder: &str, free_bytes: u64, total_bytes: u64) -> Answer {
    let free = free_bytes
        .saturating_mul(100)
        .checked_div(total_bytes)
        .unwrap_or(0);
    let status = below(free, LITTLE_ROOM);
    let values = json!({ "free": free, "free_mb": free_bytes / 1_000_000, "folder": folder });
    Answer {
        status,
        figure: figure(free, "%"),
        sentence: say("own.disk", &values),
        advice: (status != Status::Ok).then(|| say("own.disk_advice", &values)),
    }
}

/// Jobs that wait (the oldest first, with how long) and jobs that stay interrupted.
pub fn queue(waiting: &[Job], oldest: Duration, interrupted: &[Job]) -> Answer {
    if let Some(newest) = interrupted.last() {
        let values = json!({ "count": interrupted.len(), "title": newest.title, "job": newest.id });
        return Answer {
            status: Status::Warning,
            figure: figure(interrupted.len() as u64, ""),
            sentence: say("own.interrupted", &values),
            advice: Some(say("own.interrupted_advice", &values)),
        };
    }
    let Some(first) = waiting.first() else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.queue_empty", json!({})),
            advice: None,
        };
    };
    let status = above(oldest, LONG_WAIT);
    let values = json!({ "count": waiting.len(), "minutes": oldest.as_secs() / 60, "title": first.title });
    Answer {
        status,
        figure: figure(waiting.len() as u64, ""),
        sentence: say("own.queue", &values),
        advice: (status != Status::Ok).then(|| say("own.queue_advice", json!({}))),
    }
}

/// Schedules whose time came and was not served, each with how long ago that was, and those that cannot be read.
pub fn schedules(missed: &[(Name, Duration)], unreadable: &[String]) -> Answer {
    if let Some(reason) = unreadable.first() {
        return Answer {
            status: Status::Critical,
            figure: figure(unreadable.len() as u64, ""),
            sentence: say("own.schedules_unreadable", json!({ "reason": reason })),
            advice: Some(say("own.schedules_unreadable_advice", json!({}))),
        };
    }
    let Some((name, waited)) = missed.iter().max_by_key(|(_, waited)| *waited) else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.schedules_served", json!({})),
            advice: None,
        };
    };
    let status = above(*waited, LONG_WAIT);
    let values = json!({ "count": missed.len(), "minutes": waited.as_secs() / 60, "name": name.as_str() });
    Answer {
        status,
        figure: figure(missed.len() as u64, ""),
        sentence: say("own.schedules_missed", &values),
        advice: (status != Status::Ok).then(|| say("own.schedules_missed_advice", &values)),
    }
}

/// Whom nobody watches because their checks cannot be worked out, each with the reason.
pub fn unwatched(problems: &[(String, String)]) -> Answer {
    let Some((subject, reason)) = problems.first() else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.all_watched", json!({})),
            advice: None,
        };
    };
    let values = json!({ "count": problems.len(), "subject": subject, "reason": reason });
    Answer {
        status: Status::Critical,
        figure: figure(problems.len() as u64, ""),
        sentence: say("own.unwatched", &values),
        advice: Some(say("own.unwatched_advice", json!({}))),
    }
}

/// Channels by which nobody can be told of anything at present, each with how long that has been so.
pub fn channels(failing: &[(Name, Duration)]) -> Answer {
    let Some((name, lasts)) = failing.iter().max_by_key(|(_, lasts)| *lasts) else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.channels_work", json!({})),
            advice: None,
        };
    };
    let values = json!({ "count": failing.len(), "minutes": lasts.as_secs() / 60, "name": name.as_str() });
    Answer {
        status: Status::Warning,
        figure: figure(failing.len() as u64, ""),
        sentence: say("own.channels_fail", &values),
        advice: Some(say("own.channels_fail_advice", &values)),
    }
}

/// How old the newest copy of Allmende's own data is; none when there is none. They lie in `folder`, or wherever people put them.
pub fn own_backup(age: Option<Duration>, folder: Option<&str>) -> Answer {
    let days = age.map(|age| age.as_secs() / 86_400);
    let values = json!({ "days": days, "folder": folder });
    let sentence = match days {
        Some(_) => say("own.backup", &values),
        None => say("own.no_backup", &values),
    };
    let fresh = age.is_some_and(|age| age <= OLD_COPY);
    Answer {
        status: if fresh { Status::Ok } else { Status::Warning },
        figure: days.and_then(|days| figure(days, "d")),
        sentence,
        advice: (!fresh).then(|| match folder {
            Some(_) => say("own.backup_scheduled_advice", &values),
            None => say("own.backup_advice", &values),
        }),
    }
}

/// The organisations with backups of whose emergency sheet nobody has typed the password yet.
pub fn sheets(unconfirmed: &[Name]) -> Answer {
    let Some(name) = unconfirmed.first() else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.sheets_confirmed", json!({})),
            advice: None,
        };
    };
    let values = json!({ "count": unconfirmed.len(), "name": name.as_str() });
    Answer {
        status: Status::Warning,
        figure: figure(unconfirmed.len() as u64, ""),
        sentence: say("own.sheets", &values),
        advice: Some(say("own.sheets_advice", &values)),
    }
}

/// How late checks are.
pub fn lag(late: Duration) -> Answer {
    let status = above(late, LATE);
    Answer {
        status,
        figure: figure(late.as_secs(), "s"),
        sentence: say("own.lag", json!({ "seconds": late.as_secs() })),
        advice: (status != Status::Ok).then(|| say("own.lag_advice", json!({}))),
    }
}

/// Whether a host is as it was set up: of `count` resources these differ, by name.
pub fn drift(host: &str, count: usize, differing: &[String]) -> Answer {
    let changed = differing.len();
    let Some(example) = differing.first() else {
        return Answer {
            status: Status::Ok,
            figure: figure(0, ""),
            sentence: say("own.as_planned", json!({ "count": count })),
            advice: None,
        };
    };
    let values = json!({ "changed": changed, "count": count, "example": example });
    Answer {
        status: Status::Warning,
        figure: figure(changed as u64, ""),
        sentence: say("own.drift", &values),
        advice: Some(say("own.drift_advice", json!({ "host": host }))),
    }
}

fn figure(value: u64, unit: &str) -> Option<Figure> {
    Some(Figure {
        // Exact up to 2^53, which no figure here comes near.
        value: value as f64,
        unit: unit.to_owned(),
    })
}

fn below(value: u64, (warning, critical): (u64, u64)) -> Status {
    if value < critical {
        Status::Critical
    } else if value < warning {
        Status::Warning
    } else {
        Status::Ok
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
    use jiff::Timestamp;

    use super::*;
    use crate::model::JobState;

    fn job(id: i64, title: &str) -> Job {
        Job {
            id,
            operation: "host.apply".to_owned(),
            parameters: json!({}),
            title: title.to_owned(),
            actor: "anna".to_owned(),
            state: JobState::Queued,
            holder: None,
            lease_until: None,
            attempts: 0,
            created_at: Timestamp::UNIX_EPOCH,
            started_at: None,
            ended_at: None,
            outcome: None,
        }
    }

    #[test]
    fn little_room_is_told_with_what_to_do() {
        assert_eq!(disk("/data", 50, 100).status, Status::Ok);
        assert_eq!(disk("/data", 9, 100).status, Status::Warning);
        let full = disk("/data", 4_000_000, 100_000_000);
        assert_eq!(full.status, Status::Critical);
        assert!(full.sentence.de.contains("4 % frei (4 MB)"), "{full:?}");
        assert!(full.advice.expect("advice").en.contains("du -xh /data"));
        assert_eq!(disk("/data", 0, 0).status, Status::Critical);
    }

    #[test]
    fn a_queue_that_stands_still_and_jobs_that_were_cut_off_are_told() {
        let waiting = [job(7, "apply web1")];
        assert_eq!(queue(&[], Duration::ZERO, &[]).status, Status::Ok);
        assert_eq!(queue(&waiting, Duration::from_secs(5), &[]).status, Status::Ok);
        let stuck = queue(&waiting, Duration::from_secs(1200), &[]);
        assert_eq!(stuck.status, Status::Warning);
        assert!(
            stuck.sentence.en.contains("for 20 minutes: apply web1"),
            "{stuck:?}"
        );
        let cut = queue(&[], Duration::ZERO, &[job(9, "remove wiki")]);
        assert!(cut.advice.expect("advice").de.contains("allmende job retry 9"));
    }

    #[test]
    fn schedules_that_nobody_serves_and_hosts_that_nobody_watches_are_told() {
        let name: Name = "nightly".parse().expect("a name");
        assert_eq!(schedules(&[], &[]).status, Status::Ok);
        let soon = [(name.clone(), Duration::from_secs(30))];
        assert_eq!(schedules(&soon, &[]).status, Status::Ok);
        let missed = schedules(&[(name, Duration::from_secs(1200))], &[]);
        assert_eq!(missed.status, Status::Warning);
        assert!(missed.sentence.en.contains("nightly"), "{missed:?}");
        let unreadable = schedules(&[], &["schedule weekly: no such zone".to_owned()]);
        assert!(unreadable.sentence.de.contains("no such zone"), "{unreadable:?}");
        assert_eq!(unwatched(&[]).status, Status::Ok);
        let problems = [("web1".to_owned(), "the template base is wrong".to_owned())];
        let answer = unwatched(&problems);
        assert_eq!(answer.status, Status::Critical);
        assert!(
            answer.sentence.de.contains("web1: the template base is wrong"),
            "{answer:?}"
        );
    }

    #[test]
    fn the_channel_that_fails_longest_is_named() {
        assert_eq!(channels(&[]).status, Status::Ok);
        let failing = [("mail", 600), ("chat", 7200)].map(|(name, seconds)| {
            let name: Name = name.parse().expect("a name");
            (name, Duration::from_secs(seconds))
        });
        let answer = channels(&failing);
        assert_eq!(answer.status, Status::Warning);
        assert!(answer.sentence.de.contains("chat"), "{answer:?}");
        assert!(
            answer.advice.expect("advice").en.contains("allmende notify test"),
            "how to try it"
        );
    }

    #[test]
    fn an_old_copy_of_allmendes_own_data_and_a_missing_one_are_told() {
        let days = |days: u64| Some(Duration::from_secs(days * 86_400));
        assert_eq!(own_backup(days(8), None).status, Status::Ok);
        let old = own_backup(days(9), Some("/mnt/copies"));
        assert_eq!(old.status, Status::Warning);
        assert!(old.sentence.de.contains("9 Tage"), "{old:?}");
        assert!(old.advice.expect("advice").en.contains("/mnt/copies"));
        let none = own_backup(None, None);
        assert_eq!(none.status, Status::Warning);
        let advice = none.advice.expect("advice");
        assert!(advice.de.contains("allmende controller backup"), "{advice:?}");
    }

    #[test]
    fn a_sheet_that_nobody_has_is_told_with_how_to_print_it() {
        assert_eq!(sheets(&[]).status, Status::Ok);
        let names = ["kita-sonne", "wg-nord"].map(|name| name.parse().expect("a name"));
        let answer = sheets(&names);
        assert_eq!(answer.status, Status::Warning);
        assert!(
            answer.sentence.en.contains("kita-sonne (and 1 more)"),
            "{answer:?}"
        );
        let advice = answer.advice.expect("advice").de;
        assert!(advice.contains("allmende vault confirm kita-sonne"), "{advice}");
    }

    #[test]
    fn what_was_changed_by_hand_is_told_with_an_example() {
        assert_eq!(drift("web1", 40, &[]).status, Status::Ok);
        let changed = drift("web1", 40, &["file /etc/motd".to_owned()]);
        assert_eq!(changed.status, Status::Warning);
        assert!(changed.sentence.en.contains("1 of 40"), "{changed:?}");
        assert_eq!(lag(Duration::from_secs(3)).status, Status::Ok);
        assert_eq!(lag(Duration::from_secs(700)).status, Status::Critical);
    }
}
