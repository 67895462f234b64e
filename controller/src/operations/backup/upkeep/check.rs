//! Looking whether repositories are whole.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Account, Opened, Which, full_name, lost, restic};
use crate::backup::engine::{CheckedData, Command, EngineError, EngineFailure, Restic};
use crate::model::{IntegrityCheck, JobEventKind, Outcome, Repository, Target};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::now;

/// Into how many parts the data of a repository are divided: checked every day, all of them are read within a month.
const PARTS: u32 = 30;

/// Looks whether repositories are whole, and reads a part of their data for it, each time another one
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct CheckBackups {
    #[command(flatten)]
    #[serde(flatten)]
    pub which: Which,
    /// Reads all data
    #[arg(long)]
    #[serde(default)]
    pub all_data: bool,
}

impl CheckBackups {
    /// What is read of a repository this time.
    fn turn(&self, repository: &Repository) -> CheckedData {
        if self.all_data {
            return CheckedData::All;
        }
        let last = repository
            .check
            .filter(|check| check.parts == PARTS)
            .map_or(0, |check| check.part);
        CheckedData::Part {
            part: last % PARTS + 1,
            parts: PARTS,
        }
    }
}

impl Operation for CheckBackups {
    const NAME: &'static str = "backup.check";
    const RISK: Risk = Risk::Change;
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("check the backups of {}", self.which.title())
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        self.which.scope(controller).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let found = self.which.repositories(controller).await?;
        Ok(Preview::of(found.iter().map(|(repository, _)| {
            format!(
                "{}: {} would be read",
                full_name(repository),
                words(self.turn(repository))
            )
        })))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let restic = restic(controller).await?;
        let mut account = Account::default();
        for (repository, target) in self.which.repositories(controller).await? {
            let name = full_name(&repository);
            context.notify(JobEventKind::Step {
                text: format!("checking {name}"),
            });
            let data = self.turn(&repository);
            match check(&restic, controller, &repository, &target, data).await {
                Ok(None) => account
                    .done
                    .push(format!("{name}: whole; {} was read.", words(data))),
                Ok(Some(damage)) => account.complain(context, format!("{name} is damaged: {damage}")),
                Err(error) => account.complain(context, format!("{name}: {error}")),
            }
        }
        Ok(Outcome {
            message: account.message("There are no backups to check.")?,
            ..Outcome::default()
        })
    }
}

fn words(data: CheckedData) -> String {
    match data {
        CheckedData::None => "nothing of its data".to_owned(),
        CheckedData::Part { part, parts } => format!("part {part} of {parts} of its data"),
        CheckedData::All => "all of its data".to_owned(),
    }
}

/// What is wrong with it; none if nothing is. Either is written down.
async fn check(
    restic: &Restic,
    controller: &Controller,
    repository: &Repository,
    target: &Target,
    data: CheckedData,
) -> Result<Option<String>, OperationError> {
    let opened = Opened::of(controller, repository, target).await?;
    opened.unlock(restic).await?;
    let targets = controller.store.targets();
    let damage = match restic.ask(&opened.call(Command::Check { data })).await {
        Ok(_) => {
            // restic knows nothing of snapshots whose files are gone.
            let there = opened.snapshots(restic).await?;
            let recorded = controller.store.backups().snapshots_in(&repository.id).await?;
            if let Some(lost) = lost(&recorded, &there).first() {
                let damage = format!("backup {} is no longer in it", lost.backup);
                targets.set_damaged(&repository.id, Some(&damage)).await?;
                return Ok(Some(damage));
            }
            let (part, parts) = match data {
                CheckedData::Part { part, parts } => (part, parts),
                CheckedData::None | CheckedData::All => (1, 1),
            };
            let at = now();
            targets
                .set_checked(&repository.id, IntegrityCheck { at, part, parts })
                .await?;
            // A part that is whole says nothing of another one that was not.
            if data == CheckedData::All {
                targets.set_damaged(&repository.id, None).await?;
            }
            return Ok(None);
        }
        Err(EngineError::Failed(
            EngineFailure::Failed { said, .. }
            | EngineFailure::NoRepository { said }
            | EngineFailure::WrongPassword { said },
        )) => said,
        Err(error) => return Err(error.into()),
    };
    targets.set_damaged(&repository.id, Some(&damage)).await?;
    Ok(Some(damage))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repository(check: Option<IntegrityCheck>) -> Repository {
        Repository {
            id: "0011223344556677".to_owned(),
            target: "disk".parse().unwrap(),
            organisation: "kita".parse().unwrap(),
            service: "cloud".parse().unwrap(),
            folder: "kita/cloud-00112233".to_owned(),
            created_at: now(),
            size_bytes: None,
            counted_at: None,
            check,
            damaged: None,
            pruned_at: None,
        }
    }

    #[test]
    fn in_the_course_of_time_all_parts_have_their_turn() {
        let daily = CheckBackups {
            which: Which::default(),
            all_data: false,
        };
        let mut check = None;
        let mut read = std::collections::BTreeSet::new();
        for _ in 0..PARTS {
            let CheckedData::Part { part, parts } = daily.turn(&repository(check)) else {
                unreachable!("it is a part")
            };
            read.insert(part);
            check = Some(IntegrityCheck {
                at: now(),
                part,
                parts,
            });
        }
        assert_eq!(read, (1..=PARTS).collect());
        assert_eq!(
            daily.turn(&repository(check)),
            CheckedData::Part {
                part: 1,
                parts: PARTS
            }
        );
    }
}
