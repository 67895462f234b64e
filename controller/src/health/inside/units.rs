//! Units of systemd.

use allmende_agent::observe::{FailedUnits, Unit};
use serde_json::json;

use super::{answer, figure, words};
use crate::catalogue::{FailedUnitsCheck, UnitCheck};
use crate::fleet::one_line;
use crate::model::{Answer, Status};

pub(super) fn failed(check: &FailedUnitsCheck, found: &FailedUnits) -> Answer {
    let names: Vec<String> = found
        .names
        .iter()
        .filter(|name| !check.ignore.contains(name))
        .cloned()
        .collect();
    let ignored = (found.names.len() - names.len()) as u64;
    let count = found.count.saturating_sub(ignored);
    let (status, key) = match count {
        0 => (Status::Ok, "inside.failed_units.none"),
        _ => (Status::Warning, "inside.failed_units.some"),
    };
    let values = json!({ "count": count, "names": words::list(&names, count) });
    answer(status, figure(count as f64, ""), key, values)
}

pub(super) fn unit(check: &UnitCheck, found: &Unit) -> Answer {
    let (status, key) = state(found);
    let values = json!({
        "unit": check.unit,
        "status": found.status,
        "restarts": found.restarts,
        "result": one_line(&found.result),
        "state": one_line(&found.active),
    });
    answer(status, None, key, values)
}

/// What systemd says, in the order in which it matters.
fn state(found: &Unit) -> (Status, &'static str) {
    match (found.load.as_str(), found.active.as_str(), found.sub.as_str()) {
        ("masked", ..) => (Status::Critical, "inside.unit.masked"),
        ("not-found", ..) => (Status::Critical, "inside.unit.missing"),
        (_, _, "auto-restart" | "auto-restart-queued") => (Status::Critical, "inside.unit.restarting"),
        (_, "active" | "reloading" | "refreshing", _) => (Status::Ok, "inside.unit.active"),
        (_, "failed", _) => {
            let key = match found.result.as_str() {
                "oom-kill" => "inside.unit.memory",
                "timeout" | "watchdog" => "inside.unit.timeout",
                "exit-code" => "inside.unit.code",
                _ => "inside.unit.failed",
            };
            (Status::Critical, key)
        }
        (_, "activating", _) => (Status::Warning, "inside.unit.starting"),
        (_, "deactivating", _) => (Status::Warning, "inside.unit.stopping"),
        (_, "inactive", _) if found.ended_well => (Status::Ok, "inside.unit.ended"),
        (_, "inactive", _) if !found.condition => (Status::Warning, "inside.unit.condition"),
        (_, "inactive", _) => (Status::Critical, "inside.unit.stopped"),
        _ => (Status::Unknown, "inside.unit.odd"),
    }
}
