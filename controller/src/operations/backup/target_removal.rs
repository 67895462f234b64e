//! Removing targets.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::backup::{Disk, credential, repository_password};
use crate::model::{Name, Outcome, Repository};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::vault::SecretScope;

/// Removes a target that holds no backups
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveTarget {
    /// Its short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    /// Forgets the backups that it holds: their data stay where they are, and only the emergency sheet opens them
    #[arg(long)]
    #[serde(default)]
    pub forget: bool,
}

impl RemoveTarget {
    /// What it holds.
    async fn check(&self, controller: &Controller) -> Result<Vec<Repository>, OperationError> {
        let targets = controller.store.targets();
        targets.get(&self.short_name).await?;
        let mut held = targets.repositories().await?;
        held.retain(|repository| repository.target == self.short_name);
        if held.is_empty() || self.forget {
            return Ok(held);
        }
        Err(OperationError::Refused(format!(
            "{} holds the backups of {}. To do without them, add --forget; their data then stay where they are, and only the emergency sheet opens them",
            self.short_name,
            held.iter().map(full_name).collect::<Vec<_>>().join(", ")
        )))
    }
}

fn full_name(repository: &Repository) -> String {
    format!("{}/{}", repository.organisation, repository.service)
}

impl Operation for RemoveTarget {
    const NAME: &'static str = "target.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove target {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let target = controller.store.targets().get(&self.short_name).await?;
        Ok(Scope::organisations(target.organisations))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let held = self.check(controller).await?;
        let mut sentences = vec![format!("target {} would be removed", self.short_name)];
        for repository in &held {
            let snapshots = controller.store.backups().snapshots_in(&repository.id).await?;
            let backups: BTreeSet<_> = snapshots.iter().map(|snapshot| snapshot.backup).collect();
            sentences.push(format!(
                "{} backups of {} would be forgotten, with their password; their data would stay",
                backups.len(),
                full_name(repository)
            ));
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let held = self.check(controller).await?;
        let targets = controller.store.targets();
        let target = targets.get(&self.short_name).await?;
        for repository in &held {
            targets.forget_repository(&repository.id).await?;
            controller
                .vault
                .remove(
                    &SecretScope::Backups(repository.organisation.clone()),
                    &repository_password(repository),
                )
                .await?;
        }
        targets.remove(&self.short_name).await?;
        controller
            .vault
            .remove(&SecretScope::Controller, &credential(&self.short_name))
            .await?;
        // A folder that is not there has no mark either.
        if let Some(disk) = Disk::of(&target)
            && held.is_empty()
            && disk.ready().is_ok()
        {
            disk.release()?;
        }
        Ok(Outcome {
            message: format!("Removed target {}.", self.short_name),
            changed: true,
            ..Outcome::default()
        })
    }
}
