//! Questions that the agent answers on the host, all of them in one round trip.

use serde::{Deserialize, Serialize};

use crate::catalogue::sections::span::Span;
use crate::catalogue::sections::step::{one_minute, root};

/// How full the disks are; the fullest one counts. Also a warning when, at the pace of the last days, one will soon be full.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskCheck {
    /// Only the file system that this path is on; without it all local ones that can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From so many percent on it is a warning.
    #[serde(default = "eighty_five")]
    pub warning: u8,
    /// From so many percent on it is critical.
    #[serde(default = "ninety_five")]
    pub critical: u8,
    /// While so many GB are free, the percentage does not matter: 15 % of a large disk are a lot.
    #[serde(default = "hundred")]
    pub plenty_gb: u64,
    /// A disk that will be full so soon is a warning, however empty it looks.
    #[serde(default = "week")]
    pub full_within: Span,
}

/// How many of the files and folders that a disk can hold are there; the fullest disk counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InodesCheck {
    /// Only the file system that this path is on; without it all local ones that can be written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// From so many percent on it is a warning.
    #[serde(default = "eighty_five")]
    pub warning: u8,
    /// From so many percent on it is critical.
    #[serde(default = "ninety_five")]
    pub critical: u8,
}

/// How much of the memory programs use; what the kernel merely borrows for speed does not count.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryCheck {
    /// From so many percent on it is a warning.
    #[serde(default = "ninety")]
    pub warning: u8,
    /// From so many percent on it is critical.
    #[serde(default = "ninety_seven")]
    pub critical: u8,
}

/// How much of the swap space is used. A host without any is fine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwapCheck {
    /// From so many percent on it is a warning.
    #[serde(default = "seventy")]
    pub warning: u8,
    /// From so many percent on it is critical.
    #[serde(default = "ninety_five")]
    pub critical: u8,
}

/// How many programs want to run or wait for a disk, for each processor, in the last five minutes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoadCheck {
    /// From so many on it is a warning.
    #[serde(default = "three_each")]
    pub warning: f64,
    /// From so many on it is critical.
    #[serde(default = "ten_each")]
    pub critical: f64,
}

/// Units of systemd that failed, whichever they are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailedUnitsCheck {
    /// Units that may fail.
    #[serde(default)]
    pub ignore: Vec<String>,
}

/// A unit of systemd that has to be active.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UnitCheck {
    /// With its suffix: `nginx.service`.
    pub unit: String,
}

/// Security updates that the host knows of and has not installed. What a person holds back with `apt-mark hold` counts, too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SecurityUpdatesCheck {
    /// One that waits longer is a warning.
    #[serde(default = "three_days")]
    pub warning: Span,
    /// One that waits longer is critical.
    #[serde(default = "two_weeks")]
    pub critical: Span,
}

/// Whether the host has to be restarted for an update to take effect.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RebootRequiredCheck {
    /// When that is due for longer it is a warning.
    #[serde(default = "two_days")]
    pub warning: Span,
    /// When that is due for longer it is critical.
    #[serde(default = "month")]
    pub critical: Span,
}

/// How far the host's clock is from the controller's, and whether something keeps it right.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockCheck {
    /// Further off is a warning.
    #[serde(default = "two_seconds")]
    pub warning: Span,
    /// Further off is critical: second factors and certificates begin to fail.
    #[serde(default = "half_a_minute")]
    pub critical: Span,
}

/// Certificates in a file on the host; the one that ends first counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateCheck {
    /// The file, in PEM form. Private keys in it stay on the host.
    pub path: String,
    /// With less time left it is a warning.
    #[serde(default = "three_weeks")]
    pub warning: Span,
    /// With less time left it is critical.
    #[serde(default = "week")]
    pub critical: Span,
}

/// What the host's own disks say about their health (SMART). Containers and virtual machines have none, and are fine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SmartCheck {
    /// A disk of whose life so many percent are used up is a warning.
    #[serde(default = "ninety")]
    pub worn: u8,
}

/// How long ago the host last brought its packages up to date.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageUpdateCheck {
    /// Longer ago is a warning.
    #[serde(default = "three_days")]
    pub warning: Span,
    /// Longer ago is critical.
    #[serde(default = "eight_days")]
    pub critical: Span,
    /// Whether updates have to be installed without anybody asking; else only the list of updates has to be fresh.
    #[serde(default = "yes")]
    pub unattended: bool,
}

/// Ports on which programs listen for more than the host itself, although no service opens them in the firewall.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListeningPortsCheck {
    /// Further TCP ports on which somebody may listen.
    #[serde(default)]
    pub tcp: Vec<u16>,
    /// Further UDP ports on which somebody may listen.
    #[serde(default = "dhcp")]
    pub udp: Vec<u16>,
}

/// A program that answers by its exit code (0 ok, 1 warning, 2 critical, anything else unknown) and by its first line. Behind
/// a `|` that line may hold a figure, as plugins for Nagios and Icinga print it: `12 mails wait | mails=12`. A further line
/// that begins with `de: ` is the sentence in German.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandCheck {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// The Unix user that runs it.
    #[serde(default = "root")]
    pub user: String,
    /// Seconds after which it is ended; the answer is then unknown.
    #[serde(default = "one_minute")]
    pub timeout: u64,
}

/// A file or folder that has to change now and then: the newest file in it counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FreshnessCheck {
    /// The file or folder.
    pub path: String,
    /// Older than this is a warning.
    pub warning: Span,
    /// Older than this is critical.
    pub critical: Span,
}

fn seventy() -> u8 {
    70
}

fn eighty_five() -> u8 {
    85
}

fn ninety() -> u8 {
    90
}

fn ninety_five() -> u8 {
    95
}

fn ninety_seven() -> u8 {
    97
}

fn hundred() -> u64 {
    100
}

fn three_each() -> f64 {
    3.0
}

fn ten_each() -> f64 {
    10.0
}

fn two_seconds() -> Span {
    Span { seconds: 2 }
}

fn half_a_minute() -> Span {
    Span { seconds: 30 }
}

fn two_days() -> Span {
    Span { seconds: 2 * 86_400 }
}

fn three_days() -> Span {
    Span { seconds: 3 * 86_400 }
}

fn week() -> Span {
    Span { seconds: 7 * 86_400 }
}

fn eight_days() -> Span {
    Span { seconds: 8 * 86_400 }
}

fn two_weeks() -> Span {
    Span { seconds: 14 * 86_400 }
}

fn three_weeks() -> Span {
    Span { seconds: 21 * 86_400 }
}

fn month() -> Span {
    Span { seconds: 30 * 86_400 }
}

fn dhcp() -> Vec<u16> {
    vec![68, 546]
}

fn yes() -> bool {
    true
}

/// What does not fit together in a question for the agent, if anything.
pub(super) trait Sensible {
    /// The mistake, for authors of templates.
    fn mistake(&self) -> Option<&'static str>;
}

const PERCENT: &str = "warning, critical: expected percentages, critical not below warning and at most 100";
const RISING: &str = "critical: expected not less than warning";
const ABSOLUTE: &str = "path: expected an absolute path";

fn percent(warning: u8, critical: u8) -> Option<&'static str> {
    (critical < warning || critical > 100).then_some(PERCENT)
}

fn rising<T: PartialOrd>(warning: &T, critical: &T) -> Option<&'static str> {
    (critical < warning).then_some(RISING)
}

fn absolute(path: &str) -> Option<&'static str> {
    (!path.starts_with('/')).then_some(ABSOLUTE)
}

impl Sensible for DiskCheck {
    fn mistake(&self) -> Option<&'static str> {
        percent(self.warning, self.critical).or_else(|| self.path.as_deref().and_then(absolute))
    }
}

impl Sensible for InodesCheck {
    fn mistake(&self) -> Option<&'static str> {
        percent(self.warning, self.critical).or_else(|| self.path.as_deref().and_then(absolute))
    }
}

impl Sensible for MemoryCheck {
    fn mistake(&self) -> Option<&'static str> {
        percent(self.warning, self.critical)
    }
}

impl Sensible for SwapCheck {
    fn mistake(&self) -> Option<&'static str> {
        percent(self.warning, self.critical)
    }
}

impl Sensible for LoadCheck {
    fn mistake(&self) -> Option<&'static str> {
        rising(&self.warning, &self.critical)
    }
}

impl Sensible for UnitCheck {
    fn mistake(&self) -> Option<&'static str> {
        (!self.unit.contains('.')).then_some("unit: expected its whole name, for example nginx.service")
    }
}

impl Sensible for SecurityUpdatesCheck {
    fn mistake(&self) -> Option<&'static str> {
        rising(&self.warning, &self.critical)
    }
}

impl Sensible for RebootRequiredCheck {
    fn mistake(&self) -> Option<&'static str> {
        rising(&self.warning, &self.critical)
    }
}

impl Sensible for ClockCheck {
    fn mistake(&self) -> Option<&'static str> {
        rising(&self.warning, &self.critical)
    }
}

impl Sensible for CertificateCheck {
    fn mistake(&self) -> Option<&'static str> {
        // The less time is left the worse.
        rising(&self.critical, &self.warning)
            .map(|_| "critical: expected a shorter time than warning")
            .or_else(|| absolute(&self.path))
    }
}

impl Sensible for PackageUpdateCheck {
    fn mistake(&self) -> Option<&'static str> {
        rising(&self.warning, &self.critical)
    }
}

impl Sensible for CommandCheck {
    fn mistake(&self) -> Option<&'static str> {
        self.argv.is_empty().then_some("argv: it is empty")
    }
}

impl Sensible for FreshnessCheck {
    fn mistake(&self) -> Option<&'static str> {
        absolute(&self.path).or_else(|| {
            rising(&self.warning, &self.critical).map(|_| "critical: expected a longer time than warning")
        })
    }
}
