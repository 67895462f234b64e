//! `[[checks]]`: what to ask a service or a host again and again.

mod inside;
mod outside;

use serde::{Deserialize, Serialize};

pub use inside::{
    CertificateCheck, ClockCheck, CommandCheck, DiskCheck, FailedUnitsCheck, FreshnessCheck, InodesCheck,
    ListeningPortsCheck, LoadCheck, MemoryCheck, PackageUpdateCheck, RebootRequiredCheck,
    SecurityUpdatesCheck, SmartCheck, SwapCheck, UnitCheck,
};
pub use outside::{
    DateCheck, DnsCheck, HttpCheck, JsonExpectation, Method, Place, RecordType, SshCheck, TcpCheck, TlsCheck,
    Trust,
};

use inside::Sensible;

use super::span::Span;
use super::{Problem, Renderer, Variables};
use crate::model::Text;

/// A check as it is written, before anything in it but its condition is understood.
#[derive(Debug, Clone, Deserialize)]
pub struct CheckEntry {
    /// Unique in the template.
    pub id: String,
    /// What is asked.
    pub title: Text,
    /// It is left out when this expression is false.
    pub when: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub fields: toml::Table,
}

/// A question that is asked again and again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Unique in the template.
    pub id: String,
    /// What is asked, in a few words.
    pub title: Text,
    /// The next step for a beginner when the answer is bad.
    pub advice: Text,
    /// How often it is asked.
    #[serde(default = "five_minutes")]
    pub every: Span,
    /// After how many bad answers in a row it counts: a single one is asked again soon.
    #[serde(default = "three")]
    pub attempts: u32,
    /// After how many good answers in a row it is well again.
    #[serde(default = "two")]
    pub recovery: u32,
    /// Checks that this one depends on, by their ids: of the same service, or of its host. While one of them is bad, this one raises
    /// no incident of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The question itself.
    #[serde(flatten)]
    pub question: Question,
}

/// The kinds of questions.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Question {
    /// Does a page answer? Asked from outside.
    Http(HttpCheck),
    /// Does something listen on a port? Asked from outside.
    Tcp(TcpCheck),
    /// Is the certificate good, and for how long? Asked from outside.
    Tls(TlsCheck),
    /// Does a name lead where it should? Asked from outside.
    Dns(DnsCheck),
    /// Does the host's SSH server answer, with the key that is known? Asked from outside.
    Ssh(SshCheck),
    /// How long is it until a certain day? The controller knows.
    Date(DateCheck),
    /// How full are the disks, and when will they be? Asked on the host.
    Disk(DiskCheck),
    /// How many files can the disks still hold? Asked on the host.
    Inodes(InodesCheck),
    /// Is there enough memory? Asked on the host.
    Memory(MemoryCheck),
    /// How much is swapped out? Asked on the host.
    Swap(SwapCheck),
    /// How busy is the host? Asked on the host.
    Load(LoadCheck),
    /// Did any unit of systemd fail? Asked on the host.
    FailedUnits(FailedUnitsCheck),
    /// Is a unit of systemd active? Asked on the host.
    Unit(UnitCheck),
    /// Are all security updates installed? Asked on the host.
    SecurityUpdates(SecurityUpdatesCheck),
    /// Does the host have to be restarted? Asked on the host.
    RebootRequired(RebootRequiredCheck),
    /// Is the clock right? Asked on the host.
    Clock(ClockCheck),
    /// How long is a certificate in a file good for? Asked on the host.
    Certificate(CertificateCheck),
    /// Are the disks healthy? Asked on the host.
    Smart(SmartCheck),
    /// When were packages last brought up to date? Asked on the host.
    PackageUpdate(PackageUpdateCheck),
    /// Does anybody listen whom nobody declared? Asked on the host.
    ListeningPorts(ListeningPortsCheck),
    /// What does a program say? Asked on the host.
    Command(CommandCheck),
    /// Has something changed lately? Asked on the host.
    Freshness(FreshnessCheck),
}

fn five_minutes() -> Span {
    Span { seconds: 300 }
}

fn three() -> u32 {
    3
}

fn two() -> u32 {
    2
}

impl CheckEntry {
    /// The check, unless its condition does not hold.
    pub(super) fn render(
        &self,
        renderer: &Renderer,
        variables: &Variables,
    ) -> Result<Option<Check>, Problem> {
        if let Some(condition) = &self.when {
            let holds = renderer
                .expression(condition, variables)
                .map_err(|problem| problem.inside("when"))?;
            if !holds.is_true() {
                return Ok(None);
            }
        }
        let mut fields = self.fields.clone();
        fields.insert("id".to_owned(), self.id.clone().into());
        let title = [("de", &self.title.de), ("en", &self.title.en)];
        let title = title.map(|(language, text)| (language.to_owned(), text.clone().into()));
        fields.insert("title".to_owned(), toml::Table::from_iter(title).into());
        let check: Check = super::rendered(renderer, &fields, variables)?;
        match check.mistake() {
            Some(mistake) => Err(Problem::new(mistake)),
            None => Ok(Some(check)),
        }
    }
}

impl Check {
    /// What is wrong with it, for whoever wrote it.
    pub fn mistake(&self) -> Option<&'static str> {
        if self.attempts == 0 || self.recovery == 0 {
            return Some("attempts and recovery are at least 1");
        }
        self.question.mistake()
    }
}

impl Question {
    /// Whether the controller asks it; the others the agent answers.
    pub fn is_outside(&self) -> bool {
        matches!(
            self,
            Self::Http(_) | Self::Tcp(_) | Self::Tls(_) | Self::Dns(_) | Self::Ssh(_) | Self::Date(_)
        )
    }

    fn mistake(&self) -> Option<&'static str> {
        match self {
            Self::Http(http) => http.mistake(),
            Self::Tcp(tcp) => tcp.mistake(),
            Self::Tls(tls) => tls.mistake(),
            Self::Dns(dns) => dns.mistake(),
            Self::Disk(disk) => disk.mistake(),
            Self::Inodes(inodes) => inodes.mistake(),
            Self::Memory(memory) => memory.mistake(),
            Self::Swap(swap) => swap.mistake(),
            Self::Load(load) => load.mistake(),
            Self::Unit(unit) => unit.mistake(),
            Self::SecurityUpdates(updates) => updates.mistake(),
            Self::RebootRequired(reboot) => reboot.mistake(),
            Self::Clock(clock) => clock.mistake(),
            Self::Certificate(certificate) => certificate.mistake(),
            Self::PackageUpdate(update) => update.mistake(),
            Self::Command(command) => command.mistake(),
            Self::Freshness(freshness) => freshness.mistake(),
            _ => None,
        }
    }
}
