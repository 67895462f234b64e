//! Checks that are asked on the host: from checks to the agent's questions, and from what it found to answers. Pure: nothing
//! here reads a clock or a host.

mod certificates;
mod clock;
mod commands;
mod files;
mod forecast;
mod memory;
mod packages;
mod ports;
mod smart;
mod storage;
mod units;
mod words;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use allmende_agent::observe::{
    Asked, CertificateFile, ClockQuestion, CommandQuestion, FailedUnitsQuestion, FileSystemsQuestion,
    Finding, FreshnessQuestion, Inquiry, ListeningPortsQuestion, LoadQuestion, MemoryQuestion,
    PackageUpdateQuestion, Question as AgentQuestion, RebootQuestion, SecurityUpdatesQuestion, SmartQuestion,
    UnitQuestion,
};
use serde::Serialize;

pub use forecast::{Point, reached_on};
pub use ports::OpenPorts;

use super::say;
use crate::catalogue::{Check, Question};
use crate::fleet::{Observed, one_line};
use crate::model::{Answer, CheckKey, Figure, Status};

/// What was answered to a check before: the figures of its answers.
pub type Histories = BTreeMap<CheckKey, Vec<Point>>;

/// Seconds within which everything is answered that is not a program with a longer time of its own.
const DEADLINE: u64 = 30;

/// What to ask the agent for these checks; checks from outside are passed over. `open` are the ports that the services of the
/// host open.
///
/// An inquiry has room for [`Inquiry::LARGEST`] questions: what comes after is answered as unknown by [`answers`].
pub fn questions(checks: &[(CheckKey, Check)], open: &OpenPorts) -> Inquiry {
    let asked = checks.iter().filter_map(|(key, check)| {
        Some(Asked {
            id: key.to_string(),
            question: asked(&check.question, open)?,
        })
    });
    let questions: Vec<Asked> = asked.take(Inquiry::LARGEST).collect();
    let times = questions.iter().map(|asked| match &asked.question {
        AgentQuestion::Command(command) => command.timeout,
        _ => DEADLINE,
    });
    Inquiry {
        deadline: times.max().unwrap_or(DEADLINE).clamp(DEADLINE, 600),
        questions,
    }
}

/// The answers to these checks, by what the agent found; checks from outside are passed over. A check that the agent said nothing
/// about is answered as unknown. `histories` are used where there are some.
pub fn answers(
    checks: &[(CheckKey, Check)],
    observed: &Observed,
    histories: &Histories,
) -> Vec<(CheckKey, Answer)> {
    let found = observed.observations.found.iter();
    let found: HashMap<&str, _> = found.map(|one| (one.id.as_str(), &one.finding)).collect();
    let inside = checks.iter().filter(|(_, check)| !check.question.is_outside());
    let answered = inside.map(|(key, check)| {
        let answer = match found.get(key.to_string().as_str()) {
            Some(Ok(finding)) => {
                let circumstances = Circumstances {
                    observed,
                    history: histories.get(key).map(Vec::as_slice).unwrap_or_default(),
                };
                judged(&check.question, finding, &circumstances)
            }
            Some(Err(reason)) => unseen(reason),
            None => answer(Status::Unknown, None, "inside.not_asked", ()),
        };
        (key.clone(), answer)
    });
    answered.collect()
}

/// Whether the answer to a question depends on what was answered before.
pub fn looks_back(question: &Question) -> bool {
    matches!(question, Question::Disk(_))
}

/// What a judgement needs besides the finding.
struct Circumstances<'a> {
    observed: &'a Observed,
    history: &'a [Point],
}

impl Circumstances<'_> {
    /// Seconds since 1970 by the host's clock: what it says about files and updates is told by that.
    fn host_now(&self) -> u64 {
        self.observed.observations.began_ms / 1000
    }

    /// How long something has been, by the host's clock.
    fn age(&self, since: u64) -> u64 {
        self.host_now().saturating_sub(since)
    }
}

fn asked(question: &Question, open: &OpenPorts) -> Option<AgentQuestion> {
    Some(match question {
        Question::Disk(disk) => AgentQuestion::FileSystems(FileSystemsQuestion {
            path: disk.path.clone(),
        }),
        Question::Inodes(inodes) => AgentQuestion::FileSystems(FileSystemsQuestion {
            path: inodes.path.clone(),
        }),
        Question::Memory(_) | Question::Swap(_) => AgentQuestion::Memory(MemoryQuestion {}),
        Question::Load(_) => AgentQuestion::Load(LoadQuestion {}),
        Question::FailedUnits(_) => AgentQuestion::FailedUnits(FailedUnitsQuestion {}),
        Question::Unit(unit) => AgentQuestion::Unit(UnitQuestion {
            unit: unit.unit.clone(),
        }),
        Question::SecurityUpdates(_) => AgentQuestion::SecurityUpdates(SecurityUpdatesQuestion {}),
        Question::RebootRequired(_) => AgentQuestion::Reboot(RebootQuestion {}),
        Question::Clock(_) => AgentQuestion::Clock(ClockQuestion {}),
        Question::Certificate(certificate) => AgentQuestion::Certificate(CertificateFile {
            path: certificate.path.clone(),
        }),
        Question::Smart(_) => AgentQuestion::Smart(SmartQuestion {}),
        Question::PackageUpdate(_) => AgentQuestion::PackageUpdate(PackageUpdateQuestion {}),
        Question::ListeningPorts(ports) => AgentQuestion::ListeningPorts(ListeningPortsQuestion {
            tcp: open.tcp.iter().chain(&ports.tcp).copied().collect(),
            udp: open.udp.iter().chain(&ports.udp).copied().collect(),
        }),
        Question::Command(command) => AgentQuestion::Command(CommandQuestion {
            argv: command.argv.clone(),
            user: command.user.clone(),
            timeout: command.timeout,
        }),
        Question::Freshness(freshness) => AgentQuestion::Freshness(FreshnessQuestion {
            path: freshness.path.clone(),
        }),
        _ => return None,
    })
}

fn judged(question: &Question, finding: &Finding, circumstances: &Circumstances<'_>) -> Answer {
    match (question, finding) {
        (Question::Disk(check), Finding::FileSystems(found)) => storage::disk(check, found, circumstances),
        (Question::Inodes(check), Finding::FileSystems(found)) => storage::inodes(check, found),
        (Question::Memory(check), Finding::Memory(found)) => memory::memory(check, found),
        (Question::Swap(check), Finding::Memory(found)) => memory::swap(check, found),
        (Question::Load(check), Finding::Load(found)) => memory::load(check, found),
        (Question::FailedUnits(check), Finding::FailedUnits(found)) => units::failed(check, found),
        (Question::Unit(check), Finding::Unit(found)) => units::unit(check, found),
        (Question::SecurityUpdates(check), Finding::SecurityUpdates(found)) => {
            packages::security_updates(check, found, circumstances)
        }
        (Question::RebootRequired(check), Finding::Reboot(found)) => {
            packages::reboot(check, found, circumstances)
        }
        (Question::PackageUpdate(check), Finding::PackageUpdate(found)) => {
            packages::package_update(check, found, circumstances)
        }
        (Question::Clock(check), Finding::Clock(found)) => clock::clock(check, found, circumstances.observed),
        (Question::Certificate(check), Finding::Certificates(found)) => {
            certificates::certificate(check, found, circumstances.observed.received)
        }
        (Question::Smart(check), Finding::Smart(found)) => smart::smart(check, found),
        (Question::ListeningPorts(_), Finding::ListeningPorts(found)) => ports::listening(found),
        (Question::Command(_), Finding::Command(found)) => commands::command(found),
        (Question::Freshness(check), Finding::Freshness(found)) => {
            files::freshness(check, found, circumstances)
        }
        _ => answer(Status::Unknown, None, "inside.misunderstood", ()),
    }
}

/// What could not be looked at.
fn unseen(reason: &str) -> Answer {
    let reason = one_line(reason);
    answer(Status::Unknown, None, "inside.unseen", Reason { reason })
}

#[derive(Serialize)]
struct Reason {
    reason: String,
}

fn answer(status: Status, figure: Option<Figure>, key: &str, values: impl Serialize) -> Answer {
    Answer {
        status,
        figure,
        sentence: say(key, values),
        advice: None,
    }
}

/// The status of a figure that is the worse the greater it is.
fn rising<T: PartialOrd>(value: &T, warning: &T, critical: &T) -> Status {
    if value >= critical {
        Status::Critical
    } else if value >= warning {
        Status::Warning
    } else {
        Status::Ok
    }
}

fn figure(value: f64, unit: &str) -> Option<Figure> {
    Some(Figure {
        value: (value * 100.0).round() / 100.0,
        unit: unit.to_owned(),
    })
}
