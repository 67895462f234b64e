//! Does something listen on a port, and say who it is?

use tokio::io::AsyncReadExt;

use super::way::Goal;
use super::{Around, Clock, Finding, in_time};
use crate::catalogue::{Place, TcpCheck};
use crate::model::Host;

/// The longest greeting that is read, in bytes.
const GREETING: usize = 1024;

pub(super) async fn ask(
    question: &TcpCheck,
    host: Option<&Host>,
    around: &Around,
) -> Result<Finding, Finding> {
    let clock = Clock::start(question.timeout);
    let goal = Goal::new(None, question.port, Place::Host, host);
    let mut line = goal.dial(clock, around).await?;
    if let Some(wanted) = &question.banner {
        let mut heard = Vec::new();
        let mut part = [0; 256];
        while !contains(&heard, wanted) {
            let late = || match heard.is_empty() {
                true => goal.late(clock),
                false => other(&goal, wanted, &heard),
            };
            match clock.wait(line.read(&mut part), late).await? {
                Ok(length) if length > 0 && heard.len() < GREETING => heard.extend(&part[..length]),
                _ if heard.is_empty() => return Err(goal.cut()),
                _ => return Err(other(&goal, wanted, &heard)),
            }
        }
    }
    let good = Finding::ok("outside.tcp.open").with("place", goal);
    Ok(in_time(good, clock, question.warning_ms, question.critical_ms).with("place", goal))
}

fn contains(heard: &[u8], wanted: &str) -> bool {
    String::from_utf8_lossy(heard).contains(wanted)
}

fn other(goal: &Goal<'_>, wanted: &str, heard: &[u8]) -> Finding {
    Finding::critical("outside.tcp.banner")
        .with("place", goal)
        .with("wanted", wanted)
        .with("heard", String::from_utf8_lossy(heard))
}
