//! What is asked about backups, of what the store and the targets' disks know: each service that has something to keep, and each target.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::json;

use crate::backup::{Disk, Serving};
use crate::health::backups::{self, Age, Room};
use crate::health::inside::Point;
use crate::health::say;
use crate::model::{
    Answer, Backup, BackupOutcome, CheckKey, DrillOutcome, Name, Repository, Service, Size, Subject, Target,
    TargetSize, Text,
};
use crate::operations::{Controller, OperationError};

/// How often backups are looked at.
pub const RHYTHM: Duration = Duration::from_secs(300);

/// How often a service is backed up, as long as no schedule says otherwise.
const DAILY: Duration = Duration::from_secs(86_400);

/// A question about backups.
#[derive(Debug, Clone)]
pub enum Kept {
    /// How old the newest complete backup of a service is, in each target.
    Newest(Service),
    /// When a backup of a service was last restored to prove that it works.
    Drill(Service),
    /// Whether the data of a service's backups are whole, and when somebody last looked.
    Integrity(Service),
    /// Whether its repositories hold what Allmende did not put there.
    Strangers(Service),
    /// Whether a target is there, and how long its room lasts.
    Target(Name),
    /// Services that have something to keep and no place for it.
    Homeless(Vec<Service>),
}

/// All questions about backups, each with its name and title.
pub async fn questions(controller: &Controller) -> Result<Vec<(CheckKey, Text, Kept)>, OperationError> {
    let targets = controller.store.targets().list().await?;
    let mut services = controller.store.services().list().await?;
    services.retain(|service| service.applied.is_some() && keeps(controller, service));
    let (served, homeless): (Vec<_>, Vec<_>) = services
        .into_iter()
        .partition(|service| Serving::of(&service.organisation, &targets).first.is_some());
    let mut all = Vec::new();
    let mut add = |subject: &Subject, id: String, title: &str, values: serde_json::Value, question| {
        let subject = subject.clone();
        all.push((
            CheckKey { subject, id },
            say(&format!("backups.title.{title}"), values),
            question,
        ));
    };
    for service in served {
        let subject = Subject::Service(service.reference());
        for (id, question) in [
            ("backup", Kept::Newest(service.clone())),
            ("drill", Kept::Drill(service.clone())),
            ("integrity", Kept::Integrity(service.clone())),
            ("strangers", Kept::Strangers(service)),
        ] {
            add(&subject, id.to_owned(), id, json!({}), question);
        }
    }
    for target in targets {
        let values = json!({ "target": target.name.as_str() });
        let id = format!("target-{}", target.name);
        add(
            &Subject::Controller,
            id,
            "target",
            values,
            Kept::Target(target.name),
        );
    }
    add(
        &Subject::Controller,
        "homeless".to_owned(),
        "homeless",
        json!({}),
        Kept::Homeless(homeless),
    );
    Ok(all)
}

/// Whether a service has something to keep.
fn keeps(controller: &Controller, service: &Service) -> bool {
    let template = controller.catalogue.get(&service.template);
    template.is_ok_and(|template| template.manifest.backup.is_some())
}

impl Kept {
    /// The answer, at this time.
    pub async fn ask(&self, controller: &Controller, now: Timestamp) -> Result<Answer, OperationError> {
        match self {
            Self::Newest(service) => {
                let known = Known::of(controller, service).await?;
                let newest = known.newest(controller).await?;
                Ok(backups::newest_backup(
                    &known.ages(&newest, now),
                    DAILY,
                    known.waiting(now),
                ))
            }
            Self::Drill(service) => drill(controller, service, now).await,
            Self::Integrity(service) => {
                let known = Known::of(controller, service).await?;
                let damaged = known
                    .repositories
                    .iter()
                    .find_map(|repository| Some((&repository.target, repository.damaged.as_deref()?)));
                let checked: Vec<_> = known
                    .repositories
                    .iter()
                    .map(|repository| (repository.target.clone(), repository.check.map(|check| check.at)))
                    .collect();
                let waiting = since(
                    known
                        .repositories
                        .iter()
                        .map(|repository| repository.created_at)
                        .min(),
                    now,
                );
                Ok(backups::integrity(damaged, &known.ages(&checked, now), waiting))
            }
            Self::Strangers(service) => strangers(controller, service).await,
            Self::Target(name) => target(controller, name, now).await,
            Self::Homeless(services) => {
                let names: Vec<String> = services
                    .iter()
                    .map(|service| service.reference().to_string())
                    .collect();
                Ok(backups::homeless(&names))
            }
        }
    }
}

/// What is known of a service's backups.
struct Known<'a> {
    service: &'a Service,
    /// Where they are to be.
    targets: Vec<Target>,
    repositories: Vec<Repository>,
}

impl<'a> Known<'a> {
    async fn of(controller: &Controller, service: &'a Service) -> Result<Self, OperationError> {
        let all = controller.store.targets().list().await?;
        let serving = Serving::of(&service.organisation, &all);
        let targets = serving.first.into_iter().chain(serving.copies).cloned().collect();
        let mut repositories = controller
            .store
            .targets()
            .repositories_of(&service.organisation, &service.name)
            .await?;
        repositories.retain(|repository| all.iter().any(|target| target.name == repository.target));
        Ok(Self {
            service,
            targets,
            repositories,
        })
    }

    /// Since when there could have been a backup in every target.
    fn waiting(&self, now: Timestamp) -> Duration {
        let targets = self.targets.iter().map(|target| target.created_at);
        since(
            targets
                .chain(self.service.applied.as_ref().map(|applied| applied.at))
                .max(),
            now,
        )
    }

    /// The begin of the newest complete backup in each target.
    async fn newest(
        &self,
        controller: &Controller,
    ) -> Result<Vec<(Name, Option<Timestamp>)>, OperationError> {
        let backups = controller.store.backups();
        let all = backups
            .of_service(&self.service.organisation, &self.service.name)
            .await?;
        let mut complete: Vec<&Backup> = all
            .iter()
            .filter(|backup| backup.outcome == Some(BackupOutcome::Complete))
            .collect();
        complete.sort_by_key(|backup| std::cmp::Reverse(backup.began_at));
        let mut newest = Vec::new();
        for target in &self.targets {
            let repository = self
                .repositories
                .iter()
                .find(|repository| repository.target == target.name);
            let mut found = None;
            if let Some(repository) = repository {
                let there = backups.snapshots_in(&repository.id).await?;
                found = complete.iter().find(|backup| {
                    backup.parts.iter().all(|part| {
                        there.iter().any(|snapshot| {
                            snapshot.backup == backup.id
                                && snapshot.part == *part
                                && snapshot.removed_at.is_none()
                        })
                    })
                });
            }
            newest.push((target.name.clone(), found.map(|backup| backup.began_at)));
        }
        Ok(newest)
    }

    fn ages<'b>(&self, times: &'b [(Name, Option<Timestamp>)], now: Timestamp) -> Vec<Age<'b>> {
        let age = |(target, at): &'b (Name, Option<Timestamp>)| Age {
            target,
            age: at.map(|at| since(Some(at), now)),
        };
        times.iter().map(age).collect()
    }
}

async fn drill(controller: &Controller, service: &Service, now: Timestamp) -> Result<Answer, OperationError> {
    let drills = controller
        .store
        .drills()
        .of_service(&service.organisation, &service.name)
        .await?;
    // What could not be tried says nothing.
    let tried = drills
        .iter()
        .filter(|drill| drill.outcome != DrillOutcome::Refused);
    let newest = tried.clone().max_by_key(|drill| drill.began_at);
    let passed = tried
        .filter(|drill| drill.outcome == DrillOutcome::Passed)
        .map(|drill| drill.began_at)
        .max();
    let backups = controller
        .store
        .backups()
        .of_service(&service.organisation, &service.name)
        .await?;
    let first = backups
        .iter()
        .filter(|backup| backup.outcome == Some(BackupOutcome::Complete))
        .map(|backup| backup.began_at)
        .min();
    Ok(backups::drill(
        passed.map(|at| since(Some(at), now)),
        newest.is_some_and(|drill| drill.outcome == DrillOutcome::Failed),
        since(first, now),
    ))
}

/// Snapshots on the controller's disks that the store does not know; their names are their files' names.
async fn strangers(controller: &Controller, service: &Service) -> Result<Answer, OperationError> {
    let known = Known::of(controller, service).await?;
    let mut found = Vec::new();
    for repository in &known.repositories {
        let target = known
            .targets
            .iter()
            .find(|target| target.name == repository.target);
        let Some(disk) = target.and_then(Disk::of) else {
            continue;
        };
        let ours: BTreeSet<String> = controller
            .store
            .backups()
            .snapshots_in(&repository.id)
            .await?
            .into_iter()
            .map(|snapshot| snapshot.id)
            .collect();
        // A disk that is away is told of by its target.
        let files = std::fs::read_dir(disk.folder.join(&repository.folder).join("snapshots"));
        let strange = files
            .into_iter()
            .flatten()
            .flatten()
            .filter(|file| !ours.contains(&*file.file_name().to_string_lossy()));
        found.push((&repository.target, strange.count()));
    }
    Ok(backups::strangers(&found))
}

async fn target(controller: &Controller, name: &Name, now: Timestamp) -> Result<Answer, OperationError> {
    let targets = controller.store.targets();
    let target = targets.get(name).await?;
    let repositories = targets.repositories().await?;
    let used = repositories
        .iter()
        .filter(|repository| repository.target == *name)
        .filter_map(|repository| repository.size_bytes)
        .fold(Size(0), |sum, size| Size(sum.0.saturating_add(size.0)));
    let mut missing = None;
    let mut room = None;
    if let Some(disk) = Disk::of(&target) {
        match disk.ready().and_then(|()| disk.room()) {
            Ok((free, total)) => room = Some(Room { free, total }),
            Err(error) => missing = Some(error.to_string()),
        }
    }
    if missing.is_none() {
        let today = TargetSize {
            day: now.to_zoned(TimeZone::UTC).date(),
            bytes: used,
            free_bytes: room.map(|room| room.free),
        };
        targets.put_day(name, &today).await?;
    }
    let days = targets.days(name).await?;
    let history: Vec<Point> = days
        .iter()
        .filter_map(|size| {
            Some(Point {
                at: size.day.to_zoned(TimeZone::UTC).ok()?.timestamp(),
                value: size.bytes.0 as f64,
            })
        })
        .collect();
    Ok(backups::target(
        missing.as_deref(),
        room,
        used,
        target.quota_bytes,
        &history,
    ))
}

/// How long ago; nothing for what is not there.
fn since(at: Option<Timestamp>, now: Timestamp) -> Duration {
    at.and_then(|at| Duration::try_from(now.duration_since(at)).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Location, Organisation, Retention, Sector, Status};

    #[tokio::test]
    async fn a_target_that_is_away_is_told_and_one_that_is_there_remembers_its_day() {
        let folder = tempfile::TempDir::new().expect("a folder");
        Controller::init(folder.path()).await.expect("is made");
        let controller = Controller::open(folder.path(), &[]).await.expect("opens");
        let organisation = Organisation {
            name: "kita".parse().expect("a name"),
            title: "KiTa".to_owned(),
            sector: Sector::Kita,
            place: None,
            contacts: Vec::new(),
        };
        controller
            .store
            .organisations()
            .add(&organisation)
            .await
            .expect("added");
        let now = Timestamp::now();
        let place = folder.path().join("usb");
        let target = Target {
            name: "usb".parse().expect("a name"),
            location: Location::Disk {
                folder: place.clone(),
                mounted: false,
            },
            place: None,
            retention: Retention::USUAL,
            quota_bytes: Some(Size(1_000_000)),
            monthly_cost: None,
            organisations: Vec::new(),
            created_at: now,
        };
        controller.store.targets().add(&target).await.expect("added");
        let questions = questions(&controller).await.expect("known");
        let keys: Vec<String> = questions.iter().map(|(key, ..)| key.to_string()).collect();
        assert_eq!(keys, ["allmende:target-usb", "allmende:homeless"]);
        let (_, title, question) = &questions[0];
        assert_eq!(title.en, "The target usb is there and has room");

        let away = question.ask(&controller, now).await.expect("asked");
        assert_eq!(away.status, Status::Critical);
        assert!(
            away.sentence
                .en
                .contains("does not say that it belongs to target usb"),
            "{away:?}"
        );
        let days = controller.store.targets().days(&target.name).await.expect("read");
        assert_eq!(days, []);

        Disk::of(&target)
            .expect("a disk")
            .prepare(folder.path())
            .expect("prepared");
        let there = question.ask(&controller, now).await.expect("asked");
        assert!(
            there.sentence.en.starts_with("The backups take 0 B, "),
            "{there:?}"
        );
        let days = controller.store.targets().days(&target.name).await.expect("read");
        assert_eq!(days.len(), 1);
    }
}
