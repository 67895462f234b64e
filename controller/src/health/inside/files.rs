//! Files and folders that have to change now and then.

use allmende_agent::observe::Freshness;
use serde_json::json;

use super::{Circumstances, answer, figure, rising, words};
use crate::catalogue::FreshnessCheck;
use crate::model::{Answer, Status};

pub(super) fn freshness(
    check: &FreshnessCheck,
    found: &Freshness,
    circumstances: &Circumstances<'_>,
) -> Answer {
    let Some(changed) = found.changed else {
        let values = json!({ "path": check.path });
        return answer(Status::Critical, None, "inside.freshness.missing", values);
    };
    let age = circumstances.age(changed);
    let status = rising(&age, &check.warning.seconds, &check.critical.seconds);
    let values = json!({ "path": check.path, "age": words::duration(age) });
    // Where not all could be looked at something newer may be there: that all is well is certain, that it is not is not.
    if found.truncated && status != Status::Ok {
        return answer(Status::Unknown, None, "inside.freshness.too_much", values);
    }
    answer(
        status,
        figure(age as f64, "s"),
        "inside.freshness.changed",
        values,
    )
}
