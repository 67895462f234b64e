//! Disks: how full they are, and when they will be.

use allmende_agent::observe::{FileSystem, FileSystems};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::forecast::{Point, reached_on};
use super::{Circumstances, answer, figure, rising, words};
use crate::catalogue::{DiskCheck, InodesCheck};
use crate::fleet::one_line;
use crate::health::say;
use crate::model::{Answer, Status};

/// A day further away is not worth a word.
const WORTH_SAYING: SignedDuration = SignedDuration::from_hours(60 * 24);

pub(super) fn disk(check: &DiskCheck, found: &FileSystems, circumstances: &Circumstances<'_>) -> Answer {
    let judge = |disk: &FileSystem| {
        let percent = share(disk.used, disk.free)?;
        let has_plenty = disk.free >= check.plenty_gb.saturating_mul(1_000_000_000);
        let status = match has_plenty {
            true => Status::Ok,
            false => rising(&percent, &f64::from(check.warning), &f64::from(check.critical)),
        };
        Some((status, percent))
    };
    let Some((mut status, percent, disk)) = worst(found, judge) else {
        return answer(Status::Unknown, None, "inside.disk.none", ());
    };
    let values = json!({
        "place": one_line(&disk.place),
        "percent": percent.round(),
        "free": words::size(disk.free),
    });
    let now = circumstances.observed.received;
    let full = full_on(circumstances.history, percent, now);
    let left = full.map(|day| day.duration_since(now));
    if left.is_some_and(|left| left.as_secs() < i64::try_from(check.full_within.seconds).unwrap_or(i64::MAX))
    {
        status = status.max(Status::Warning);
    }
    let mut answer = answer(status, figure(percent, "%"), "inside.disk.full", values);
    if let Some(day) = full.filter(|_| left.is_some_and(|left| left < WORTH_SAYING)) {
        let soon = say("inside.disk.soon", json!({ "day": words::day(day) }));
        answer.sentence.de = format!("{} {}", answer.sentence.de, soon.de);
        answer.sentence.en = format!("{} {}", answer.sentence.en, soon.en);
    }
    answer
}

/// When this disk will be full, if it goes on like this.
fn full_on(history: &[Point], percent: f64, now: Timestamp) -> Option<Timestamp> {
    let current = Point {
        at: now,
        value: percent,
    };
    let history: Vec<Point> = history.iter().copied().chain([current]).collect();
    reached_on(&history, 100.0)
}

pub(super) fn inodes(check: &InodesCheck, found: &FileSystems) -> Answer {
    let judge = |disk: &FileSystem| {
        // Some file systems don't count, because they have no limit.
        let percent = share(disk.inodes_used, disk.inodes_free)?;
        let status = rising(&percent, &f64::from(check.warning), &f64::from(check.critical));
        Some((status, percent))
    };
    let Some((status, percent, disk)) = worst(found, judge) else {
        return answer(Status::Ok, None, "inside.inodes.none", ());
    };
    let values = json!({
        "place": one_line(&disk.place),
        "percent": percent.round(),
        "free": disk.inodes_free,
    });
    answer(status, figure(percent, "%"), "inside.inodes.full", values)
}

/// How much is used of what everybody may use, in percent; none where there is nothing.
fn share(used: u64, free: u64) -> Option<f64> {
    let all = used as f64 + free as f64;
    (all > 0.0).then(|| used as f64 * 100.0 / all)
}

fn worst(
    found: &FileSystems,
    judge: impl Fn(&FileSystem) -> Option<(Status, f64)>,
) -> Option<(Status, f64, &FileSystem)> {
    let judged = found.all.iter().filter_map(|disk| {
        let (status, percent) = judge(disk)?;
        Some((status, percent, disk))
    });
    judged.max_by(|one, other| one.0.cmp(&other.0).then(one.1.total_cmp(&other.1)))
}
