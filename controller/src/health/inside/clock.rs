//! The clock: how far it is off, by the times at both ends of the request, as NTP does it.

use allmende_agent::observe::TimeKeeping;
use serde_json::json;

use super::{answer, figure, rising};
use crate::catalogue::ClockCheck;
use crate::fleet::Observed;
use crate::model::{Answer, Status};

/// How far a clock is off.
struct Offset {
    /// Seconds before the controller's; negative behind it.
    seconds: f64,
    /// By how much that may be wrong: half of what the way there and back took.
    uncertainty: f64,
}

impl Offset {
    fn of(observed: &Observed) -> Self {
        let (sent, received) = (milliseconds(observed.sent), milliseconds(observed.received));
        let began = observed.observations.began_ms as f64;
        let ended = observed.observations.ended_ms as f64;
        let way = (received - sent) - (ended - began);
        Self {
            seconds: ((began - sent) + (ended - received)) / 2000.0,
            uncertainty: way.max(0.0) / 2000.0,
        }
    }

    /// By how much it is off for certain.
    fn certain(&self) -> f64 {
        (self.seconds.abs() - self.uncertainty).max(0.0)
    }
}

fn milliseconds(time: jiff::Timestamp) -> f64 {
    time.as_millisecond() as f64
}

pub(super) fn clock(check: &ClockCheck, found: &TimeKeeping, observed: &Observed) -> Answer {
    let offset = Offset::of(observed);
    let certain = offset.certain();
    let status = rising(
        &certain,
        &(check.warning.seconds as f64),
        &(check.critical.seconds as f64),
    );
    let figure = figure(offset.seconds, "s");
    let values = json!({ "seconds": offset.seconds.abs().round(), "fast": offset.seconds > 0.0 });
    if status != Status::Ok {
        let key = match found.container {
            true => "inside.clock.off_outside",
            false => "inside.clock.off",
        };
        return answer(status, figure, key, values);
    }
    if found.keeper.is_none() && !found.container {
        return answer(Status::Warning, figure, "inside.clock.unkept", ());
    }
    answer(Status::Ok, figure, "inside.clock.right", ())
}
