//! The repository of a service on a disk of the controller's: the only one that its host writes to.

use std::path::{Path, PathBuf};

use jiff::Timestamp;

use crate::backup::engine::{Call, Command, Credential, Place, Restic};
use crate::backup::repository::{self as served, Permission};
use crate::backup::{Disk, Serving, create, repository_password};
use crate::model::{Name, Repository, Secret, Service, Size};
use crate::operations::{Controller, OperationError};
use crate::vault::{SecretScope, generate_password};

/// What stays free of a disk and of its files, in percent.
pub const RESERVE: u8 = 10;

/// Characters of a repository's password.
pub const PASSWORD: usize = 40;

/// A repository that is there.
pub struct Here {
    /// What is known of it.
    pub repository: Repository,
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// Its password.
    pub password: Secret,
    /// Bytes that may still be written to its target; none where there is no quota.
    pub allowance: Option<u64>,
}

impl Here {
    /// What its host may do with it: read and add.
    pub fn served(&self) -> served::Repository {
        self.served_as(Permission::Append { may_create: false })
    }

    /// Notes how large it has become.
    ///
    /// # Errors
    /// What the disk or the store says.
    pub async fn count(&self, controller: &Controller) -> Result<(), OperationError> {
        let folder = self.folder.clone();
        let counted = tokio::task::spawn_blocking(move || bytes_below(&folder)).await;
        let bytes = counted
            .unwrap_or_else(|error| Err(std::io::Error::other(error)))
            .map_err(|error| {
                OperationError::Refused(format!(
                    "cannot see how large {} is: {error}",
                    self.folder.display()
                ))
            })?;
        let targets = controller.store.targets();
        Ok(targets
            .set_size(&self.repository.id, Size(bytes), Timestamp::now())
            .await?)
    }

    /// The same with another permission.
    pub fn served_as(&self, permission: Permission) -> served::Repository {
        served::Repository {
            folder: self.folder.clone(),
            permission,
            allowance: self.allowance,
            reserve_percent: RESERVE,
        }
    }
}

/// The repository of a service; made if there is none.
///
/// # Errors
/// No target of the right kind, a disk that is not there, or what restic says.
pub async fn here(controller: &Controller, service: &Service) -> Result<Here, OperationError> {
    let targets = controller.store.targets().list().await?;
    let target = Serving::of(&service.organisation, &targets)
        .first
        .ok_or_else(|| {
            OperationError::Refused(
            "no target on a disk of this machine serves it. Add one: allmende target add NAME --disk FOLDER"
                .to_owned(),
        )
        })?;
    let disk = Disk::of(target).ok_or_else(|| {
        OperationError::Refused(format!("target {} is not on a disk of this machine", target.name))
    })?;
    disk.ready()?;
    let store = controller.store.targets();
    let known = store.repositories().await?;
    let used: u64 = known
        .iter()
        .filter(|repository| repository.target == target.name)
        .filter_map(|repository| repository.size_bytes)
        .map(|size| size.0)
        .sum();
    let own = known.into_iter().find(|repository| {
        (&repository.target, &repository.organisation, &repository.service)
            == (&target.name, &service.organisation, &service.name)
    });
    let (repository, is_new) = match own {
        Some(repository) => (repository, false),
        None => (new(&service.organisation, &service.name, &target.name)?, true),
    };
    let make = || generate_password(PASSWORD);
    let password = controller
        .vault
        .get_or_create(
            &SecretScope::Backups(service.organisation.clone()),
            &repository_password(&repository),
            make,
        )
        .await?;
    if is_new {
        store.add_repository(&repository).await?;
    }
    let folder = disk.folder.join(&repository.folder);
    let is_empty = controller
        .store
        .backups()
        .snapshots_in(&repository.id)
        .await?
        .is_empty();
    // An empty one in its place would hide that the backups are gone.
    if !is_empty && !folder.join("config").exists() {
        return Err(OperationError::Refused(format!(
            "the repository {} is gone, and with it the backups of {}. Put the folder back; or forget what was in it: \
             allmende target remove {} --forget",
            folder.display(),
            service.full_name(),
            target.name
        )));
    }
    create(&folder, &password).await?;
    // As long as it is empty, its making may have been cut off before.
    if is_empty {
        controller.give_escrow_key(&targets, &repository).await?;
    }
    unlock(controller, &folder, &password).await?;
    Ok(Here {
        repository,
        folder,
        password,
        allowance: target.quota_bytes.map(|quota| quota.0.saturating_sub(used)),
    })
}

/// Removes the locks of a restic on this machine that was killed: they would keep every host from backing up. The host is locked
/// meanwhile, so nobody else is at work here.
async fn unlock(controller: &Controller, folder: &Path, password: &Secret) -> Result<(), OperationError> {
    let locked = std::fs::read_dir(folder.join("locks")).is_ok_and(|mut locks| locks.next().is_some());
    if locked {
        let restic = Restic::find(Path::new("restic"), &controller.data_dir).await?;
        let place = Place::Folder(folder.to_owned());
        let call = Call::new(&place, &Credential::None, password, Command::Unlock);
        restic.ask(&call).await?;
    }
    Ok(())
}

/// The sizes of all files below a folder, in bytes.
fn bytes_below(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        bytes += match entry.metadata()? {
            metadata if metadata.is_dir() => bytes_below(&entry.path())?,
            metadata => metadata.len(),
        };
    }
    Ok(bytes)
}

/// A repository in a target, with a name that no other one has; written down nowhere yet.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new(organisation: &Name, service: &Name, target: &Name) -> Result<Repository, OperationError> {
    let mut random = [0_u8; 8];
    rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| OperationError::Refused(format!("the system gives no random numbers: {error}")))?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let short = id.get(..8).unwrap_or_default();
    Ok(Repository {
        folder: format!("{organisation}/{service}-{short}"),
        id,
        target: target.clone(),
        organisation: organisation.clone(),
        service: service.clone(),
        created_at: Timestamp::now(),
        size_bytes: None,
        counted_at: None,
        check: None,
        damaged: None,
        pruned_at: None,
    })
}
