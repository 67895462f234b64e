//! What keeps repositories in order, with restic on the controller: thinning out, looking whether all is whole, copying.

mod check;
mod copy;
mod prune;

use std::collections::BTreeSet;
use std::path::Path;

use clap::Args;
use serde::{Deserialize, Serialize};

pub use check::CheckBackups;
pub use copy::CopyBackups;
pub use prune::PruneBackups;

use crate::backup::engine::{Call, Command, Credential, EngineError, Place, Restic};
use crate::backup::{Disk, credential, repository_password};
use crate::model::{JobEventKind, Name, Repository, Secret, ServiceRef, Snapshot, Target};
use crate::operations::{Controller, JobContext, OperationError, Scope};
use crate::vault::SecretScope;

/// Which repositories.
#[derive(Debug, Clone, Default, Args, Serialize, Deserialize)]
pub struct Which {
    /// Only those of these services, which may be gone by now
    #[arg(value_name = "SERVICE")]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceRef>,
    /// Only those of this organisation
    #[arg(long = "org", value_name = "ORGANISATION", conflicts_with = "services")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Name>,
    /// Only those in this target
    #[arg(long, value_name = "TARGET")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Name>,
}

impl Which {
    /// Whether this is about all that a service has.
    fn means(&self, organisation: &Name, service: &Name) -> bool {
        let named = |reference: &ServiceRef| {
            &reference.service == service
                && reference
                    .organisation
                    .as_ref()
                    .is_none_or(|owner| owner == organisation)
        };
        (self.services.is_empty() || self.services.iter().any(named))
            && self
                .organisation
                .as_ref()
                .is_none_or(|owner| owner == organisation)
    }

    /// The repositories, with their targets.
    async fn repositories(
        &self,
        controller: &Controller,
    ) -> Result<Vec<(Repository, Target)>, OperationError> {
        if let Some(target) = &self.target {
            controller.store.targets().get(target).await?;
        }
        let targets = controller.store.targets().list().await?;
        let mut found = Vec::new();
        for repository in controller.store.targets().repositories().await? {
            let wanted = self.means(&repository.organisation, &repository.service)
                && self
                    .target
                    .as_ref()
                    .is_none_or(|target| *target == repository.target);
            let target = targets.iter().find(|target| target.name == repository.target);
            if let Some(target) = target.filter(|_| wanted) {
                found.push((repository, target.clone()));
            }
        }
        for reference in &self.services {
            let held = |(repository, _): &(Repository, Target)| {
                repository.service == reference.service
                    && reference
                        .organisation
                        .as_ref()
                        .is_none_or(|owner| *owner == repository.organisation)
            };
            if !found.iter().any(held) {
                return Err(OperationError::Refused(format!(
                    "there is no backup of {reference} there"
                )));
            }
        }
        Ok(found)
    }

    /// Nobody backs up these services meanwhile: their hosts are locked.
    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let mut organisations = BTreeSet::new();
        let mut hosts = BTreeSet::new();
        for (repository, _) in self.repositories(controller).await? {
            let reference = ServiceRef {
                organisation: Some(repository.organisation.clone()),
                service: repository.service,
            };
            if let Ok(service) = controller.store.services().find(&reference).await {
                hosts.insert(service.host);
            }
            organisations.insert(repository.organisation);
        }
        Ok(Scope::organisations(organisations).locking(hosts))
    }

    fn title(&self) -> String {
        let what = match (&self.services[..], &self.organisation) {
            ([], None) => "all services".to_owned(),
            ([], Some(organisation)) => organisation.to_string(),
            (services, _) => services
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", "),
        };
        match &self.target {
            Some(target) => format!("{what} in {target}"),
            None => what,
        }
    }
}

/// How a repository is called for people.
fn full_name(repository: &Repository) -> String {
    format!(
        "{}/{} in {}",
        repository.organisation, repository.service, repository.target
    )
}

/// A repository that can be worked in.
struct Opened {
    place: Place,
    credential: Credential,
    password: Secret,
}

impl Opened {
    /// Looks whether its disk is there, and takes its password and the target's from the vault.
    async fn of(
        controller: &Controller,
        repository: &Repository,
        target: &Target,
    ) -> Result<Self, OperationError> {
        if let Some(disk) = Disk::of(target) {
            disk.ready()?;
        }
        let owner = SecretScope::Backups(repository.organisation.clone());
        let password = controller
            .vault
            .get(&owner, &repository_password(repository))
            .await?;
        let password = password.ok_or_else(|| {
            OperationError::Refused(format!("the vault has no password for {}", full_name(repository)))
        })?;
        let credential = controller
            .vault
            .get(&SecretScope::Controller, &credential(&target.name))
            .await?;
        Ok(Self {
            place: Place::at(&target.location, &repository.folder),
            credential,
            password,
        })
    }

    fn call<'a>(&'a self, command: Command<'a>) -> Call<'a> {
        Call::new(&self.place, &self.credential, &self.password, command)
    }

    /// The folder, if it is one of this machine.
    fn folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(folder) => Some(folder),
            _ => None,
        }
    }

    /// Removes the locks that a controller left that was killed. The hosts are locked meanwhile, so no backup is under way.
    async fn unlock(&self, restic: &Restic) -> Result<(), OperationError> {
        restic.ask(&self.call(Command::Unlock)).await?;
        Ok(())
    }

    /// What is in it, whoever put it there.
    async fn snapshots(&self, restic: &Restic) -> Result<Vec<Found>, OperationError> {
        let text = restic.ask(&self.call(Command::Snapshots)).await?;
        serde_json::from_str::<Option<Vec<Found>>>(&text)
            .map(Option::unwrap_or_default)
            .map_err(|error| {
                OperationError::Refused(format!("restic named its snapshots in an unknown way: {error}"))
            })
    }
}

/// A snapshot, as restic names it.
#[derive(Debug, Deserialize)]
struct Found {
    /// 64 digits.
    id: String,
    /// The snapshot that it is a copy of.
    #[serde(default)]
    original: Option<String>,
    /// What it was marked with.
    #[serde(default)]
    tags: Vec<String>,
}

/// Those that should be there, and are not.
fn lost(recorded: &[Snapshot], there: &[Found]) -> Vec<Snapshot> {
    let gone = |snapshot: &&Snapshot| !there.iter().any(|found| found.id == snapshot.id);
    recorded.iter().filter(gone).cloned().collect()
}

/// restic on this machine.
async fn restic(controller: &Controller) -> Result<Restic, EngineError> {
    Restic::find(Path::new("restic"), &controller.data_dir).await
}

/// What several repositories came to: the sentences for people, and what went wrong with some of them.
#[derive(Default)]
struct Account {
    done: Vec<String>,
    wrong: Vec<String>,
}

impl Account {
    /// Tells, and remembers that it makes the job fail at its end.
    fn complain(&mut self, context: &JobContext<'_>, text: String) {
        context.notify(JobEventKind::Warning { text: text.clone() });
        self.wrong.push(text);
    }

    /// What the job says at its end.
    fn message(self, nothing: &str) -> Result<String, OperationError> {
        if !self.wrong.is_empty() {
            return Err(OperationError::Refused(self.wrong.join("\n")));
        }
        Ok(match self.done.join("\n") {
            none if none.is_empty() => nothing.to_owned(),
            text => text,
        })
    }
}
