//! The definition of a service template: what a `service.toml` may say.
//!
//! `templates/README.md` documents the format for authors; the documentation of the fields here becomes its reference.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::parameter::Parameter;
use super::sections::{Action, CheckEntry};
use crate::model::Text;

/// The version of the format that this program reads.
pub const FORMAT: u32 = 1;

/// The content of a `service.toml`, before anything in it is rendered.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The version of the format, [`FORMAT`].
    pub format: u32,
    /// The folder's name.
    pub name: String,
    /// What people call it.
    pub title: Text,
    /// What it is, in one sentence.
    pub summary: Text,
    /// Whether it describes a service, the host itself, or a part of others.
    #[serde(default)]
    pub scope: Scope,
    /// Templates that are applied to the same host before this one.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Parts that are taken in as if they stood here.
    #[serde(default)]
    pub include: Vec<String>,
    /// Whether a host has at most one of it: its package has one fixed user, folder or port.
    #[serde(default)]
    pub one_per_host: bool,
    /// Where people find the service.
    pub url: Option<String>,
    /// How the first person gets in.
    pub login: Option<Login>,
    /// What has to be known before it can be set up.
    #[serde(default)]
    pub params: IndexMap<String, Parameter>,
    /// Supported versions.
    #[serde(default)]
    pub releases: Vec<Release>,
    /// What a change of the version has to respect.
    pub upgrade: Option<Upgrade>,
    /// Conditions that are checked before anything is touched.
    #[serde(default)]
    pub requirements: Vec<Requirement>,
    /// Values made from others.
    #[serde(default)]
    pub vars: IndexMap<String, toml::Value>,
    /// Headings of the plan.
    #[serde(default)]
    pub headings: IndexMap<String, Text>,
    /// The desired state, in order.
    #[serde(default)]
    pub resources: Vec<ResourceEntry>,
    /// What the host shall look like, besides, once the service is removed; resources like those above.
    #[serde(default)]
    pub removal: Vec<ResourceEntry>,
    /// What the host shall look like, besides, once the service is removed together with its data; after `removal`.
    #[serde(default)]
    pub deletion: Vec<ResourceEntry>,
    /// What happens once after changes, in order.
    #[serde(default)]
    pub handlers: Vec<toml::Table>,
    /// What to ask again and again.
    #[serde(default)]
    pub checks: Vec<CheckEntry>,
    /// What to back up, and how; see [`super::Backup`].
    pub backup: Option<toml::Table>,
    /// Why nothing of it belongs in a backup; a service has this or `backup`.
    pub no_backup: Option<Text>,
    /// The way back; see [`super::Restore`].
    pub restore: Option<toml::Table>,
    /// What proves that a restored copy works; see [`super::Verify`].
    pub verify: Option<toml::Table>,
    /// Day-to-day helps, by name.
    #[serde(default)]
    pub actions: IndexMap<String, Action>,
    /// What kinds of personal data live there; see [`super::PersonalData`].
    #[serde(default)]
    pub privacy: Vec<toml::Table>,
}

impl Manifest {
    /// Whether the host's system decides which release there is, and not a parameter `version`.
    pub fn released_by_host(&self) -> bool {
        self.releases.iter().any(|release| release.host.is_some())
    }
}

/// What a template describes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// A service of an organisation.
    #[default]
    Service,
    /// The host itself.
    Host,
    /// Nothing by itself: other templates include it.
    Part,
}

/// How the first person gets into a service.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The account's name.
    pub user: String,
    /// The parameter that holds its password.
    pub secret: String,
}

/// A supported version.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Release {
    /// Matches the parameter `version` by its leading components; with `host`, it is what that system ships.
    pub version: String,
    /// The host's system, where it decides on the version: `os` and `release` of the host's facts. All releases of a template
    /// have it, or none; on a host that matches none, `release` is undefined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The last day on which it gets security fixes, `YYYY-MM-DD`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_of_life: Option<jiff::civil::Date>,
    /// The template's own fields, available as `release.…`.
    #[serde(flatten)]
    pub fields: BTreeMap<String, toml::Value>,
}

/// The rule for changes of the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upgrade {
    /// How far one apply may go.
    pub step: Step,
}

/// How far one apply may raise the version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Within its first component, or to the next release in the list.
    Major,
}

/// A condition that must hold.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// An expression.
    pub that: String,
    /// What a person is told when it does not hold; rendered.
    pub message: Text,
}

/// One entry of the desired state.
#[derive(Debug, Clone, Deserialize)]
pub struct ResourceEntry {
    /// Unique in the template.
    pub id: Option<String>,
    /// Its kind.
    pub kind: String,
    /// Its heading.
    pub heading: Option<String>,
    /// It is left out when this expression is false.
    pub when: Option<String>,
    /// It is repeated for each element of the list that this expression gives.
    pub for_each: Option<String>,
    /// Handlers to run when it changed.
    #[serde(default)]
    pub notify: Vec<String>,
    /// The fields of its kind.
    #[serde(flatten)]
    pub fields: toml::Table,
}
