//! Copying what is on the disk that hosts write to into all other targets, so that a host is read once.

use std::collections::BTreeMap;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Account, Opened, Which, full_name, lost, restic};
use crate::backup::engine::{Call, Command, EngineError, EngineFailure, Restic};
use crate::backup::{Serving, escrow_password, repository_password};
use crate::model::{JobEventKind, Outcome, Repository, Snapshot, Target};
use crate::operations::backup::repository::{PASSWORD, new};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::vault::{SecretScope, generate_password};

/// Copies backups from the controller's disk to the other targets
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct CopyBackups {
    #[command(flatten)]
    #[serde(flatten)]
    pub which: Which,
}

/// From a repository to a target.
struct Way {
    from: Repository,
    source: Target,
    target: Target,
}

impl CopyBackups {
    async fn ways(&self, controller: &Controller) -> Result<Vec<Way>, OperationError> {
        let targets = controller.store.targets().list().await?;
        // The target that was asked for is the one to copy to.
        let from = Which {
            target: None,
            ..self.which.clone()
        };
        let mut ways = Vec::new();
        for (repository, source) in from.repositories(controller).await? {
            let serving = Serving::of(&repository.organisation, &targets);
            if serving.first.is_none_or(|first| first.name != source.name) {
                continue;
            }
            let wanted =
                |target: &&&Target| self.which.target.as_ref().is_none_or(|name| *name == target.name);
            ways.extend(serving.copies.iter().filter(wanted).map(|target| Way {
                from: repository.clone(),
                source: source.clone(),
                target: (*target).clone(),
            }));
        }
        Ok(ways)
    }
}

impl Way {
    fn name(&self) -> String {
        format!(
            "{}/{} to {}",
            self.from.organisation, self.from.service, self.target.name
        )
    }

    /// The repository at its end, if there is one.
    async fn end(&self, controller: &Controller) -> Result<Option<Repository>, OperationError> {
        let all = controller.store.targets().repositories().await?;
        Ok(all.into_iter().find(|repository| {
            (&repository.target, &repository.organisation, &repository.service)
                == (&self.target.name, &self.from.organisation, &self.from.service)
        }))
    }

    /// Snapshots that never were there: what was forgotten there is not brought back.
    async fn missing(&self, controller: &Controller) -> Result<Vec<Snapshot>, OperationError> {
        let end = self.end(controller).await?;
        let mut missing = Vec::new();
        for snapshot in controller.store.backups().snapshots_in(&self.from.id).await? {
            let known = match &end {
                Some(end) => {
                    let all = controller.store.backups().snapshots(snapshot.backup).await?;
                    all.iter()
                        .any(|known| known.repository == end.id && known.part == snapshot.part)
                }
                None => false,
            };
            if !known {
                missing.push(snapshot);
            }
        }
        Ok(missing)
    }
}

impl Operation for CopyBackups {
    const NAME: &'static str = "backup.copy";
    const RISK: Risk = Risk::Change;
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("copy the backups of {}", self.which.title())
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let from = Which {
            target: None,
            ..self.which.clone()
        };
        from.scope(controller).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let mut sentences = Vec::new();
        for way in self.ways(controller).await? {
            let missing = way.missing(controller).await?.len();
            sentences.push(format!("{}: {missing} snapshots would be copied", way.name()));
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let restic = restic(controller).await?;
        let mut account = Account::default();
        for way in self.ways(controller).await? {
            let name = way.name();
            context.notify(JobEventKind::Step {
                text: format!("copying {name}"),
            });
            match copy(&restic, controller, &way).await {
                Ok(0) => account.done.push(format!("{name}: everything is there.")),
                Ok(copied) => account.done.push(format!("{name}: copied {copied} snapshots.")),
                Err(error) => account.complain(context, format!("{name}: {error}")),
            }
        }
        Ok(Outcome {
            message: account.message("There is nothing to copy, or no other target to copy to.")?,
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Copies what is missing; says how many snapshots that were.
async fn copy(restic: &Restic, controller: &Controller, way: &Way) -> Result<usize, OperationError> {
    let missing = way.missing(controller).await?;
    if missing.is_empty() && way.end(controller).await?.is_none() {
        return Ok(0);
    }
    let source = Opened::of(controller, &way.from, &way.source).await?;
    let end = made(controller, way).await?;
    let opened = Opened::of(controller, &end, &way.target).await?;
    let folder = source.folder().ok_or_else(|| {
        OperationError::Refused(format!(
            "{} is not on a disk of this machine",
            full_name(&way.from)
        ))
    })?;
    let from = |command| {
        let mut call: Call<'_> = opened.call(command);
        call.from = Some((folder, &source.password));
        call
    };
    let recorded = controller.store.backups().snapshots_in(&end.id).await?;
    // Asked, not assumed: making it may have been cut off after it was written down. A new one in the place of one that held backups
    // would hide that they are gone.
    match restic.ask(&opened.call(Command::Snapshots)).await {
        Err(EngineError::Failed(EngineFailure::NoRepository { .. })) if recorded.is_empty() => {
            restic.ask(&from(Command::Init)).await?;
        }
        answer => drop(answer?),
    }
    // Before anything is in it: what is there must open with the password on the emergency sheet.
    let there = opened.snapshots(restic).await?;
    if let Some(lost) = lost(&recorded, &there).first() {
        return Err(OperationError::Refused(format!(
            "backup {} is no longer in {}; was its disk exchanged?",
            lost.backup,
            full_name(&end)
        )));
    }
    if missing.is_empty() {
        return Ok(0);
    }
    if there.is_empty() {
        let escrow = escrow_password(&controller.vault, &end.organisation).await?;
        let mut add = opened.call(Command::AddKey);
        add.new_password = Some(&escrow);
        restic.ask(&add).await?;
    }
    let ids: Vec<String> = missing.iter().map(|snapshot| snapshot.id.clone()).collect();
    restic.ask(&from(Command::Copy { ids: &ids })).await?;
    let there: BTreeMap<String, String> = opened
        .snapshots(restic)
        .await?
        .into_iter()
        .filter_map(|found| Some((found.original?, found.id)))
        .collect();
    for snapshot in &missing {
        let id = there.get(&snapshot.id).ok_or_else(|| {
            OperationError::Refused(format!(
                "restic says that it copied backup {}, and it is not there",
                snapshot.backup
            ))
        })?;
        let copied = Snapshot {
            repository: end.id.clone(),
            id: id.clone(),
            ..snapshot.clone()
        };
        controller.store.backups().add_snapshot(&copied).await?;
    }
    Ok(missing.len())
}

/// The repository at the way's end, written down with its password.
async fn made(controller: &Controller, way: &Way) -> Result<Repository, OperationError> {
    if let Some(end) = way.end(controller).await? {
        return Ok(end);
    }
    let end = new(&way.from.organisation, &way.from.service, &way.target.name)?;
    controller
        .vault
        .get_or_create(
            &SecretScope::Backups(end.organisation.clone()),
            &repository_password(&end),
            || generate_password(PASSWORD),
        )
        .await?;
    controller.store.targets().add_repository(&end).await?;
    Ok(end)
}
