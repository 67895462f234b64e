//! The queue, servers and their duties.

use std::time::Duration;

use jiff::SignedDuration;

use super::*;
use crate::model::{JobEvent, JobEventKind, JobId, JobState, Outcome};

over_every_database!(
    a_job_of_ones_own_is_not_in_the_queue,
    a_job_that_was_cut_off_is_taken_up_with_its_events,
    a_job_that_is_given_back_frees_its_hosts_and_can_be_taken,
    a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told,
    old_jobs_are_forgotten_and_the_log_stays_intact,
    a_server_is_found_until_it_leaves,
    a_duty_has_one_holder_and_moves_when_that_is_gone,
);

fn by(identity: &str) -> Claim<'_> {
    Claim {
        holder: "process 4711 on buero-pc",
        identity,
        lease: Duration::from_secs(60),
    }
}

async fn job(store: &Store, handed_over: bool) -> JobId {
    let new = NewJob {
        operation: "host.apply",
        parameters: &serde_json::json!({"host": "web1"}),
        title: "apply web1",
        actor: "anna",
        handed_over,
    };
    store.jobs().add(new, &[name("web1")]).await.expect("added")
}

async fn taken(store: &Store, id: JobId, by: Claim<'_>) -> bool {
    let claimed = store.jobs().claim(id, by, |_| false).await.expect("an answer");
    matches!(claimed, Claimed::Yes { .. })
}

async fn waiting(store: &Store) -> Vec<JobId> {
    let jobs = store.jobs().waiting(10).await.expect("listed");
    jobs.into_iter().map(|job| job.id).collect()
}

async fn a_job_of_ones_own_is_not_in_the_queue(store: Store) {
    furnish(&store).await;
    job(&store, false).await;
    let handed_over = job(&store, true).await;
    assert_eq!(waiting(&store).await, [handed_over]);
    assert_eq!(store.jobs().count(JobState::Queued).await.expect("counted"), 2);
}

async fn a_job_that_was_cut_off_is_taken_up_with_its_events(store: Store) {
    furnish(&store).await;
    let id = job(&store, true).await;
    assert!(taken(&store, id, by("dead")).await);
    let step = JobEvent {
        sequence: 1,
        at: now(),
        event: JobEventKind::Step {
            text: "begun".to_owned(),
        },
    };
    store.jobs().add_events(id, &[step]).await.expect("written");
    let found = store.jobs().find_interrupted(|identity| identity == "dead").await;
    assert_eq!(found.expect("found").len(), 1);
    assert_eq!(store.jobs().to_be_taken_up(1).await.expect("listed"), []);
    assert_eq!(store.jobs().to_be_taken_up(2).await.expect("listed").len(), 1);
    assert!(store.jobs().take_up(id).await.expect("taken up"));
    assert!(!store.jobs().take_up(id).await.expect("not twice"));
    assert!(taken(&store, id, by("alive")).await);
    assert_eq!(store.jobs().last_event(id).await.expect("counted"), 1);
    assert!(store.audit().verify().await.expect("verified").intact());
}

async fn a_job_that_is_given_back_frees_its_hosts_and_can_be_taken(store: Store) {
    furnish(&store).await;
    let (first, second) = (job(&store, true).await, job(&store, true).await);
    assert!(taken(&store, first, by("a")).await);
    assert!(!taken(&store, second, by("b")).await);
    let stolen = store.jobs().hand_back(first, "b").await;
    assert!(matches!(stolen, Err(StoreError::LeaseLost(_))));
    store.jobs().hand_back(first, "a").await.expect("given back");
    assert_eq!(waiting(&store).await, [first, second]);
    assert_eq!(store.jobs().get(first).await.expect("there").attempts, 0);
    assert!(taken(&store, second, by("b")).await);
}

async fn a_waiting_job_is_cancelled_at_once_and_a_running_one_is_told(store: Store) {
    furnish(&store).await;
    let (waits, runs) = (job(&store, true).await, job(&store, true).await);
    assert!(taken(&store, runs, by("a")).await);
    let jobs = store.jobs();
    assert_eq!(jobs.cancel(waits, "bert").await.expect("done"), Cancelled::AtOnce);
    assert_eq!(jobs.get(waits).await.expect("there").state, JobState::Cancelled);
    assert_eq!(jobs.cancelled_by(runs).await.expect("asked"), None);
    assert_eq!(jobs.cancel(runs, "bert").await.expect("done"), Cancelled::Asked);
    assert_eq!(
        jobs.cancelled_by(runs).await.expect("asked").as_deref(),
        Some("bert")
    );
    let ended = Cancelled::Ended(JobState::Cancelled);
    assert_eq!(jobs.cancel(waits, "bert").await.expect("done"), ended);
    assert!(store.audit().verify().await.expect("verified").intact());
}

async fn old_jobs_are_forgotten_and_the_log_stays_intact(store: Store) {
    furnish(&store).await;
    let (ended, runs) = (job(&store, true).await, job(&store, true).await);
    assert!(taken(&store, ended, by("a")).await);
    let outcome = Outcome::default();
    let (state, phase) = (JobState::Succeeded, AuditPhase::Succeeded);
    let finished = store.jobs().finish(ended, state, &outcome, phase).await;
    finished.expect("finished");
    assert!(taken(&store, runs, by("a")).await);
    let jobs = store.jobs();
    assert_eq!(
        jobs.forget(now() - SignedDuration::from_hours(1))
            .await
            .expect("done"),
        0
    );
    assert_eq!(
        jobs.forget(now() + SignedDuration::from_hours(1))
            .await
            .expect("done"),
        1
    );
    assert!(jobs.get(ended).await.is_err());
    assert!(jobs.get(runs).await.is_ok());
    assert!(store.audit().verify().await.expect("verified").intact());
}

async fn a_server_is_found_until_it_leaves(store: Store) {
    let servers = store.servers();
    servers.announce(by("a")).await.expect("announced");
    servers.announce(by("a")).await.expect("announced again");
    assert_eq!(servers.running(|_| false).await.expect("listed").len(), 1);
    assert!(
        servers
            .running(|identity| identity == "a")
            .await
            .expect("listed")
            .is_empty()
    );
    servers.leave("a").await.expect("left");
    assert!(servers.running(|_| false).await.expect("listed").is_empty());
}

async fn a_duty_has_one_holder_and_moves_when_that_is_gone(store: Store) {
    let servers = store.servers();
    let nobody = |_: &str| false;
    assert!(servers.take_duty("sweep", by("a"), nobody).await.expect("asked"));
    assert!(servers.take_duty("sweep", by("a"), nobody).await.expect("asked"));
    assert!(!servers.take_duty("sweep", by("b"), nobody).await.expect("asked"));
    assert!(servers.take_duty("clock", by("b"), nobody).await.expect("asked"));
    assert!(
        servers
            .take_duty("sweep", by("b"), |identity| identity == "a")
            .await
            .expect("asked")
    );
    assert!(!servers.take_duty("sweep", by("a"), nobody).await.expect("asked"));
}
