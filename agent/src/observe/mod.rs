//! Looking at a host: questions about it, all in one request, and what was found. Figures, no judgements: those are the
//! controller's. Each kind is one file: its question, how it is looked at, and what comes back.
//!
//! Looking changes nothing but a cache of the agent's own.

mod certificate;
mod clock;
mod command;
mod file_systems;
mod freshness;
mod listening_ports;
mod lists;
mod load;
mod memory;
mod package_update;
mod reboot;
mod round;
mod scene;
mod security_updates;
mod smart;
mod units;
mod version;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::names::Verdict;

pub use certificate::{CertificateFile, Certificates};
pub use clock::{ClockQuestion, TimeKeeping};
pub use command::{CommandQuestion, Said};
pub use file_systems::{FileSystem, FileSystems, FileSystemsQuestion};
pub use freshness::{Freshness, FreshnessQuestion};
pub use listening_ports::{ListeningPorts, ListeningPortsQuestion, OpenPort, Transport};
pub use load::{Load, LoadQuestion};
pub use memory::{Memory, MemoryQuestion};
pub use package_update::{PackageUpdate, PackageUpdateQuestion};
pub use reboot::{Reboot, RebootQuestion};
pub use security_updates::{PendingUpdate, SecurityUpdates, SecurityUpdatesQuestion};
pub use smart::{Disk, Smart, SmartQuestion};
pub use units::{FailedUnits, FailedUnitsQuestion, Unit, UnitQuestion};

pub(crate) use round::observe;
pub(crate) use scene::Scene;

/// What a question other than a program may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Questions about a host, to be answered all at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inquiry {
    /// At most [`Inquiry::LARGEST`] questions.
    pub questions: Vec<Asked>,
    /// Seconds after which the answer comes, whatever is missing; between 1 and 600.
    pub deadline: u64,
}

impl Inquiry {
    /// How many questions one inquiry may have.
    pub const LARGEST: usize = 256;
}

/// One question with its name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// Unique in the inquiry; comes back with what was found.
    pub id: String,
    /// What to look at.
    pub question: Question,
}

/// What can be looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Question {
    /// The certificates in a file. Found: [`Finding::Certificates`].
    Certificate(CertificateFile),
    /// Who keeps the clock right. Found: [`Finding::Clock`].
    Clock(ClockQuestion),
    /// What a program says. Found: [`Finding::Command`].
    Command(CommandQuestion),
    /// Units that failed. Found: [`Finding::FailedUnits`].
    FailedUnits(FailedUnitsQuestion),
    /// How full the disks are. Found: [`Finding::FileSystems`].
    FileSystems(FileSystemsQuestion),
    /// When a file or folder last changed. Found: [`Finding::Freshness`].
    Freshness(FreshnessQuestion),
    /// Who listens where nobody expects it. Found: [`Finding::ListeningPorts`].
    ListeningPorts(ListeningPortsQuestion),
    /// How busy the host is. Found: [`Finding::Load`].
    Load(LoadQuestion),
    /// Memory and swap. Found: [`Finding::Memory`].
    Memory(MemoryQuestion),
    /// When packages were last brought up to date. Found: [`Finding::PackageUpdate`].
    PackageUpdate(PackageUpdateQuestion),
    /// Whether a restart is wanted. Found: [`Finding::Reboot`].
    Reboot(RebootQuestion),
    /// Security updates that are not installed. Found: [`Finding::SecurityUpdates`].
    SecurityUpdates(SecurityUpdatesQuestion),
    /// What disks say about themselves. Found: [`Finding::Smart`].
    Smart(SmartQuestion),
    /// How a unit is. Found: [`Finding::Unit`].
    Unit(UnitQuestion),
}

/// What was found, in the order of the questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observations {
    /// The host's clock when it began to look: milliseconds since 1970.
    pub began_ms: u64,
    /// The host's clock when it had looked at everything: milliseconds since 1970.
    pub ended_ms: u64,
    /// One for each question.
    pub found: Vec<Observation>,
}

/// What was found for one question.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// The question's.
    pub id: String,
    /// What was found, or why it could not be looked at, for people.
    pub finding: Result<Finding, String>,
}

/// What there is to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Finding {
    /// The certificates in a file.
    Certificates(Certificates),
    /// Who keeps the clock right.
    Clock(TimeKeeping),
    /// What a program said.
    Command(Said),
    /// Units that failed.
    FailedUnits(FailedUnits),
    /// How full the disks are.
    FileSystems(FileSystems),
    /// When a file or folder last changed.
    Freshness(Freshness),
    /// Who listens where nobody expects it.
    ListeningPorts(ListeningPorts),
    /// How busy the host is.
    Load(Load),
    /// Memory and swap.
    Memory(Memory),
    /// When packages were last brought up to date.
    PackageUpdate(PackageUpdate),
    /// Whether a restart is wanted.
    Reboot(Reboot),
    /// Security updates that are not installed.
    SecurityUpdates(SecurityUpdates),
    /// What disks say about themselves.
    Smart(Smart),
    /// How a unit is.
    Unit(Unit),
}

/// What every kind of question can do.
pub(crate) trait Observe {
    /// Refuses what makes no sense, before anything is looked at.
    fn check(&self) -> Verdict {
        Ok(())
    }

    /// How long it may take.
    fn patience(&self) -> Duration {
        PATIENCE
    }

    /// Looks, or says for people why it could not.
    fn observe(&self, scene: &Scene) -> Result<Finding, String>;
}

impl Question {
    pub(crate) fn observer(&self) -> &dyn Observe {
        match self {
            Question::Certificate(question) => question,
            Question::Clock(question) => question,
            Question::Command(question) => question,
            Question::FailedUnits(question) => question,
            Question::FileSystems(question) => question,
            Question::Freshness(question) => question,
            Question::ListeningPorts(question) => question,
            Question::Load(question) => question,
            Question::Memory(question) => question,
            Question::PackageUpdate(question) => question,
            Question::Reboot(question) => question,
            Question::SecurityUpdates(question) => question,
            Question::Smart(question) => question,
            Question::Unit(question) => question,
        }
    }
}
