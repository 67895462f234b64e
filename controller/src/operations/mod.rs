//! Operations: everything that somebody can ask Allmende to do. One struct each; authorisation, audit, locks, dry-run and
//! progress live here once, for all faces.

mod access;
mod action;
mod address;
mod apply;
mod asking;
mod backup;
mod check;
mod check_settings;
mod clock;
mod controller;
mod database;
mod emergency;
mod error;
mod host;
mod host_edit;
mod host_keys;
mod host_lock;
mod host_repair;
mod import;
mod import_targets;
mod incident;
mod maintenance;
mod notify;
mod observation;
mod organisation;
mod own_backup;
mod queue;
mod registry;
mod runner;
mod schedule;
mod schedule_pause;
#[cfg(test)]
mod schedule_tests;
mod service;
mod service_removal;
mod setting;
mod watched;

use std::collections::BTreeSet;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use access::{Asker, OwnAccess, Person};
pub use action::RunAction;
pub use apply::ApplyHost;
pub use asking::{Asked, ask_now};
pub use backup::{
    AddTarget, CheckBackups, CopyBackups, EditTarget, PruneBackups, RemoveTarget, RestoreService, RunBackup,
    RunDrill, UndoRestore, needs_secret,
};
pub use check::{AddCheck, EditCheck, RemoveCheck};
pub use check_settings::CheckSettings;
pub use clock::{Served, fire_due};
pub use controller::Controller;
pub use emergency::ConfirmSheet;
pub use error::OperationError;
pub use host::{AddHost, ReadFacts, RemoveHost};
pub use host_edit::EditHost;
pub use host_keys::{AcceptHostKey, RotateHostKey};
pub use host_lock::{LockHost, UnlockHost};
pub use host_repair::RepairHost;
pub use import::{ImportInventory, open_secrets, seal_secrets};
pub use incident::AcknowledgeIncident;
pub use maintenance::{AddMaintenance, EndMaintenance};
pub use notify::{
    AddChannel, AddPerson, AddRule, EditChannel, EditPerson, RemoveChannel, RemovePerson, RemoveRule,
    TestChannel,
};
pub use organisation::{AddOrganisation, EditOrganisation, RemoveOrganisation};
pub use own_backup::{BackUpController, Restoration, Restored, check_passphrase, passphrase_in};
pub use queue::{cancel_job, retry_job};
pub use registry::Request;
pub use runner::{
    ClaimedJob, Holder, JobContext, LEASE, Observer, Prepared, RENEWAL, execute, hand_over, prepare,
};
pub use schedule::{AddSchedule, EditSchedule, RemoveSchedule, SHOWN_TIMES, seconds};
pub use schedule_pause::{PauseSchedule, ResumeSchedule};
pub use service::{AddService, EditService};
pub use service_removal::RemoveService;
pub use setting::Setting;
pub use watched::Watched;
#[expect(unused_imports, reason = "the sweep keeps a Watching")]
pub use watched::{WatchList, Watching};

use crate::model::{Name, Outcome, Role};

/// How much an operation can spoil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It changes what Allmende knows, and nothing else.
    Safe,
    /// It changes hosts or services.
    Change,
    /// It takes something away.
    Destructive,
}

/// What an operation is about: who may ask for it depends on the organisations, who else may work depends on the hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Organisations that it belongs to; none for the controller itself.
    pub organisations: BTreeSet<Name>,
    /// Hosts that it changes: only one such job at a time for each.
    pub hosts: BTreeSet<Name>,
}

impl Scope {
    /// About one organisation.
    pub fn organisation(name: &Name) -> Self {
        Self::organisations([name.clone()])
    }

    /// About several organisations, or none.
    pub fn organisations(names: impl IntoIterator<Item = Name>) -> Self {
        Self {
            organisations: names.into_iter().collect(),
            hosts: BTreeSet::new(),
        }
    }

    /// Changes these hosts.
    #[must_use]
    pub fn locking(mut self, hosts: impl IntoIterator<Item = Name>) -> Self {
        self.hosts.extend(hosts);
        self
    }
}

/// What an operation would do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Preview {
    /// For people, one thing each.
    pub sentences: Vec<String>,
}

impl Preview {
    /// A preview of these sentences.
    pub fn of(sentences: impl IntoIterator<Item = String>) -> Self {
        Self {
            sentences: sentences.into_iter().collect(),
        }
    }
}

/// Something that somebody can ask Allmende to do. The struct that implements it is the command line's arguments, the
/// parameters of a job and what the audit log keeps: a field that holds a secret is never serialised.
#[allow(async_fn_in_trait, reason = "operations run on the task that asked for them")]
pub trait Operation: Clone + Serialize + DeserializeOwned {
    /// Its name: `host.add`.
    const NAME: &'static str;
    /// How much it can spoil.
    const RISK: Risk;

    /// Whether doing it again after it was cut off does no harm: it is then taken up by itself.
    const REPEATABLE: bool = false;

    /// The lowest role that may ask for it.
    ///
    /// # Errors
    /// When that depends on something that does not exist.
    async fn role(&self, _controller: &Controller) -> Result<Role, OperationError> {
        Ok(Role::Admin)
    }

    /// In a few words what it is about: "add host web1".
    fn title(&self) -> String;

    /// Itself as the job and the audit log keep it. An operation in which a person can put a secret where none belongs
    /// leaves it out here, for what is written there stays.
    async fn kept(&self, _controller: &Controller) -> Self {
        self.clone()
    }

    /// What it is about.
    ///
    /// # Errors
    /// When it is about something that does not exist.
    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError>;

    /// What it would do. Changes nothing.
    ///
    /// # Errors
    /// Why it would be refused.
    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError>;

    /// Does it.
    ///
    /// # Errors
    /// Why it was refused or failed.
    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError>;
}
