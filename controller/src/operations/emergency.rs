//! Emergency sheets: making one, and proving that somebody has it.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use tokio::process::Command;

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::backup::sheet::{Sheet, SheetDump, SheetService, SheetTarget};
use crate::backup::{
    confirm, credential, ensure_escrow_key, escrow_password, is_confirmed, repository_password,
};
use crate::model::{Actor, Language, Location, Name, Outcome, Part, Repository, Secret, ServiceRef, Target};
use crate::store::{AuditPhase, AuditRecord, StoreError};
use crate::vault::SecretScope;

impl Controller {
    /// The emergency sheet of an organisation. Its password opens every repository on the controller's disk afterwards; the audit log
    /// remembers who has it.
    ///
    /// # Errors
    /// When a repository did not get the sheet's key, or what the store, the vault or a template says.
    pub async fn export_sheet(
        &self,
        actor: &Actor,
        organisation: &Name,
        language: Language,
    ) -> Result<Sheet, OperationError> {
        let title = self.store.organisations().get(organisation).await?.title;
        let targets = self.store.targets().list().await?;
        let mut repositories = self.store.targets().repositories().await?;
        repositories.retain(|repository| repository.organisation == *organisation);
        for repository in &repositories {
            self.give_escrow_key(&targets, repository).await?;
        }
        let services: BTreeSet<&Name> = repositories
            .iter()
            .map(|repository| &repository.service)
            .collect();
        let mut sheet = Sheet {
            organisation: title,
            day: day(language),
            password: escrow_password(&self.vault, organisation)
                .await?
                .reveal()
                .to_owned(),
            services: Vec::new(),
        };
        for service in services {
            let own = repositories
                .iter()
                .filter(|repository| repository.service == *service);
            let mut places = Vec::new();
            for repository in own {
                if let Some(target) = targets.iter().find(|target| target.name == repository.target) {
                    let name = credential(&target.name);
                    let secret = self.vault.get(&SecretScope::Controller, &name).await?;
                    places.push(SheetTarget::new(target, repository, secret.as_ref()));
                }
            }
            let on_sheet = self.on_sheet(organisation, service, places, language).await?;
            sheet.services.push(on_sheet);
        }
        let parameters = serde_json::json!({ "organisation": organisation });
        let record = AuditRecord {
            actor: &actor.name,
            operation: "vault.export",
            parameters: &parameters,
            phase: AuditPhase::Succeeded,
            job: None,
            message: &format!("the emergency sheet of {organisation} was shown"),
        };
        self.store.audit().append(record).await?;
        Ok(sheet)
    }

    /// A service as its template describes it, or as its last backup shows it once it is gone.
    async fn on_sheet(
        &self,
        organisation: &Name,
        service: &Name,
        targets: Vec<SheetTarget>,
        language: Language,
    ) -> Result<SheetService, OperationError> {
        let reference = ServiceRef {
            organisation: Some(organisation.clone()),
            service: service.clone(),
        };
        let known = match self.store.services().find(&reference).await {
            Ok(known) => Some(known),
            Err(StoreError::Unknown { .. }) => None,
            Err(error) => return Err(error.into()),
        };
        let newest = self
            .store
            .backups()
            .of_service(organisation, service)
            .await?
            .into_iter()
            .next();
        let mut on_sheet = SheetService {
            name: service.clone(),
            title: service.to_string(),
            host: newest.as_ref().map(|backup| backup.host.clone()),
            targets,
            paths: Vec::new(),
            dumps: Vec::new(),
        };
        if let Some(known) = known {
            let title = &self.catalogue.get(&known.template)?.manifest.title;
            title.spoken(language).clone_into(&mut on_sheet.title);
            on_sheet.host = Some(known.host.clone());
            if let Some(backup) = self.care(&known).await?.backup {
                on_sheet.paths = backup.paths;
                let dumps = backup.dumps.iter();
                on_sheet.dumps = dumps
                    .map(|dump| SheetDump::new(&dump.id, Some(&dump.source)))
                    .collect();
            }
        } else if let Some(newest) = newest {
            for part in &newest.parts {
                match part {
                    Part::Files => on_sheet.paths.push("/".to_owned()),
                    Part::Dump(id) => on_sheet.dumps.push(SheetDump::new(id, None)),
                }
            }
        }
        Ok(on_sheet)
    }

    /// Gives a repository on the controller's disk the sheet's key if that is missing.
    ///
    /// # Errors
    /// What the vault or restic says.
    pub(super) async fn give_escrow_key(
        &self,
        targets: &[Target],
        repository: &Repository,
    ) -> Result<(), OperationError> {
        let target = targets.iter().find(|target| target.name == repository.target);
        let Some(Location::Disk { folder, .. }) = target.map(|target| &target.location) else {
            return Ok(());
        };
        let path = folder.join(&repository.folder);
        let scope = SecretScope::Backups(repository.organisation.clone());
        let password = self.vault.get(&scope, &repository_password(repository)).await?;
        let shown = format!(
            "the repository of {}/{} in {}",
            repository.organisation, repository.service, repository.target
        );
        // One that was never written to holds nothing that could be lost.
        let Some(password) = password.filter(|_| path.join("config").exists()) else {
            return Ok(());
        };
        let restic = || {
            let mut restic = Command::new("restic");
            restic.arg("-r").arg(&path);
            restic
        };
        ensure_escrow_key(&self.vault, &repository.organisation, &shown, &password, restic).await?;
        Ok(())
    }

    /// The organisations that have backups and whose sheet nobody has typed the password off yet.
    ///
    /// # Errors
    /// What the store or the vault says.
    pub async fn unconfirmed_sheets(&self) -> Result<Vec<Name>, OperationError> {
        let repositories = self.store.targets().repositories().await?;
        let organisations: BTreeSet<Name> = repositories
            .into_iter()
            .map(|repository| repository.organisation)
            .collect();
        let mut unconfirmed = Vec::new();
        for organisation in organisations {
            if !is_confirmed(&self.vault, &organisation).await? {
                unconfirmed.push(organisation);
            }
        }
        Ok(unconfirmed)
    }
}

fn day(language: Language) -> String {
    let pattern = match language {
        Language::De => "%d.%m.%Y",
        Language::En => "%-d %B %Y",
    };
    Timestamp::now()
        .to_zoned(TimeZone::system())
        .strftime(pattern)
        .to_string()
}

/// Proves that somebody has the emergency sheet of an organisation, by its password.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ConfirmSheet {
    /// Whose.
    pub organisation: Name,
    /// What was typed.
    #[serde(skip)]
    pub typed: Option<Secret>,
}

impl Operation for ConfirmSheet {
    const NAME: &'static str = "vault.confirm";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("confirm the emergency sheet of {}", self.organisation)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.organisations().get(&self.organisation).await?;
        Ok(Scope::organisation(&self.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!(
            "the password of the emergency sheet of {} would be compared with what was typed",
            self.organisation
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let organisation = &self.organisation;
        let typed = self.typed.as_ref().ok_or_else(|| {
            OperationError::Refused("the password is typed by the person who has the sheet".to_owned())
        })?;
        if !confirm(&context.controller().vault, organisation, typed).await? {
            return Err(OperationError::Refused(format!(
                "this is not the password on the emergency sheet of {organisation}. It has six groups of four letters; print the sheet again with: allmende vault export {organisation} --pdf FILE"
            )));
        }
        Ok(Outcome {
            message: format!(
                "Confirmed: somebody has the emergency sheet of {organisation}. Keep it away from the servers."
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}
