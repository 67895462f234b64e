//! Memory, swap and load.

use allmende_agent::observe::{Load, Memory};
use serde_json::json;

use super::{answer, figure, rising, words};
use crate::catalogue::{LoadCheck, MemoryCheck, SwapCheck};
use crate::model::{Answer, Status};

pub(super) fn memory(check: &MemoryCheck, found: &Memory) -> Answer {
    let used = found.total.saturating_sub(found.available);
    let percent = share(used, found.total);
    let status = rising(&percent, &f64::from(check.warning), &f64::from(check.critical));
    let values = json!({
        "percent": percent.round(),
        "total": words::size(found.total.saturating_mul(1024)),
        "free": words::size(found.available.saturating_mul(1024)),
    });
    answer(status, figure(percent, "%"), "inside.memory", values)
}

pub(super) fn swap(check: &SwapCheck, found: &Memory) -> Answer {
    if found.swap_total == 0 {
        return answer(Status::Ok, None, "inside.swap.none", ());
    }
    let percent = share(found.swap_total.saturating_sub(found.swap_free), found.swap_total);
    let status = rising(&percent, &f64::from(check.warning), &f64::from(check.critical));
    let values = json!({
        "percent": percent.round(),
        "total": words::size(found.swap_total.saturating_mul(1024)),
    });
    answer(status, figure(percent, "%"), "inside.swap.used", values)
}

pub(super) fn load(check: &LoadCheck, found: &Load) -> Answer {
    let each = found.five as f64 / 100.0 / found.processors.max(1) as f64;
    let status = rising(&each, &check.warning, &check.critical);
    let values = json!({
        "five": format!("{:.1}", found.five as f64 / 100.0),
        "processors": found.processors,
        "busy": status != Status::Ok,
    });
    answer(status, figure(each, ""), "inside.load", values)
}

fn share(part: u64, whole: u64) -> f64 {
    part as f64 * 100.0 / whole.max(1) as f64
}
