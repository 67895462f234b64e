//! A service with the backup of it that is read.

use super::repository::{Here, here};
use crate::backup::WayBack;
use crate::catalogue::{Backup as Wanted, Care};
use crate::model::{Backup, BackupId, BackupOutcome, Service, ServiceRef, Snapshot};
use crate::operations::{Controller, OperationError};

/// A service, what its template says, and one of its backups.
pub struct Chosen {
    /// The service.
    pub service: Service,
    /// What its template says.
    pub care: Care,
    /// What it says of backups.
    pub wanted: Wanted,
    /// The backup.
    pub backup: Backup,
    secrets: Vec<String>,
}

impl Chosen {
    /// The service with the backup of this number; without one, the newest complete one, or the newest that holds
    /// anything where none is complete.
    ///
    /// # Errors
    /// When there is no such service, or no such backup of it.
    pub async fn find(
        controller: &Controller,
        reference: &ServiceRef,
        backup: Option<BackupId>,
    ) -> Result<Self, OperationError> {
        let service = controller.store.services().find(reference).await?;
        let name = service.full_name();
        let refused = |why: String| Err(OperationError::Refused(why));
        let (bindings, secrets) = controller.bind(&service).await?;
        let care = controller
            .catalogue
            .care(controller.catalogue.get(&service.template)?, &bindings)?;
        let Some(wanted) = care.backup.clone() else {
            return refused(format!("{name}: its template backs nothing up"));
        };
        let backups = controller
            .store
            .backups()
            .of_service(&service.organisation, &service.name)
            .await?;
        let newest = |outcome| {
            let of = backups.iter().find(|one| one.outcome == Some(outcome));
            of.map(|one| one.id)
        };
        let id = backup
            .or_else(|| newest(BackupOutcome::Complete))
            .or_else(|| newest(BackupOutcome::Incomplete));
        let found = backups.into_iter().find(|one| Some(one.id) == id);
        let Some(found) = found else {
            return refused(match backup {
                Some(id) => format!("{name} has no backup {id}; see them with: allmende backup list {name}"),
                None => format!("{name} has no backup yet. Make one: allmende backup run {name}"),
            });
        };
        Ok(Self {
            service,
            care,
            wanted,
            backup: found,
            secrets: secrets
                .values()
                .map(|secret| secret.reveal().to_owned())
                .collect(),
        })
    }

    /// The repository that is read, and the backup's snapshots in it.
    pub async fn open(&self, controller: &Controller) -> Result<(Here, Vec<Snapshot>), OperationError> {
        let here = here(controller, &self.service).await?;
        let mut snapshots = controller.store.backups().snapshots(self.backup.id).await?;
        snapshots.retain(|snapshot| snapshot.repository == here.repository.id);
        Ok((here, snapshots))
    }

    /// The way back from it.
    pub fn way_back<'a>(&'a self, here: &'a Here, snapshots: &'a [Snapshot], run: &'a str) -> WayBack<'a> {
        WayBack {
            backup: &self.backup,
            snapshots,
            care: &self.care,
            wanted: &self.wanted,
            run,
            password: &here.password,
            secrets: self.secrets.clone(),
        }
    }

    /// Values that nobody may see.
    pub fn secrets(&self) -> Vec<String> {
        self.secrets.clone()
    }
}
