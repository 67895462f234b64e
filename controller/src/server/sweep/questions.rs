//! What is asked, and of whom: pages and ports from outside, hosts through their agents, Allmende itself.

use std::collections::HashMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use allmende_agent::protocol::Action;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use tokio::sync::Semaphore;

use super::dependencies;
use super::kept::{self, Kept};
use super::lines::Lines;
use crate::backup::own::OwnBackups;
use crate::catalogue;
use crate::health::inside::{Histories, Point};
use crate::health::{self, Prober, Rules, say};
use crate::model::{Answer, CheckKey, Host, JobState, Name, Status, Subject, Text};
use crate::operations::{ApplyHost, BackUpController, Controller, Operation, OperationError, Watched};
use crate::store::{Asked, RollupSpan};

/// How many connections to pages and ports are open at once.
const OUTSIDE: usize = 128;

/// How many hosts are asked at once.
const HOSTS: usize = 64;

/// How often Allmende asks itself.
const OWN: Duration = Duration::from_secs(300);

/// How far is looked back for telling when a disk will be full.
const HISTORY: SignedDuration = SignedDuration::from_hours(24 * 14);

/// One thing that is asked.
pub struct Item {
    pub key: CheckKey,
    pub every: Duration,
    pub rules: Rules,
    title: Text,
    organisation: Option<Name>,
    host: Option<Arc<Host>>,
    /// See [`Asked::depends_on`].
    pub depends_on: Vec<CheckKey>,
    question: Question,
}

enum Question {
    /// A check of a template, or one that somebody added.
    Check(Watched),
    /// Whether a host is as it was set up.
    Drift,
    Disk,
    Queue,
    Lag,
    Schedules,
    Unwatched,
    Channels,
    OwnBackup,
    Sheets,
    Backups(Kept),
}

impl Item {
    /// What is asked together: all that a host's agent sees at a glance. A program of which nobody knows how long it takes keeps
    /// nobody else waiting.
    pub fn group(&self) -> String {
        match &self.host {
            Some(host) if self.is_inside() && !self.is_program() => host.name.to_string(),
            _ => self.key.to_string(),
        }
    }

    fn is_program(&self) -> bool {
        self.check()
            .is_some_and(|watched| matches!(watched.check.question, catalogue::Question::Command(_)))
    }

    /// Whether it says if a unit of systemd runs.
    pub fn is_unit(&self) -> bool {
        self.check()
            .is_some_and(|watched| matches!(watched.check.question, catalogue::Question::Unit(_)))
    }

    /// Whether it tells of a host as a whole what may have a cause that is known more precisely.
    pub fn is_overview(&self) -> bool {
        match &self.question {
            Question::Drift => true,
            Question::Check(watched) => matches!(watched.check.question, catalogue::Question::FailedUnits(_)),
            _ => false,
        }
    }

    /// The checks that it says it depends on, by their ids.
    pub fn needs(&self) -> &[String] {
        self.check().map_or(&[], |watched| &watched.check.needs)
    }

    /// The host that it is about.
    pub fn host_name(&self) -> Option<&Name> {
        self.host.as_ref().map(|host| &host.name)
    }

    /// The check, unless Allmende asks it of itself.
    fn check(&self) -> Option<&Watched> {
        match &self.question {
            Question::Check(watched) => Some(watched),
            _ => None,
        }
    }

    fn is_inside(&self) -> bool {
        self.check()
            .is_some_and(|watched| !watched.check.question.is_outside())
    }

    /// What came back, with what has to be known of the check.
    fn asked(&self, at: Timestamp, took: Duration, mut answer: Answer) -> Asked {
        let mut availability = false;
        if let Question::Check(watched) = &self.question {
            availability =
                watched.check.question.is_outside() && matches!(self.key.subject, Subject::Service(_));
            if answer.status != Status::Ok && answer.advice.is_none() {
                answer.advice = Some(watched.check.advice.clone());
            }
        }
        Asked {
            key: self.key.clone(),
            title: self.title.clone(),
            organisation: self.organisation.clone(),
            host: self.host_name().cloned(),
            depends_on: self.depends_on.clone(),
            availability,
            // That a channel fails is told by another channel, by those who send.
            quiet: matches!(self.question, Question::Channels),
            at,
            took_ms: i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
            answer,
        }
    }
}

/// Everything that is asked: what is watched, Allmende itself, and hosts that were set up whether they still are so.
pub async fn items(controller: &Controller, watched: Vec<Watched>) -> Result<Vec<Item>, OperationError> {
    let mut items: Vec<Item> = watched.into_iter().map(of_check).collect();
    for (id, question) in [
        ("disk", Question::Disk),
        ("queue", Question::Queue),
        ("lag", Question::Lag),
        ("schedules", Question::Schedules),
        ("unwatched", Question::Unwatched),
        ("channels", Question::Channels),
        ("own-backup", Question::OwnBackup),
        ("sheets", Question::Sheets),
    ] {
        let key = CheckKey {
            subject: Subject::Controller,
            id: id.to_owned(),
        };
        items.push(of_own(key, OWN, None, question));
    }
    for (key, title, question) in kept::questions(controller).await? {
        let item = of_own(key, kept::RHYTHM, None, Question::Backups(question));
        items.push(Item { title, ..item });
    }
    let hosts = controller.store.hosts().list().await?;
    let rhythm = Duration::from_secs(u64::from(controller.settings.drift_minutes) * 60);
    for service in controller.store.services().list().await? {
        let key = CheckKey {
            subject: Subject::Host(service.host.clone()),
            id: "drift".to_owned(),
        };
        let host = hosts.iter().find(|host| host.name == service.host);
        if service.applied.is_some()
            && let Some(host) = host
            && !items.iter().any(|item| item.key == key)
        {
            items.push(of_own(key, rhythm, Some(Arc::new(host.clone())), Question::Drift));
        }
    }
    dependencies::find(&mut items);
    Ok(items)
}

fn of_check(watched: Watched) -> Item {
    let organisation = match &watched.key.subject {
        Subject::Controller => None,
        Subject::Host(_) => watched.host.as_ref().and_then(|host| host.organisation.clone()),
        Subject::Service(service) => service.organisation.clone(),
    };
    Item {
        key: watched.key.clone(),
        every: Duration::from_secs(watched.check.every.seconds),
        rules: Rules {
            attempts: watched.check.attempts,
            recovery: watched.check.recovery,
        },
        title: watched.check.title.clone(),
        organisation,
        host: watched.host.clone(),
        depends_on: Vec::new(),
        question: Question::Check(watched),
    }
}

fn of_own(key: CheckKey, every: Duration, host: Option<Arc<Host>>, question: Question) -> Item {
    Item {
        title: say(&format!("own.title.{}", key.id), json!({})),
        organisation: match &key.subject {
            Subject::Service(service) => service.organisation.clone(),
            _ => host.as_ref().and_then(|host| host.organisation.clone()),
        },
        rules: Rules {
            attempts: 2,
            recovery: 1,
        },
        key,
        every,
        host,
        depends_on: Vec::new(),
        question,
    }
}

/// Asks, a bounded number at once.
pub struct Questions {
    controller: Arc<Controller>,
    prober: Prober,
    lines: Lines,
    hosts: Semaphore,
    /// The latest that anything was asked since Allmende last asked itself; milliseconds.
    late: AtomicU64,
    /// Whose checks could not be worked out the last time, and why.
    unwatched: Mutex<Vec<(String, String)>>,
}

impl Questions {
    /// # Errors
    /// What the vault says.
    pub async fn new(controller: Arc<Controller>) -> Result<Self, OperationError> {
        Ok(Self {
            prober: controller.prober(OUTSIDE).await?,
            controller,
            lines: Lines::default(),
            hosts: Semaphore::new(HOSTS),
            late: AtomicU64::new(0),
            unwatched: Mutex::default(),
        })
    }

    /// Gives up connections to other hosts than these.
    pub async fn keep_lines(&self, hosts: &[Name]) {
        self.lines.keep_only(hosts).await;
    }

    /// Remembers whose checks could not be worked out, and why.
    pub fn note_unwatched(&self, problems: Vec<(String, String)>) {
        *self.unwatched.lock().unwrap_or_else(PoisonError::into_inner) = problems;
    }

    /// Asks what belongs together; `due` is when it was to be asked.
    pub async fn ask(&self, items: &[Arc<Item>], due: Timestamp) -> Vec<Asked> {
        let (inside, others): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.is_inside());
        let mut asked = Vec::new();
        for item in others {
            let (at, begun) = (Timestamp::now(), Instant::now());
            self.came_late(at, due);
            if let Some(answer) = self.ask_one(item).await {
                asked.push(item.asked(at, begun.elapsed(), answer));
            }
        }
        if let Some(host) = inside.first().and_then(|item| item.host.clone()) {
            // The gate is never closed.
            let _turn = self.hosts.acquire().await;
            let (at, begun) = (Timestamp::now(), Instant::now());
            self.came_late(at, due);
            let answers = self.ask_host(&host, &inside).await;
            let took = begun.elapsed();
            asked.extend(
                inside
                    .iter()
                    .zip(answers)
                    .map(|(item, answer)| item.asked(at, took, answer)),
            );
        }
        asked
    }

    fn came_late(&self, at: Timestamp, due: Timestamp) {
        let late = u64::try_from(at.duration_since(due).as_millis()).unwrap_or(0);
        self.late.fetch_max(late, Ordering::Relaxed);
    }

    /// Asks one thing that is asked alone; none where a template asks for what nobody can answer.
    async fn ask_one(&self, item: &Item) -> Option<Answer> {
        match &item.question {
            Question::Check(watched) => self.prober.ask(&watched.check, watched.host.as_deref()).await,
            Question::Drift => {
                let host = item.host.as_ref()?;
                Some(self.drift(host).await.unwrap_or_else(not_answered))
            }
            Question::Disk => Some(disk(&self.controller.data_dir)),
            Question::Queue => Some(self.queue().await.unwrap_or_else(not_answered)),
            Question::Schedules => Some(self.schedules().await.unwrap_or_else(not_answered)),
            Question::Channels => Some(self.channels().await.unwrap_or_else(not_answered)),
            Question::OwnBackup => Some(self.own_backup().await.unwrap_or_else(not_answered)),
            Question::Sheets => Some(match self.controller.unconfirmed_sheets().await {
                Ok(unconfirmed) => health::sheets(&unconfirmed),
                Err(error) => not_answered(error),
            }),
            Question::Backups(kept) => {
                let answer = kept.ask(&self.controller, Timestamp::now()).await;
                Some(answer.unwrap_or_else(not_answered))
            }
            Question::Unwatched => Some(health::unwatched(
                &self.unwatched.lock().unwrap_or_else(PoisonError::into_inner),
            )),
            Question::Lag => Some(health::lag(Duration::from_millis(
                self.late.swap(0, Ordering::Relaxed),
            ))),
        }
    }

    /// What differs on a host from what is wanted there.
    async fn drift(&self, host: &Host) -> Result<Answer, OperationError> {
        let controller = self.controller.refreshed().await?;
        let everything = ApplyHost {
            host: host.name.clone(),
            services: Vec::new(),
            everything: true,
        };
        let plan = everything.plan(&controller).await?;
        let resources = &plan.report.resources;
        let differing: Vec<String> = resources
            .iter()
            .filter(|resource| resource.action != Action::None)
            .map(|resource| format!("{} {}", resource.kind.replace('_', " "), resource.subject))
            .collect();
        Ok(health::drift(host.name.as_str(), resources.len(), &differing))
    }

    /// Times that came and were not served: the clock is late, or somebody else's.
    async fn schedules(&self) -> Result<Answer, OperationError> {
        let now = Timestamp::now();
        let (due, unreadable) = self.controller.store.schedules().due(now).await?;
        let missed: Vec<(Name, Duration)> = due
            .into_iter()
            .map(|due| {
                let waited = now.duration_since(due.due.at) - due.schedule.jitter();
                (due.schedule.name, Duration::try_from(waited).unwrap_or_default())
            })
            .collect();
        let unreadable: Vec<String> = unreadable.iter().map(ToString::to_string).collect();
        Ok(health::schedules(&missed, &unreadable))
    }

    async fn channels(&self) -> Result<Answer, OperationError> {
        let channels = self.controller.store.notifications().channels().await?;
        let now = Timestamp::now();
        let failing: Vec<(Name, Duration)> = channels
            .into_iter()
            .filter_map(|(channel, health)| {
                let lasts = now.duration_since(health.failing_since?);
                Some((channel.name, Duration::try_from(lasts).unwrap_or_default()))
            })
            .collect();
        Ok(health::channels(&failing))
    }

    /// The newest copy of Allmende's own data: in the folder of the settings, or wherever somebody last made one.
    async fn own_backup(&self) -> Result<Answer, OperationError> {
        let controller = &self.controller;
        let folder = controller.settings.self_backup.as_ref().map(|own| &own.folder);
        let newest = match folder {
            Some(folder) => OwnBackups(folder).list()?.pop().map(|(at, _)| at),
            None => {
                controller
                    .store
                    .audit()
                    .last_success(BackUpController::NAME)
                    .await?
            }
        };
        let age = newest.map(|at| Timestamp::now().duration_since(at));
        let folder = folder.map(|folder| folder.display().to_string());
        Ok(health::own_backup(
            age.map(|age| Duration::try_from(age).unwrap_or_default()),
            folder.as_deref(),
        ))
    }

    async fn queue(&self) -> Result<Answer, OperationError> {
        const MANY: u32 = 1000;
        let jobs = self.controller.store.jobs();
        let waiting = jobs.waiting(MANY).await?;
        let oldest = waiting
            .first()
            .map_or(0, |job| Timestamp::now().duration_since(job.created_at).as_secs());
        let mut interrupted = jobs.list(MANY).await?;
        interrupted.retain(|job| job.state == JobState::Interrupted);
        interrupted.reverse();
        let oldest = Duration::from_secs(u64::try_from(oldest).unwrap_or(0));
        Ok(health::queue(&waiting, oldest, &interrupted))
    }

    /// Asks a host's agent, all in one round trip; answers in the order of the items.
    async fn ask_host(&self, host: &Host, items: &[&Arc<Item>]) -> Vec<Answer> {
        let checks: Vec<Watched> = items.iter().filter_map(|item| item.check().cloned()).collect();
        match self.observe(host, &checks).await {
            Ok(answers) => {
                let mut answers: HashMap<CheckKey, Answer> = answers.into_iter().collect();
                let answer =
                    |item: &&Arc<Item>| answers.remove(&item.key).unwrap_or_else(|| not_answered(""));
                items.iter().map(answer).collect()
            }
            Err(error) => items.iter().map(|_| not_answered(&error)).collect(),
        }
    }

    async fn observe(
        &self,
        host: &Host,
        checks: &[Watched],
    ) -> Result<Vec<(CheckKey, Answer)>, OperationError> {
        let controller = &self.controller;
        let histories = self.histories(checks).await?;
        let open = controller.open_ports(host).await?;
        let session = self.lines.session(controller, host).await?;
        let answers = controller.observe(&session, checks, &open, &histories).await;
        session.close().await;
        answers
    }

    /// What disks were filled with in the last weeks: for telling when they will be full.
    async fn histories(&self, checks: &[Watched]) -> Result<Histories, OperationError> {
        let mut histories = Histories::new();
        let from = Timestamp::now() - HISTORY;
        for watched in checks {
            if !health::inside::looks_back(&watched.check.question) {
                continue;
            }
            let hours = self
                .controller
                .store
                .watch()
                .rollups(&watched.key, RollupSpan::Hour, from)
                .await?;
            let points = hours.iter().filter_map(|hour| {
                Some(Point {
                    at: Timestamp::from_millisecond(hour.begin_at).ok()?,
                    value: hour.mean?,
                })
            });
            histories.insert(watched.key.clone(), points.collect());
        }
        Ok(histories)
    }
}

/// The room for Allmende's own data.
fn disk(folder: &Path) -> Answer {
    match rustix::fs::statvfs(folder) {
        Ok(disk) => {
            let bytes = |blocks: u64| blocks.saturating_mul(disk.f_frsize);
            health::disk(
                &folder.display().to_string(),
                bytes(disk.f_bavail),
                bytes(disk.f_blocks),
            )
        }
        Err(error) => not_answered(error),
    }
}

/// Nothing can be told, and why.
fn not_answered(reason: impl ToString) -> Answer {
    Answer {
        status: Status::Unknown,
        figure: None,
        sentence: say("not_answered", json!({ "reason": reason.to_string() })),
        advice: None,
    }
}
