//! `allmende backup list` and `show`.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::arguments::Json;
use super::backup::{List, ShowBackup};
use super::style::Style;
use super::words::{length, local_time};
use super::{Answer, CliError, print_json, table};
use crate::model::{
    Backup, BackupOutcome, Drill, DrillOutcome, Name, Repository, Service, ServiceRef, Snapshot,
};
use crate::operations::Controller;

/// A backup as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    backup: &'a Backup,
    /// The targets in which it is whole or in part, by name.
    targets: BTreeSet<&'a Name>,
    /// What came of its last drill.
    drill: Option<DrillOutcome>,
}

/// The organisation and the name of a service that is or was there.
///
/// # Errors
/// When there is and was none, or several have this name.
pub async fn resolve(controller: &Controller, service: &ServiceRef) -> Result<(Name, Name), CliError> {
    let found = controller.store.services().find(service).await;
    let error = match found {
        Ok(service) => return Ok((service.organisation, service.name)),
        Err(error) => error,
    };
    let backups = controller.store.backups().list().await?;
    let gone: BTreeSet<(Name, Name)> = backups
        .into_iter()
        .filter(|backup| {
            backup.service == service.service
                && service
                    .organisation
                    .as_ref()
                    .is_none_or(|organisation| *organisation == backup.organisation)
        })
        .map(|backup| (backup.organisation, backup.service))
        .collect();
    let mut gone = gone.into_iter();
    match (gone.next(), gone.next()) {
        (Some(one), None) => Ok(one),
        _ => Err(error.into()),
    }
}

/// Runs `backup list`.
pub async fn list(list: &List, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let store = &controller.store;
    let mut backups = match &list.service {
        Some(service) => {
            let (organisation, service) = resolve(controller, service).await?;
            store.backups().of_service(&organisation, &service).await?
        }
        None => store.backups().list().await?,
    };
    if let Some(organisation) = &list.organisation {
        backups.retain(|backup| backup.organisation == *organisation);
    }
    backups.truncate(list.limit);
    let repositories = store.targets().repositories().await?;
    let drills = store.drills().list().await?;
    let mut shown = Vec::new();
    for backup in &backups {
        let snapshots = store.backups().snapshots(backup.id).await?;
        shown.push(Shown {
            backup,
            targets: targets(&snapshots, &repositories),
            drill: last_drill(backup, &drills).map(|drill| drill.outcome),
        });
    }
    if list.json.json {
        print_json(&shown);
        return Ok(Answer::Yes);
    }
    if shown.is_empty() {
        println!("There is no backup yet. Make one with: allmende backup run SERVICE");
        return Ok(Answer::Yes);
    }
    let rows = shown.iter().map(|each| {
        let backup = each.backup;
        vec![
            backup.id.to_string(),
            backup.service().to_string(),
            local_time(backup.began_at),
            outcome(backup, style),
            backup.files.to_string(),
            backup.bytes.to_string(),
            backup.added_bytes.to_string(),
            if each.targets.is_empty() {
                "forgotten".to_owned()
            } else {
                each.targets
                    .iter()
                    .map(|name| name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            },
            each.drill
                .map(|outcome| drilled(outcome, style))
                .unwrap_or_default(),
        ]
    });
    let head = [
        "BACKUP", "SERVICE", "WHEN", "OUTCOME", "FILES", "SIZE", "NEW", "IN", "DRILL",
    ];
    println!("{}", table(head, rows));
    Ok(Answer::Yes)
}

/// The targets in which a backup still is.
fn targets<'a>(snapshots: &[Snapshot], repositories: &'a [Repository]) -> BTreeSet<&'a Name> {
    let there: BTreeSet<&str> = snapshots
        .iter()
        .filter(|snapshot| snapshot.removed_at.is_none())
        .map(|snapshot| snapshot.repository.as_str())
        .collect();
    repositories
        .iter()
        .filter(|repository| there.contains(repository.id.as_str()))
        .map(|repository| &repository.target)
        .collect()
}

/// Drills come the newest first.
fn last_drill<'a>(backup: &Backup, drills: &'a [Drill]) -> Option<&'a Drill> {
    drills.iter().find(|drill| drill.backup == backup.id)
}

fn outcome(backup: &Backup, style: Style) -> String {
    match backup.outcome {
        Some(BackupOutcome::Complete) => style.green("✓ complete"),
        Some(BackupOutcome::Incomplete) => style.yellow("! incomplete"),
        Some(BackupOutcome::Failed) => style.red("✗ failed"),
        None => style.yellow("… not ended"),
    }
}

fn drilled(outcome: DrillOutcome, style: Style) -> String {
    match outcome {
        DrillOutcome::Passed => style.green("✓ passed"),
        DrillOutcome::Failed => style.red("✗ failed"),
        DrillOutcome::Refused => style.dim("refused"),
    }
}

/// Runs `backup show`.
pub async fn show(show: &ShowBackup, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let store = &controller.store;
    let backup = store.backups().get(show.id).await?;
    let snapshots = store.backups().snapshots(backup.id).await?;
    let repositories = store.targets().repositories().await?;
    let mut drills = store.drills().list().await?;
    drills.retain(|drill| drill.backup == backup.id);
    if let Json { json: true } = show.json {
        print_json(&serde_json::json!({
            "backup": backup,
            "snapshots": snapshots,
            "targets": targets(&snapshots, &repositories),
            "drills": drills,
        }));
        return Ok(Answer::Yes);
    }
    println!(
        "{} of {}  {}",
        style.bold(&format!("Backup {}", backup.id)),
        backup.service(),
        outcome(&backup, style)
    );
    let line = |name: &str, value: String| println!("  {name:9}  {value}");
    line("host", backup.host.to_string());
    let took = backup
        .ended_at
        .map(|ended| format!(", took {}", length(ended.duration_since(backup.began_at))));
    line(
        "began",
        format!("{}{}", local_time(backup.began_at), took.unwrap_or_default()),
    );
    if let Some(job) = backup.job {
        line("job", format!("{job}  (allmende job show {job})"));
    }
    line("size", format!("{} in {} files", backup.bytes, backup.files));
    line(
        "new",
        format!("{} were added to the repository", backup.added_bytes),
    );
    for complaint in &backup.complaints {
        println!("  {} {complaint}", style.yellow("!"));
    }
    let by_id: BTreeMap<&str, &Repository> = repositories
        .iter()
        .map(|repository| (repository.id.as_str(), repository))
        .collect();
    for snapshot in &snapshots {
        let target = by_id
            .get(snapshot.repository.as_str())
            .map_or("?", |repository| repository.target.as_str());
        let short: String = snapshot.id.chars().take(8).collect();
        let state = snapshot
            .removed_at
            .map(|at| format!("  forgotten {}", local_time(at)))
            .unwrap_or_default();
        println!("  {:9}  {} in {target}{state}", snapshot.part, short);
    }
    for drill in &drills {
        line(
            "drill",
            format!(
                "{} {} on {}, restored in {:.1} s",
                drilled(drill.outcome, style),
                local_time(drill.began_at),
                drill.host,
                drill.seconds
            ),
        );
    }
    Ok(Answer::Yes)
}

/// The newest good backup of a service, if there is one.
pub fn newest<'a>(backups: &'a [Backup], service: &Service) -> Option<&'a Backup> {
    backups
        .iter()
        .find(|backup| backup.organisation == service.organisation && backup.service == service.name)
}

/// When the last good backup of a service was, for a page about it.
pub fn last(controller: &Controller, backups: &[Backup], service: &Service, style: Style) -> String {
    let needless = controller
        .catalogue
        .get(&service.template)
        .is_ok_and(|template| template.manifest.no_backup.is_some());
    match newest(backups, service) {
        Some(backup) => format!(
            "last backup {} ago",
            length(Timestamp::now().duration_since(backup.began_at))
        ),
        None if needless => style.dim("needs no backup"),
        None => style.yellow("no backup yet"),
    }
}
