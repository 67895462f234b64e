//! Forgetting what the rules do not keep, and removing the data that nothing needs any more.

use std::collections::BTreeSet;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Account, Found, Opened, Which, full_name, lost, restic};
use crate::backup::engine::{Command, Restic};
use crate::backup::{Held, kept};
use crate::model::{
    BackupId, BackupOutcome, JobEventKind, Outcome, Repository, Size, Snapshot, Target, Zone,
};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::now;

/// Forgets the backups that the rules of their targets do not keep, and removes their data
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct PruneBackups {
    #[command(flatten)]
    #[serde(flatten)]
    pub which: Which,
}

/// The snapshots of the backups that the target's rules do not keep.
async fn superfluous(
    controller: &Controller,
    repository: &Repository,
    target: &Target,
) -> Result<Vec<Snapshot>, OperationError> {
    let (organisation, service) = (&repository.organisation, &repository.service);
    let backups = controller
        .store
        .backups()
        .of_service(organisation, service)
        .await?;
    let mut snapshots = controller.store.backups().snapshots_in(&repository.id).await?;
    let drills = controller
        .store
        .drills()
        .of_service(organisation, service)
        .await?;
    let held = Held::in_repository(&backups, &snapshots, &drills);
    let zone = Zone::default();
    let stay = kept(&held, target.retention, zone.rules());
    // One that is in no list of backups is not for the rules to judge.
    let judged: BTreeSet<BackupId> = held.iter().map(|held| held.id).collect();
    snapshots.retain(|snapshot| judged.contains(&snapshot.backup) && !stay.contains_key(&snapshot.backup));
    Ok(snapshots)
}

fn numbers(snapshots: &[Snapshot]) -> BTreeSet<BackupId> {
    snapshots.iter().map(|snapshot| snapshot.backup).collect()
}

fn listed(numbers: &BTreeSet<BackupId>) -> String {
    numbers
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(", ")
}

/// The marks of backups that came to nothing: what a host had made of them before it was cut off belongs to no backup.
async fn marks_of_failed(
    controller: &Controller,
    repository: &Repository,
) -> Result<BTreeSet<String>, OperationError> {
    let store = controller.store.backups();
    let backups = store
        .of_service(&repository.organisation, &repository.service)
        .await?;
    let failed = backups
        .iter()
        .filter(|backup| backup.outcome == Some(BackupOutcome::Failed));
    Ok(failed.map(|backup| format!("backup:{}", backup.id)).collect())
}

impl Operation for PruneBackups {
    const NAME: &'static str = "backup.prune";
    const RISK: Risk = Risk::Change;
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("prune the backups of {}", self.which.title())
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        self.which.scope(controller).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let mut sentences = Vec::new();
        for (repository, target) in self.which.repositories(controller).await? {
            let forget = numbers(&superfluous(controller, &repository, &target).await?);
            let name = full_name(&repository);
            sentences.push(if forget.is_empty() {
                format!("{name}: all backups would stay")
            } else {
                format!(
                    "{name}: backups {} would be forgotten, and their data removed",
                    listed(&forget)
                )
            });
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let restic = restic(controller).await?;
        let mut account = Account::default();
        for (repository, target) in self.which.repositories(controller).await? {
            let name = full_name(&repository);
            context.notify(JobEventKind::Step {
                text: format!("pruning {name}"),
            });
            if let Err(error) = prune(&restic, context, &repository, &target, &mut account).await {
                account.complain(context, format!("{name}: {error}"));
            }
        }
        Ok(Outcome {
            message: account.message("There are no backups to prune.")?,
            changed: true,
            ..Outcome::default()
        })
    }
}

async fn prune(
    restic: &Restic,
    context: &JobContext<'_>,
    repository: &Repository,
    target: &Target,
    account: &mut Account,
) -> Result<(), OperationError> {
    let controller = context.controller();
    let name = full_name(repository);
    if let Some(damage) = &repository.damaged {
        account.complain(
            context,
            format!("{name}: nothing is removed from it, because it is damaged: {damage}"),
        );
        return Ok(());
    }
    let opened = Opened::of(controller, repository, target).await?;
    opened.unlock(restic).await?;
    let there = opened.snapshots(restic).await?;
    let recorded = controller.store.backups().snapshots_in(&repository.id).await?;
    let unknown = there
        .iter()
        .filter(|found| !recorded.iter().any(|known| known.id == found.id));
    let failed = marks_of_failed(controller, repository).await?;
    let (cut_off, strange): (Vec<&Found>, Vec<&Found>) =
        unknown.partition(|found| found.tags.iter().any(|tag| failed.contains(tag)));
    if !strange.is_empty() {
        account.complain(
            context,
            format!(
                "{name}: {} snapshots in it were not made by Allmende. They are neither counted nor removed; whoever can write there may have put them in",
                strange.len()
            ),
        );
    }
    let forget = superfluous(controller, repository, target).await?;
    // What the rules do not keep anyway was forgotten by a prune that was cut off.
    let (forgotten, lost): (Vec<Snapshot>, Vec<Snapshot>) = lost(&recorded, &there)
        .into_iter()
        .partition(|gone| forget.iter().any(|one| one.id == gone.id));
    if !lost.is_empty() {
        let damage = format!("backups {} are no longer in it", listed(&numbers(&lost)));
        controller
            .store
            .targets()
            .set_damaged(&repository.id, Some(&damage))
            .await?;
        account.complain(context, format!("{name}: {damage}; nothing is removed from it"));
        return Ok(());
    }
    let ids: Vec<String> = forget
        .iter()
        .map(|snapshot| &snapshot.id)
        .filter(|id| !forgotten.iter().any(|gone| gone.id == **id))
        .chain(cut_off.iter().map(|found| &found.id))
        .cloned()
        .collect();
    if !ids.is_empty() {
        restic.ask(&opened.call(Command::Forget { ids: &ids })).await?;
    }
    let removed: Vec<String> = forget.iter().map(|snapshot| snapshot.id.clone()).collect();
    if !removed.is_empty() {
        controller
            .store
            .backups()
            .set_removed(&repository.id, &removed, now())
            .await?;
    }
    restic.ask(&opened.call(Command::Prune)).await?;
    controller
        .store
        .targets()
        .set_pruned(&repository.id, now())
        .await?;
    #[derive(Deserialize)]
    struct Stats {
        total_size: u64,
    }
    let stats = restic.ask(&opened.call(Command::Stats)).await?;
    if let Ok(stats) = serde_json::from_str::<Stats>(&stats) {
        controller
            .store
            .targets()
            .set_size(&repository.id, Size(stats.total_size), now())
            .await?;
    }
    let forgotten = numbers(&forget);
    account.done.push(if forgotten.is_empty() {
        format!("{name}: all backups stay.")
    } else {
        format!("{name}: forgot backups {}.", listed(&forgotten))
    });
    Ok(())
}
