//! Adding and changing targets.

use std::path::PathBuf;

use clap::{ArgGroup, Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::location::LocationSettings;
use crate::backup::{Disk, credential};
use crate::fleet::{ControllerKey, Destination};
use crate::model::{
    HostKey, Location, MonthlyCost, Name, Outcome, Retention, Secret, Size, Target, TargetKind,
};
use crate::operations::organisation::check_optional;
use crate::operations::{Controller, JobContext, Operation, OperationError, OwnAccess, Preview, Risk, Scope};
use crate::store::{StoreError, now};
use crate::vault::SecretScope;

/// Adds a target: a place for backups
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(group = ArgGroup::new("location").required(true).args(["disk", "sftp", "s3", "rest"]))]
pub struct AddTarget {
    /// Short name of the target, for example usb
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    #[command(flatten)]
    #[serde(flatten)]
    pub location: LocationSettings,
    /// Where its disks stand: "cellar of the parish hall"
    #[arg(long)]
    pub place: Option<String>,
    /// What is kept of each service: rules with numbers, or all
    #[arg(long, value_name = "RULES", default_value_t = Retention::USUAL)]
    #[serde(default = "usual")]
    pub keep: Retention,
    /// All of its backups together may grow so large: "500 GB"
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<Size>,
    /// What it costs a month, in euros
    #[arg(long, value_name = "EUROS")]
    pub monthly_cost: Option<MonthlyCost>,
    /// Only for this organisation's services; may be given several times. Without it, for all
    #[arg(long = "org", value_name = "ORGANISATION")]
    #[serde(default)]
    pub organisations: Vec<Name>,
    /// The password or key; never written down but in the vault.
    #[arg(skip)]
    #[serde(skip)]
    pub secret: Option<Secret>,
    /// Who recognises a server that is met for the first time.
    #[arg(skip)]
    #[serde(skip)]
    pub access: OwnAccess,
}

fn usual() -> Retention {
    Retention::USUAL
}

/// What can be cleared of a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TargetField {
    /// Where its disks stand
    Place,
    /// How large it may grow
    Quota,
    /// What it costs
    MonthlyCost,
    /// Whom it serves: all
    Organisations,
}

/// Changes a target
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
#[command(group = ArgGroup::new("location").args(["disk", "sftp", "s3", "rest"]))]
pub struct EditTarget {
    /// Its short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    #[command(flatten)]
    #[serde(flatten)]
    pub location: LocationSettings,
    /// Where its disks stand
    #[arg(long)]
    pub place: Option<String>,
    /// What is kept of each service: rules with numbers, or all
    #[arg(long, value_name = "RULES")]
    pub keep: Option<Retention>,
    /// All of its backups together may grow so large
    #[arg(long, value_name = "SIZE")]
    pub quota: Option<Size>,
    /// What it costs a month, in euros
    #[arg(long, value_name = "EUROS")]
    pub monthly_cost: Option<MonthlyCost>,
    /// Only for this organisation's services; those given replace all that are known
    #[arg(long = "org", value_name = "ORGANISATION")]
    #[serde(default)]
    pub organisations: Vec<Name>,
    /// Forgets a field
    #[arg(long)]
    #[serde(default)]
    pub clear: Vec<TargetField>,
    /// The new password or key; never written down but in the vault.
    #[arg(skip)]
    #[serde(skip)]
    pub secret: Option<Secret>,
    /// Who recognises a server that is met for the first time.
    #[arg(skip)]
    #[serde(skip)]
    pub access: OwnAccess,
}

/// Refuses what cannot be a target, before anything is changed.
async fn check(target: &Target, controller: &Controller) -> Result<(), OperationError> {
    check_optional("the place", target.place.as_ref())?;
    for organisation in &target.organisations {
        controller.store.organisations().get(organisation).await?;
    }
    if let Some(disk) = Disk::of(target) {
        disk.check(&taken(&target.name, controller).await?)?;
    }
    Ok(())
}

/// The folders that a target's may not overlap with, and what they are.
async fn taken(own: &Name, controller: &Controller) -> Result<Vec<(PathBuf, String)>, OperationError> {
    let data = &controller.data_dir;
    let mut taken = vec![
        (
            data.join(crate::store::FILE_NAME),
            "Allmende's database".to_owned(),
        ),
        (
            data.join(crate::vault::KEY_FILE),
            "the key to the secrets".to_owned(),
        ),
        (data.join("archives"), "Allmende's archives".to_owned()),
        (data.join("lab"), "the practice hosts".to_owned()),
    ];
    for target in controller.store.targets().list().await? {
        if let Location::Disk { folder, .. } = target.location
            && target.name != *own
        {
            taken.push((folder, format!("target {}", target.name)));
        }
    }
    Ok(taken)
}

/// The key of a server that is met for the first time, as a person recognises it.
async fn see_server(
    settings: &LocationSettings,
    old: Option<&Location>,
    access: &OwnAccess,
    controller: &Controller,
) -> Result<Option<HostKey>, OperationError> {
    let Some(at) = settings.unseen_server(old) else {
        return Ok(None);
    };
    let server = Destination::of_jump(&at, &[]);
    let key = controller.jump_key().await?;
    let fingerprint = settings.fingerprint.as_ref();
    Ok(Some(
        access.pin(&server, fingerprint, "--fingerprint", &key).await?,
    ))
}

/// Refuses a password where none is of use, and a key that is none.
fn check_secret(target: &Target, secret: Option<&Secret>) -> Result<(), OperationError> {
    match (&target.location, secret) {
        (Location::Disk { .. } | Location::Rest { user: None, .. }, Some(_)) => Err(OperationError::Refused(
            format!("{} needs no password: leave it out", target.name),
        )),
        (Location::Sftp { .. }, Some(secret)) if secret.reveal().starts_with("-----BEGIN") => {
            ControllerKey::from_openssh(secret)?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Whether a target cannot be reached without a password.
pub fn needs_secret(location: &Location) -> bool {
    matches!(
        location,
        Location::S3 { .. } | Location::Rest { user: Some(_), .. }
    )
}

impl AddTarget {
    /// The target that would be added.
    ///
    /// # Errors
    /// What is wrong with its settings.
    pub fn target(&self, host_key: Option<HostKey>) -> Result<Target, OperationError> {
        Ok(Target {
            name: self.short_name.clone(),
            location: self.location.location(None, host_key)?,
            place: self.place.clone(),
            retention: self.keep,
            quota_bytes: self.quota,
            monthly_cost: self.monthly_cost,
            organisations: self.organisations.clone(),
            created_at: now(),
        })
    }

    async fn check(&self, controller: &Controller) -> Result<Target, OperationError> {
        let target = self.target(None)?;
        if controller.store.targets().get(&target.name).await.is_ok() {
            return Err(StoreError::Exists {
                noun: "target",
                name: target.name.to_string(),
            }
            .into());
        }
        check(&target, controller).await?;
        check_secret(&target, self.secret.as_ref())?;
        Ok(target)
    }
}

impl Operation for AddTarget {
    const NAME: &'static str = "target.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add target {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        for organisation in &self.organisations {
            controller.store.organisations().get(organisation).await?;
        }
        Ok(Scope::organisations(self.organisations.clone()))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let target = self.check(controller).await?;
        Ok(Preview::of([format!(
            "target {} at {} would be added",
            target.name, target.location
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        self.check(controller).await?;
        let host_key = see_server(&self.location, None, &self.access, controller).await?;
        let target = self.target(host_key)?;
        let mut message = format!("Added target {} at {}.", target.name, target.location);
        let secret = match (&self.secret, target.location.kind()) {
            (None, TargetKind::Sftp) => {
                let key = ControllerKey::generate()?;
                message = format!(
                    "{message} Let Allmende in there with this line in ~/.ssh/authorized_keys:\n  restrict {} allmende",
                    key.public_key()
                );
                Some(key.to_openssh()?)
            }
            (None, _) if needs_secret(&target.location) => {
                return Err(OperationError::Refused(format!(
                    "{} needs a password: it is asked for at a terminal, or read from a file with --secret-file",
                    target.name
                )));
            }
            (secret, _) => secret.clone(),
        };
        if let Some(disk) = Disk::of(&target) {
            disk.prepare(&controller.data_dir)?;
        }
        // The secret first: a target without it could be used, a secret without its target cannot.
        if let Some(secret) = &secret {
            controller
                .vault
                .put(&SecretScope::Controller, &credential(&target.name), secret)
                .await?;
        }
        controller.store.targets().add(&target).await?;
        Ok(Outcome {
            message,
            changed: true,
            ..Outcome::default()
        })
    }
}

impl EditTarget {
    fn changed(&self, old: &Target, host_key: Option<HostKey>) -> Result<Target, OperationError> {
        let mut target = old.clone();
        target.location = self.location.location(Some(&old.location), host_key)?;
        for field in &self.clear {
            match field {
                TargetField::Place => target.place = None,
                TargetField::Quota => target.quota_bytes = None,
                TargetField::MonthlyCost => target.monthly_cost = None,
                TargetField::Organisations => target.organisations.clear(),
            }
        }
        if self.place.is_some() {
            target.place.clone_from(&self.place);
        }
        if let Some(keep) = self.keep {
            target.retention = keep;
        }
        if self.quota.is_some() {
            target.quota_bytes = self.quota;
        }
        if self.monthly_cost.is_some() {
            target.monthly_cost = self.monthly_cost;
        }
        if !self.organisations.is_empty() {
            target.organisations.clone_from(&self.organisations);
        }
        Ok(target)
    }

    async fn check(&self, controller: &Controller) -> Result<(Target, Target), OperationError> {
        let old = controller.store.targets().get(&self.short_name).await?;
        let new = self.changed(&old, None)?;
        if new.location == old.location {
            check_optional("the place", new.place.as_ref())?;
            for organisation in &self.organisations {
                controller.store.organisations().get(organisation).await?;
            }
        } else {
            check(&new, controller).await?;
        }
        check_secret(&new, self.secret.as_ref())?;
        if needs_secret(&new.location) && !needs_secret(&old.location) && self.secret.is_none() {
            return Err(OperationError::Refused(format!(
                "{} now needs a password: add --secret, and it is asked for",
                new.name
            )));
        }
        Ok((old, new))
    }
}

impl Operation for EditTarget {
    const NAME: &'static str = "target.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit target {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let target = controller.store.targets().get(&self.short_name).await?;
        let organisations = target.organisations.into_iter().chain(self.organisations.clone());
        Ok(Scope::organisations(organisations))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (old, new) = self.check(controller).await?;
        let mut sentences = Vec::new();
        if new != old || self.secret.is_some() || self.location.disk.is_some() {
            sentences.push(format!("target {} would be changed", new.name));
        }
        if new.retention != old.retention {
            sentences.push(format!(
                "it would keep {} instead of {}; what that means: allmende backup simulate --keep {}",
                new.retention, old.retention, new.retention
            ));
        }
        if sentences.is_empty() {
            sentences.push("nothing would change".to_owned());
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (old, _) = self.check(controller).await?;
        let host_key = see_server(&self.location, Some(&old.location), &self.access, controller).await?;
        let new = self.changed(&old, host_key)?;
        // Named on purpose, a folder is marked again: a new disk in the place of the old one.
        let marked = self.location.disk.is_some();
        if new == old && self.secret.is_none() && !marked {
            return Ok(Outcome {
                message: format!("{} stays as it is.", new.name),
                ..Outcome::default()
            });
        }
        if let (true, Some(disk)) = (marked, Disk::of(&new)) {
            disk.check(&taken(&new.name, controller).await?)?;
            disk.prepare(&controller.data_dir)?;
        }
        if let Some(secret) = &self.secret {
            controller
                .vault
                .put(&SecretScope::Controller, &credential(&new.name), secret)
                .await?;
        }
        let wanted = new.clone();
        controller
            .store
            .targets()
            .update(&self.short_name, move |target| *target = wanted)
            .await?;
        Ok(Outcome {
            message: format!("Changed target {}.", new.name),
            changed: true,
            ..Outcome::default()
        })
    }
}
