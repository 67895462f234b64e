//! What a service needs once it is set up: to be asked how it is, to be backed up and restored, to be used day by day, and to
//! be accounted for. One file for each section of `service.toml`.

mod action;
mod backup;
mod check;
mod privacy;
mod span;
mod step;

#[cfg(test)]
mod tests;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use action::{Action, ActionCall, ActionRisk, OutputKind};
pub use backup::{Backup, Dump, DumpSource, Restore, Verify};
pub use check::{
    CertificateCheck, Check, CheckEntry, ClockCheck, DateCheck, DiskCheck, DnsCheck, FailedUnitsCheck,
    FreshnessCheck, HttpCheck, InodesCheck, JsonExpectation, LoadCheck, MemoryCheck, Method,
    PackageUpdateCheck, Place, Question, RebootRequiredCheck, RecordType, SecurityUpdatesCheck, SmartCheck,
    SwapCheck, TcpCheck, TlsCheck, Trust, UnitCheck,
};
pub use privacy::PersonalData;
pub use span::Span;
pub use step::Step;

use super::bindings::Bindings;
use super::error::Problem;
use super::render::{Renderer, Variables};
use super::template::Manifest;

/// The sections of one service, rendered with its values.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Care {
    /// What to ask again and again.
    pub checks: Vec<Check>,
    /// What to back up, and how; none where nothing is worth it.
    pub backup: Option<Backup>,
    /// The way back.
    pub restore: Restore,
    /// What proves that a restored copy works.
    pub verify: Verify,
    /// What kinds of personal data live there.
    pub privacy: Vec<PersonalData>,
}

/// Renders the sections of a bound template; its actions are rendered when somebody uses them.
///
/// # Errors
/// What is wrong with them, and where.
pub fn care(renderer: &Renderer, manifest: &Manifest, bindings: &Bindings) -> Result<Care, Problem> {
    let variables = &bindings.variables;
    let mut checks = Vec::new();
    for entry in &manifest.checks {
        let place = |problem: Problem| problem.inside(entry.id.clone()).inside("checks");
        checks.extend(entry.render(renderer, variables).map_err(place)?);
    }
    let mut privacy = Vec::new();
    for (number, raw) in manifest.privacy.iter().enumerate() {
        let place = |problem: Problem| {
            let number = format!("number {}", number + 1);
            problem.inside(number).inside("privacy")
        };
        privacy.push(rendered(renderer, raw, variables).map_err(place)?);
    }
    let care = Care {
        checks,
        backup: section(renderer, manifest.backup.as_ref(), "backup", variables)?,
        restore: section(renderer, manifest.restore.as_ref(), "restore", variables)?.unwrap_or_default(),
        verify: section(renderer, manifest.verify.as_ref(), "verify", variables)?.unwrap_or_default(),
        privacy,
    };
    match care.contradiction() {
        Some(problem) => Err(problem),
        None => Ok(care),
    }
}

impl Care {
    /// What does not fit together, if anything.
    fn contradiction(&self) -> Option<Problem> {
        let checks = self.checks.iter().map(|check| check.id.as_str());
        twice(checks)
            .map(|id| Problem::new(format!("there is a second check with the id {id:?}")).inside("checks"))
            .or_else(|| {
                let backup = self.backup.as_ref()?;
                backup.contradiction().map(|problem| problem.inside("backup"))
            })
            .or_else(|| {
                let restore = self.restore.contradiction()?;
                Some(restore.inside("restore"))
            })
            .or_else(|| {
                let verify = self.verify.contradiction(self.backup.as_ref())?;
                Some(verify.inside("verify"))
            })
            .or_else(|| {
                let mut places = self.privacy.iter().flat_map(|data| &data.places);
                let place = places.find(|place| !place.starts_with('/'))?;
                Some(Problem::new(format!("{place:?} is no absolute path")).inside("privacy, places"))
            })
    }
}

fn section<T: DeserializeOwned>(
    renderer: &Renderer,
    raw: Option<&toml::Table>,
    name: &str,
    variables: &Variables,
) -> Result<Option<T>, Problem> {
    raw.map(|raw| rendered(renderer, raw, variables).map_err(|problem| problem.inside(name)))
        .transpose()
}

/// Renders a table and gives it its type.
fn rendered<T: DeserializeOwned>(
    renderer: &Renderer,
    raw: &toml::Table,
    variables: &Variables,
) -> Result<T, Problem> {
    let table = renderer.table(raw, variables)?;
    // The message of a nested value has its place in a line of its own.
    T::deserialize(table).map_err(|error| Problem::new(error.to_string().trim().replace('\n', " ")))
}

/// The first name that comes twice.
fn twice<'a>(names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut seen = std::collections::BTreeSet::new();
    names.into_iter().find(|name| !seen.insert(*name))
}
