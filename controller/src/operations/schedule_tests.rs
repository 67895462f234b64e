//! Scheduling over a real data directory.

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::model::{Actor, Host, HostKey, JobEvent, Name, Schedule};
use crate::store::Serving;

struct Nobody;

impl Observer for Nobody {
    fn event(&self, _event: &JobEvent) {}
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn anna() -> Actor {
    Actor {
        name: "anna".to_owned(),
    }
}

async fn controller() -> (TempDir, Controller) {
    let folder = TempDir::new().expect("a folder");
    Controller::init(folder.path()).await.expect("made");
    let controller = Controller::open(folder.path(), &[]).await.expect("opens");
    let host = Host {
        name: name("web1"),
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
        seen_at: jiff::Timestamp::now(),
    };
    controller.store.hosts().add(&host).await.expect("added");
    (folder, controller)
}

fn add(operation: &str, parameters: Value) -> AddSchedule {
    AddSchedule {
        name: name("nightly"),
        at: "every minute".parse().expect("a recurrence"),
        zone: "Europe/Berlin".parse().expect("a zone"),
        jitter_seconds: Some(0),
        organisation: None,
        operation: operation.to_owned(),
        parameters,
    }
}

async fn ask<O: Operation>(controller: &Controller, operation: &O) -> Result<String, OperationError> {
    let outcome = execute(controller, &anna(), operation, &Nobody).await?;
    Ok(outcome.message)
}

async fn scheduled(controller: &Controller) -> Schedule {
    controller
        .store
        .schedules()
        .get(&name("nightly"))
        .await
        .expect("there")
}

/// A moment at which the next time of a schedule has come.
async fn next(controller: &Controller) -> jiff::Timestamp {
    let schedule = scheduled(controller).await;
    schedule
        .times_after(jiff::Timestamp::now())
        .next()
        .expect("a time")
}

#[tokio::test]
async fn what_cannot_be_asked_for_is_not_scheduled_and_its_values_are_not_kept() {
    let (_folder, controller) = controller().await;
    for (operation, parameters, expected) in [
        (
            "host.aply",
            json!({ "host": "geheim" }),
            "possible are: host.apply",
        ),
        (
            "host.lock",
            json!({ "name": "web1", "geheim": "geheim" }),
            "missing field `reason`",
        ),
        (
            "host.apply",
            json!({ "host": "web1", "pasword": "geheim" }),
            "has no parameter pasword",
        ),
        ("host.apply", json!({ "host": "geheim" }), "no host \"geheim\""),
        ("service.remove", json!({ "service": "geheim" }), "by no schedule"),
        ("host.apply", json!(["geheim"]), "cannot be asked for like this"),
    ] {
        let error = ask(&controller, &add(operation, parameters))
            .await
            .expect_err(operation);
        assert!(error.to_string().contains(expected), "{operation}: {error}");
    }
    let audit = controller.store.audit().list(99).await.expect("listed");
    assert_eq!(audit.len(), 6);
    let kept: Vec<&str> = audit.iter().map(|entry| entry.parameters.as_str()).collect();
    let with_values = kept.iter().filter(|kept| kept.contains(":\"geheim\"")).count();
    assert_eq!(
        with_values, 1,
        "only a host that does not exist is named: {kept:?}"
    );
    assert!(
        controller
            .store
            .schedules()
            .list()
            .await
            .expect("listed")
            .is_empty()
    );
}

#[tokio::test]
async fn a_time_that_came_becomes_a_job_of_the_schedule() {
    let (_folder, controller) = controller().await;
    let parameters = json!({ "host": "web1", "everything": true });
    let message = ask(&controller, &add("host.apply", parameters))
        .await
        .expect("added");
    assert_eq!(
        message,
        "Added schedule nightly: apply web1 and everything on it, every minute (Europe/Berlin)."
    );
    let at = next(&controller).await;
    let (served, problems) = fire_due(&controller, at, 10).await.expect("ticks");
    assert!(problems.is_empty(), "{problems:?}");
    let Serving::Job(id) = served[0].serving else {
        panic!("{served:?}")
    };
    let job = controller.store.jobs().get(id).await.expect("there");
    assert_eq!(
        (job.operation.as_str(), job.actor.as_str()),
        ("host.apply", "schedule nightly")
    );
    assert_eq!(
        controller.store.jobs().waiting(9).await.expect("listed").len(),
        1,
        "a server does it"
    );
    let (again, _) = fire_due(&controller, at, 10).await.expect("ticks");
    assert!(again.is_empty());
}

#[tokio::test]
async fn a_locked_host_is_left_alone_at_that_time() {
    let (_folder, controller) = controller().await;
    ask(&controller, &add("host.apply", json!({ "host": "web1" })))
        .await
        .expect("added");
    let lock = LockHost {
        name: name("web1"),
        reason: "the provider moves it".to_owned(),
    };
    ask(&controller, &lock).await.expect("locked");
    let (served, _) = fire_due(&controller, next(&controller).await, 10)
        .await
        .expect("ticks");
    assert_eq!(served[0].serving, Serving::Refused);
    let runs = controller
        .store
        .schedules()
        .runs(&name("nightly"), 5)
        .await
        .expect("listed");
    assert!(
        runs[0]
            .refusal
            .as_ref()
            .is_some_and(|reason| reason.contains("the provider moves it"))
    );
    let audit = controller.store.audit().list(1).await.expect("listed");
    assert_eq!(
        (audit[0].actor.as_str(), audit[0].phase.as_str()),
        ("schedule nightly", "refused")
    );
}

#[tokio::test]
async fn one_parameter_changes_or_all_of_them_with_the_operation() {
    let (_folder, controller) = controller().await;
    ask(
        &controller,
        &add("host.lock", json!({ "name": "web1", "reason": "holidays" })),
    )
    .await
    .expect("added");
    let mut edit = EditSchedule {
        name: name("nightly"),
        at: Some("daily 03:00".parse().expect("a recurrence")),
        zone: None,
        jitter_seconds: None,
        organisation: None,
        operation: None,
        parameters: json!({ "reason": "Ferien" })
            .as_object()
            .cloned()
            .unwrap_or_default(),
    };
    ask(&controller, &edit).await.expect("changed");
    assert_eq!(
        scheduled(&controller).await.parameters,
        json!({ "name": "web1", "reason": "Ferien" })
    );
    edit.operation = Some("host.unlock".to_owned());
    assert!(
        ask(&controller, &edit).await.is_err(),
        "unlocking takes a name, and no reason"
    );
    edit.parameters = json!({ "name": "web1" }).as_object().cloned().unwrap_or_default();
    ask(&controller, &edit).await.expect("changed");
    let changed = scheduled(&controller).await;
    assert_eq!(
        (changed.operation.as_str(), changed.parameters),
        ("host.unlock", json!({ "name": "web1" }))
    );
    assert_eq!(changed.recurrence.to_string(), "daily 03:00");
}

#[tokio::test]
async fn words_without_a_time_of_day_get_a_little_jitter() {
    let (_folder, controller) = controller().await;
    for (at, expected) in [
        ("hourly", 300),
        ("every 15 minutes", 75),
        ("daily 03:00", 0),
        ("0 * * * *", 0),
    ] {
        let mut add = add("host.apply", json!({ "host": "web1" }));
        add.at = at.parse().expect(at);
        add.jitter_seconds = None;
        ask(&controller, &add).await.expect(at);
        assert_eq!(scheduled(&controller).await.jitter_seconds, expected, "{at}");
        ask(
            &controller,
            &RemoveSchedule {
                name: name("nightly"),
            },
        )
        .await
        .expect("removed");
    }
    let mut add = add("host.apply", json!({ "host": "web1" }));
    add.jitter_seconds = Some(60);
    let error = ask(&controller, &add)
        .await
        .expect_err("as long as the minute")
        .to_string();
    assert!(error.contains("which is 1 min"), "{error}");
}

#[tokio::test]
async fn a_pause_says_who_and_why_until_it_is_resumed() {
    let (_folder, controller) = controller().await;
    ask(&controller, &add("host.apply", json!({ "host": "web1" })))
        .await
        .expect("added");
    let pause = PauseSchedule {
        name: name("nightly"),
        reason: "holidays".to_owned(),
    };
    ask(&controller, &pause).await.expect("paused");
    let paused = scheduled(&controller).await.paused.expect("paused");
    assert_eq!((paused.by.as_str(), paused.reason.as_str()), ("anna", "holidays"));
    let (served, _) = fire_due(&controller, next(&controller).await, 10)
        .await
        .expect("ticks");
    assert!(served.is_empty());
    let resume = ResumeSchedule {
        name: name("nightly"),
    };
    assert!(
        ask(&controller, &resume)
            .await
            .expect("resumed")
            .contains("anna had paused it")
    );
    assert_eq!(
        ask(&controller, &resume).await.expect("again"),
        "Schedule nightly was not paused."
    );
}
