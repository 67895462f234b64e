//! The clock: serves schedules whose times have come.

use std::sync::Arc;
use std::time::Duration;

use super::log;
use super::stop::Stop;
use crate::operations::{Controller, OperationError, Served, fire_due};
use crate::store::{Serving, now};

/// How often it is looked: so much later a job is made at most.
const TICK: Duration = Duration::from_secs(2);

/// How many schedules one look serves; the others follow with the next.
const SERVED_AT_ONCE: usize = 50;

/// Ticks until the server stops.
pub async fn tick(controller: Arc<Controller>, stop: Stop) {
    let mut said: Vec<String> = Vec::new();
    while stop.sleep(TICK).await {
        let problems = match fire_due(&controller, now(), SERVED_AT_ONCE).await {
            Ok((served, problems)) => {
                for one in &served {
                    tell(one);
                }
                problems
            }
            Err(error) => vec![error],
        };
        let problems: Vec<String> = problems.iter().map(OperationError::to_string).collect();
        // Once is enough for what every look finds again.
        for problem in problems.iter().filter(|problem| !said.contains(problem)) {
            log(&format!("a schedule cannot be served: {problem}"));
        }
        said = problems;
    }
}

fn tell(served: &Served) {
    let Served { schedule, due, .. } = served;
    let missed = match due.missed {
        0 => String::new(),
        missed => format!(", for {missed} missed times too"),
    };
    match (served.serving, &served.refusal) {
        (Serving::Job(job), _) => log(&format!("schedule {schedule}: job {job} for {}{missed}", due.at)),
        (Serving::Refused, Some(reason)) => log(&format!(
            "schedule {schedule} was refused at {}: {reason}",
            due.at
        )),
        (Serving::Refused, None) | (Serving::Already, _) => {}
    }
}
