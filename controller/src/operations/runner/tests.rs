//! Running operations over a real data directory.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::sync::Notify;

use super::*;
use crate::model::{Host, HostKey, Name, Secret};
use crate::operations::{LockHost, Preview, Risk, Scope, UnlockHost};
use crate::store::AuditVerdict;

/// An operation that does what its test wants.
#[derive(Clone, Default, Serialize, Deserialize)]
struct Probe {
    hosts: BTreeSet<Name>,
    #[serde(skip)]
    password: Option<Secret>,
    #[serde(skip)]
    act: Act,
}

#[derive(Default, Clone)]
enum Act {
    #[default]
    Succeed,
    Fail,
    /// Says that it has begun, and goes on when it is told to.
    Wait {
        begun: Arc<Notify>,
        go_on: Arc<Notify>,
    },
}

impl Operation for Probe {
    const NAME: &'static str = "probe";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        "probe the hosts".to_owned()
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        for host in &self.hosts {
            controller.store.hosts().get(host).await?;
        }
        Ok(Scope::default().locking(self.hosts.clone()))
    }

    async fn preview(&self, _controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::default())
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        for step in 1..=3 {
            let text = format!("step {step}");
            context.notify(JobEventKind::Step { text });
        }
        match &self.act {
            Act::Succeed => {}
            Act::Fail => return Err(OperationError::Refused("the disk is on fire".to_owned())),
            Act::Wait { begun, go_on } => {
                begun.notify_one();
                go_on.notified().await;
            }
        }
        Ok(Outcome {
            message: "Probed.".to_owned(),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Keeps what it sees; cancels when it is told to.
#[derive(Default)]
struct Onlooker {
    seen: Mutex<Vec<JobEvent>>,
    cancel: Notify,
}

impl Observer for Onlooker {
    fn event(&self, event: &JobEvent) {
        self.seen.lock().expect("no panic").push(event.clone());
    }

    fn cancelled(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.cancel.notified())
    }
}

async fn controller() -> (TempDir, Controller) {
    let folder = TempDir::new().expect("a folder");
    Controller::init(folder.path()).await.expect("made");
    let controller = Controller::open(folder.path(), &[]).await.expect("opens");
    let host = Host {
        name: web1(),
        organisation: None,
        address: "192.0.2.7".to_owned(),
        port: 22,
        host_key: HostKey("ssh-ed25519 AAAA".to_owned()),
        jumps: Vec::new(),
        lock: None,
        location: None,
        provider: None,
        monthly_cost: None,
        settings: Default::default(),
        facts: serde_json::from_str("{}").expect("facts"),
        seen_at: Timestamp::now(),
    };
    controller.store.hosts().add(&host).await.expect("added");
    (folder, controller)
}

fn web1() -> Name {
    "web1".parse().expect("a name")
}

fn on_web1(act: Act) -> Probe {
    Probe {
        hosts: [web1()].into(),
        password: None,
        act,
    }
}

fn waiting() -> (Probe, Arc<Notify>, Arc<Notify>) {
    let (begun, go_on) = (Arc::<Notify>::default(), Arc::<Notify>::default());
    let act = Act::Wait {
        begun: begun.clone(),
        go_on: go_on.clone(),
    };
    (on_web1(act), begun, go_on)
}

fn anna() -> Actor {
    Actor {
        name: "anna".to_owned(),
    }
}

/// What the audit log says about the newest requests: "asked", "succeeded" …, the oldest first.
async fn phases(controller: &Controller) -> Vec<String> {
    let entries = controller.store.audit().list(100).await.expect("listed");
    entries.into_iter().rev().map(|entry| entry.phase).collect()
}

async fn newest_job(controller: &Controller) -> Job {
    controller.store.jobs().list(1).await.expect("listed").remove(0)
}

async fn intact(controller: &Controller) -> bool {
    let verdict = controller.store.audit().verify().await.expect("verified");
    matches!(verdict, AuditVerdict::Intact { .. })
}

#[tokio::test]
async fn what_was_done_is_a_job_with_events_and_an_audit_trail() {
    let (_folder, controller) = controller().await;
    let onlooker = Onlooker::default();
    execute(&controller, &anna(), &on_web1(Act::Succeed), &onlooker)
        .await
        .expect("done");
    let job = newest_job(&controller).await;
    assert_eq!((job.state, job.actor.as_str()), (JobState::Succeeded, "anna"));
    assert_eq!(job.outcome.expect("an outcome").message, "Probed.");
    let kept = controller.store.jobs().events(job.id, 0).await.expect("read");
    let told: Vec<(i64, &JobEventKind)> = kept.iter().map(|event| (event.sequence, &event.event)).collect();
    let seen = onlooker.seen.lock().expect("no panic").clone();
    let shown: Vec<(i64, &JobEventKind)> = seen.iter().map(|event| (event.sequence, &event.event)).collect();
    assert_eq!(told, shown);
    assert_eq!(
        told.iter().map(|(number, _)| *number).collect::<Vec<_>>(),
        [1, 2, 3]
    );
    assert_eq!(phases(&controller).await, ["asked", "succeeded"]);
    assert!(intact(&controller).await);
}

#[tokio::test]
async fn what_failed_says_why_and_gives_the_host_back() {
    let (_folder, controller) = controller().await;
    let onlooker = Onlooker::default();
    let error = execute(&controller, &anna(), &on_web1(Act::Fail), &onlooker)
        .await
        .expect_err("failed");
    assert_eq!(error.to_string(), "the disk is on fire");
    let job = newest_job(&controller).await;
    assert_eq!(job.state, JobState::Failed);
    assert_eq!(job.outcome.expect("an outcome").message, "the disk is on fire");
    assert_eq!(phases(&controller).await, ["asked", "failed"]);
    execute(&controller, &anna(), &on_web1(Act::Succeed), &onlooker)
        .await
        .expect("the host is free");
}

#[tokio::test]
async fn a_request_about_what_does_not_exist_is_no_job_but_is_remembered() {
    let (_folder, controller) = controller().await;
    let probe = Probe {
        hosts: ["wbe1".parse().expect("a name")].into(),
        ..Probe::default()
    };
    let error = execute(&controller, &anna(), &probe, &Onlooker::default())
        .await
        .expect_err("refused");
    assert!(error.to_string().contains("did you mean web1?"), "{error}");
    assert!(controller.store.jobs().list(9).await.expect("listed").is_empty());
    assert_eq!(phases(&controller).await, ["refused"]);
}

#[tokio::test]
async fn a_second_asker_is_told_who_has_the_host() {
    let (_folder, controller) = controller().await;
    let (first, begun, go_on) = waiting();
    let (actor, onlooker) = (anna(), Onlooker::default());
    let second = async {
        begun.notified().await;
        let bert = Actor {
            name: "bert".to_owned(),
        };
        let refused = execute(&controller, &bert, &on_web1(Act::Succeed), &Onlooker::default()).await;
        go_on.notify_one();
        refused.expect_err("refused")
    };
    let (done, error) = tokio::join!(execute(&controller, &actor, &first, &onlooker), second);
    done.expect("done");
    match &error {
        OperationError::Busy {
            host, actor, title, ..
        } => {
            assert_eq!(
                (host, actor.as_str(), title.as_str()),
                (&web1(), "anna", "probe the hosts")
            );
        }
        other => panic!("{other}"),
    }
    let refused = newest_job(&controller).await;
    assert_eq!(
        (refused.state, refused.actor.as_str()),
        (JobState::Failed, "bert")
    );
    assert_eq!(
        phases(&controller).await,
        ["asked", "asked", "refused", "succeeded"]
    );
}

#[tokio::test]
async fn a_cancelled_job_ends_as_cancelled() {
    let (_folder, controller) = controller().await;
    let (probe, begun, _never) = waiting();
    let (actor, onlooker) = (anna(), Onlooker::default());
    let cancel = async {
        begun.notified().await;
        onlooker.cancel.notify_one();
    };
    let (done, ()) = tokio::join!(execute(&controller, &actor, &probe, &onlooker), cancel);
    assert!(matches!(done, Err(OperationError::Cancelled)));
    let job = newest_job(&controller).await;
    assert_eq!(job.state, JobState::Cancelled);
    let events = controller.store.jobs().events(job.id, 0).await.expect("read");
    assert_eq!(events.len(), 3, "what happened until then is kept");
}

#[tokio::test]
async fn the_host_of_a_killed_controller_is_free_at_once_and_the_next_job_says_so() {
    let (_folder, controller) = controller().await;
    let dead = Holder::of_an_ended_process();
    let new = NewJob {
        operation: "probe",
        parameters: &serde_json::Value::Null,
        title: "the job of the dead",
        actor: "bert",
        handed_over: false,
    };
    let killed = controller.store.jobs().add(new, &[web1()]).await.expect("added");
    claim(&controller, killed, &dead).await.expect("claimed");

    let onlooker = Onlooker::default();
    execute(&controller, &anna(), &on_web1(Act::Succeed), &onlooker)
        .await
        .expect("done without waiting for the lease");
    let seen = onlooker.seen.lock().expect("no panic").clone();
    assert!(matches!(
        &seen[0].event,
        JobEventKind::Warning { text } if text.contains("the job of the dead")
    ));
    let job = controller.store.jobs().get(killed).await.expect("there");
    assert_eq!(job.state, JobState::Interrupted);
    assert_eq!(
        phases(&controller).await,
        ["asked", "asked", "failed", "succeeded"],
        "its end is in the audit log too"
    );
    assert!(intact(&controller).await);
}

#[tokio::test]
async fn a_lost_lease_ends_the_renewal() {
    let (_folder, controller) = controller().await;
    let holder = Holder::this_process();
    let new = NewJob {
        operation: "probe",
        parameters: &serde_json::Value::Null,
        title: "probe",
        actor: "anna",
        handed_over: false,
    };
    let job = controller.store.jobs().add(new, []).await.expect("added");
    claim(&controller, job, &holder).await.expect("claimed");
    let renewal = tokio::spawn(keep_lease(
        controller.store.clone(),
        job,
        holder.clone(),
        Duration::from_millis(1),
    ));
    // Another process that takes this one for dead.
    let other = controller.store.jobs().add(new, []).await.expect("added");
    controller
        .store
        .jobs()
        .claim(other, holder.claim(LEASE), |_| true)
        .await
        .expect("claimed");
    let error = renewal.await.expect("no panic");
    assert!(
        matches!(error, StoreError::LeaseLost(lost) if lost == job),
        "{error}"
    );
}

#[tokio::test]
async fn a_secret_of_an_operation_is_nowhere_in_the_files() {
    const PASSWORD: &str = "correct-horse-battery";
    let (folder, controller) = controller().await;
    let probe = Probe {
        password: Some(Secret::new(PASSWORD.to_owned())),
        ..on_web1(Act::Fail)
    };
    let failed = execute(&controller, &anna(), &probe, &Onlooker::default()).await;
    assert!(failed.is_err() && probe.password.is_some());
    controller.store.close().await;
    for entry in std::fs::read_dir(folder.path()).expect("listed") {
        let path = entry.expect("an entry").path();
        if path.is_file() {
            let bytes = std::fs::read(&path).expect("read");
            let found = bytes
                .windows(PASSWORD.len())
                .any(|part| part == PASSWORD.as_bytes());
            assert!(!found, "{}", path.display());
        }
    }
}

#[test]
fn a_time_of_another_day_has_its_date() {
    assert!(local_time(Timestamp::UNIX_EPOCH).contains('-'));
    assert!(!local_time(Timestamp::now()).contains('-'));
}

#[tokio::test]
async fn a_locked_host_is_not_changed_until_it_is_unlocked() {
    let (_folder, controller) = controller().await;
    let name: Name = "web1".parse().expect("a name");
    let lock = LockHost {
        name: name.clone(),
        reason: "the provider moves it".to_owned(),
    };
    execute(&controller, &anna(), &lock, &Onlooker::default())
        .await
        .expect("locks");
    let refused = execute(&controller, &anna(), &on_web1(Act::Fail), &Onlooker::default())
        .await
        .expect_err("refuses");
    assert!(
        matches!(&refused, OperationError::Locked { by, .. } if *by == anna().name),
        "{refused}"
    );
    let unlock = UnlockHost { name };
    execute(&controller, &anna(), &unlock, &Onlooker::default())
        .await
        .expect("unlocks");
    let tried = execute(&controller, &anna(), &on_web1(Act::Fail), &Onlooker::default()).await;
    assert!(!matches!(tried, Err(OperationError::Locked { .. })));
}
