//! Packages: security updates that wait, when updates were last installed, and whether a restart is due.

use allmende_agent::observe::{PackageUpdate, PendingUpdate, Reboot, SecurityUpdates};
use serde_json::json;

use super::{Circumstances, answer, figure, rising, words};
use crate::catalogue::{PackageUpdateCheck, RebootRequiredCheck, SecurityUpdatesCheck};
use crate::model::{Answer, Status};

const DAY: f64 = 86_400.0;

pub(super) fn security_updates(
    check: &SecurityUpdatesCheck,
    found: &SecurityUpdates,
    circumstances: &Circumstances<'_>,
) -> Answer {
    if found.lists == 0 {
        return answer(Status::Warning, None, "inside.security_updates.no_source", ());
    }
    let figure = figure(found.count as f64, "");
    let Some(oldest) = found.pending.iter().map(|update| update.since).min() else {
        return answer(Status::Ok, figure, "inside.security_updates.none", ());
    };
    let age = circumstances.age(oldest);
    let names = |held: bool| -> Vec<String> {
        let updates = found
            .pending
            .iter()
            .filter(|update: &&PendingUpdate| !held || update.held);
        updates.map(|update| update.name.clone()).collect()
    };
    let held = names(true);
    let values = json!({
        "count": found.count,
        "age": words::duration(age),
        "names": words::list(&names(false), found.count),
        "held": words::list(&held, held.len() as u64),
    });
    let status = rising(&age, &check.warning.seconds, &check.critical.seconds);
    answer(status, figure, "inside.security_updates.some", values)
}

pub(super) fn package_update(
    check: &PackageUpdateCheck,
    found: &PackageUpdate,
    circumstances: &Circumstances<'_>,
) -> Answer {
    let Some(listed) = found.listed else {
        return answer(Status::Warning, None, "inside.package_update.never", ());
    };
    let listed = circumstances.age(listed);
    // A host that was just set up has time for its first update.
    let installed = found.installed.or(found.able).map(|time| circumstances.age(time));
    let (age, key) = match installed {
        _ if !check.unattended => (listed, "inside.package_update.listed"),
        None => return answer(Status::Warning, None, "inside.package_update.unable", ()),
        Some(installed) if installed < listed => (listed, "inside.package_update.listed"),
        Some(installed) if found.installed.is_none() => (installed, "inside.package_update.not_yet"),
        Some(installed) => (installed, "inside.package_update.installed"),
    };
    let status = rising(&age, &check.warning.seconds, &check.critical.seconds);
    let values = json!({ "age": words::duration(age) });
    answer(status, figure(age as f64 / DAY, "d"), key, values)
}

pub(super) fn reboot(
    check: &RebootRequiredCheck,
    found: &Reboot,
    circumstances: &Circumstances<'_>,
) -> Answer {
    let Some(since) = found.since else {
        return answer(Status::Ok, None, "inside.reboot.no", ());
    };
    let age = circumstances.age(since);
    let mut reasons = found.packages.clone();
    // Its package says so already, in most cases.
    if reasons.is_empty() {
        reasons.extend(found.kernel.iter().map(|kernel| format!("Linux {kernel}")));
    }
    let values = json!({
        "age": words::duration(age),
        "reasons": words::list(&reasons, reasons.len() as u64),
    });
    let status = rising(&age, &check.warning.seconds, &check.critical.seconds);
    answer(status, figure(age as f64 / DAY, "d"), "inside.reboot.due", values)
}
