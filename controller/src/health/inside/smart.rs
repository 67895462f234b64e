//! Disks that tell about their health.

use allmende_agent::observe::{Disk, Smart};
use serde_json::json;

use super::{answer, figure};
use crate::catalogue::SmartCheck;
use crate::fleet::one_line;
use crate::model::{Answer, Status};

/// A disk may have replaced a few sectors when it was young; more of them are a sign of age.
const FEW: u64 = 10;

pub(super) fn smart(check: &SmartCheck, found: &Smart) -> Answer {
    if found.disks.is_empty() {
        return answer(Status::Ok, None, "inside.smart.none", ());
    }
    if !found.tool {
        return answer(Status::Unknown, None, "inside.smart.no_tool", ());
    }
    let judged = found.disks.iter().map(|disk| (judge(check, disk), disk));
    let Some(((status, key, count), disk)) = judged.max_by_key(|((status, ..), _)| *status) else {
        return answer(Status::Ok, None, "inside.smart.none", ());
    };
    let values = json!({
        "disk": one_line(&disk.name),
        "model": one_line(&disk.model),
        "count": count.unwrap_or_default(),
        "disks": found.disks.len(),
    });
    answer(
        status,
        count.and_then(|count| figure(count as f64, "")),
        key,
        values,
    )
}

fn judge(check: &SmartCheck, disk: &Disk) -> (Status, &'static str, Option<u64>) {
    let above = |figure: Option<u64>, limit: u64| figure.filter(|figure| *figure > limit);
    if disk.passed == Some(false) {
        return (Status::Critical, "inside.smart.dying", None);
    }
    if let Some(lost) = above(disk.lost, 0).or(above(disk.pending, 0)) {
        return (Status::Warning, "inside.smart.lost", Some(lost));
    }
    if let Some(replaced) = above(disk.reallocated, FEW) {
        return (Status::Warning, "inside.smart.replaced", Some(replaced));
    }
    if let Some(worn) = disk.worn.filter(|worn| *worn >= u64::from(check.worn)) {
        return (Status::Warning, "inside.smart.worn", Some(worn));
    }
    match disk.passed {
        Some(_) => (Status::Ok, "inside.smart.healthy", None),
        None => (Status::Ok, "inside.smart.silent", None),
    }
}
