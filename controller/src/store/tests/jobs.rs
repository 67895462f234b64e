//! Jobs, claims, locks and events.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::model::{Job, JobEvent, JobEventKind, JobId, JobState, Outcome};

over_every_database!(
    a_job_goes_from_queued_to_its_end,
    eight_workers_claim_two_hundred_jobs_exactly_once,
    two_jobs_never_change_one_host_at_once,
    a_job_gets_all_its_hosts_or_none,
    a_second_asker_learns_who_has_the_host,
    a_lease_that_ran_out_is_found_and_its_hosts_are_freed,
    a_holder_that_is_gone_is_found_before_its_lease_ends,
    a_lost_lease_is_neither_renewed_nor_finished,
    a_removed_host_takes_its_lock_along,
    events_keep_their_order,
);

const LEASE: Duration = Duration::from_secs(60);

fn by(identity: &str) -> Claim<'_> {
    Claim {
        holder: "process 4711 on buero-pc",
        identity,
        lease: LEASE,
    }
}

fn nobody_is_gone(_: &str) -> bool {
    false
}

async fn job(store: &Store, hosts: &[&str]) -> JobId {
    let hosts: BTreeSet<Name> = hosts.iter().map(|host| name(host)).collect();
    let new = NewJob {
        operation: "host.apply",
        parameters: &serde_json::json!({"host": "web1"}),
        title: "apply web1",
        actor: "anna",
        handed_over: false,
    };
    store.jobs().add(new, &hosts).await.expect("added")
}

async fn claim(store: &Store, id: JobId, claim: Claim<'_>) -> Claimed {
    store
        .jobs()
        .claim(id, claim, nobody_is_gone)
        .await
        .expect("an answer")
}

async fn finish(store: &Store, id: JobId) -> Result<(), StoreError> {
    let phase = AuditPhase::Succeeded;
    store
        .jobs()
        .finish(id, JobState::Succeeded, &Outcome::default(), phase)
        .await
}

async fn state(store: &Store, id: JobId) -> JobState {
    store.jobs().get(id).await.expect("there").state
}

async fn a_job_goes_from_queued_to_its_end(store: Store) {
    furnish(&store).await;
    let id = job(&store, &["web1"]).await;
    assert_eq!(state(&store, id).await, JobState::Queued);
    assert!(matches!(
        claim(&store, id, by("a")).await,
        Claimed::Yes { interrupted } if interrupted.is_empty()
    ));
    let running = store.jobs().get(id).await.expect("there");
    assert_eq!(running.state, JobState::Running);
    assert_eq!(running.holder.as_deref(), Some("process 4711 on buero-pc"));
    assert_eq!(running.attempts, 1);
    assert!(running.lease_until.is_some_and(|until| until > now()));
    store.jobs().renew(id, by("a")).await.expect("renewed");
    finish(&store, id).await.expect("finished");
    let ended = store.jobs().get(id).await.expect("there");
    assert_eq!(ended.state, JobState::Succeeded);
    assert_eq!(ended.lease_until, None);
    assert!(ended.ended_at >= ended.started_at);
    let again = store.jobs().claim(id, by("a"), nobody_is_gone).await;
    assert!(
        matches!(again, Err(StoreError::LeaseLost(_))),
        "what ended is not begun again"
    );
}

async fn eight_workers_claim_two_hundred_jobs_exactly_once(store: Store) {
    let mut ids = Vec::new();
    for _ in 0..200 {
        ids.push(job(&store, &[]).await);
    }
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (store, ids) = (store.clone(), ids.clone());
            tokio::spawn(async move {
                let mut claimed = Vec::new();
                for id in ids {
                    match store.jobs().claim(id, by("a"), nobody_is_gone).await {
                        Ok(_) => claimed.push(id),
                        Err(StoreError::LeaseLost(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                }
                claimed
            })
        })
        .collect();
    let mut claimed = Vec::new();
    for worker in workers {
        claimed.extend(worker.await.expect("no panic"));
    }
    claimed.sort_unstable();
    assert_eq!(claimed, ids);
}

async fn two_jobs_never_change_one_host_at_once(store: Store) {
    furnish(&store).await;
    let busy: &'static [AtomicUsize; 2] = Box::leak(Box::default());
    let mut workers = Vec::new();
    for number in 0..24 {
        let hosts: &[&str] = [&["web1"][..], &["web2"], &["web1", "web2"]][number % 3];
        let id = job(&store, hosts).await;
        let store = store.clone();
        workers.push(tokio::spawn(async move {
            while let Claimed::Busy { .. } = claim(&store, id, by("a")).await {
                tokio::task::yield_now().await;
            }
            for host in hosts {
                let others = busy[usize::from(*host == "web2")].fetch_add(1, Ordering::SeqCst);
                assert_eq!(others, 0, "{host} has two jobs");
            }
            tokio::task::yield_now().await;
            for host in hosts {
                busy[usize::from(*host == "web2")].fetch_sub(1, Ordering::SeqCst);
            }
            finish(&store, id).await.expect("finished");
        }));
    }
    for worker in workers {
        worker.await.expect("no panic");
    }
}

async fn a_job_gets_all_its_hosts_or_none(store: Store) {
    furnish(&store).await;
    let one = job(&store, &["web2"]).await;
    let both = job(&store, &["web1", "web2"]).await;
    let other = job(&store, &["web1"]).await;
    claim(&store, one, by("a")).await;
    assert!(matches!(
        claim(&store, both, by("b")).await,
        Claimed::Busy { host, .. } if host == name("web2")
    ));
    assert_eq!(state(&store, both).await, JobState::Queued);
    assert!(matches!(claim(&store, other, by("c")).await, Claimed::Yes { .. }));
}

async fn a_second_asker_learns_who_has_the_host(store: Store) {
    furnish(&store).await;
    let first = job(&store, &["web1"]).await;
    claim(&store, first, by("a")).await;
    let second = job(&store, &["web1"]).await;
    let Claimed::Busy { host, by } = claim(&store, second, by("b")).await else {
        panic!("two jobs have one host");
    };
    assert_eq!((host, by.id), (name("web1"), first));
    assert_eq!((by.actor.as_str(), by.title.as_str()), ("anna", "apply web1"));
    assert!(by.started_at.is_some());
}

async fn a_lease_that_ran_out_is_found_and_its_hosts_are_freed(store: Store) {
    furnish(&store).await;
    let dead = job(&store, &["web1"]).await;
    let short = Claim {
        lease: Duration::ZERO,
        ..by("a")
    };
    claim(&store, dead, short).await;
    assert_eq!(
        state(&store, dead).await,
        JobState::Interrupted,
        "seen at once, without anybody writing"
    );
    assert_eq!(
        store.jobs().list(9).await.expect("listed")[0].state,
        JobState::Interrupted
    );
    let next = job(&store, &["web1"]).await;
    let Claimed::Yes { interrupted } = claim(&store, next, by("b")).await else {
        panic!("a dead job has its host");
    };
    let interrupted: Vec<(JobId, JobState)> = interrupted.iter().map(|job| (job.id, job.state)).collect();
    assert_eq!(interrupted, [(dead, JobState::Interrupted)]);
    let message = store
        .jobs()
        .get(dead)
        .await
        .expect("there")
        .outcome
        .expect("written")
        .message;
    assert!(message.contains("process 4711 on buero-pc"), "{message}");
}

async fn a_holder_that_is_gone_is_found_before_its_lease_ends(store: Store) {
    furnish(&store).await;
    let dead = job(&store, &["web1"]).await;
    let alive = job(&store, &["web2"]).await;
    claim(&store, dead, by("dead")).await;
    claim(&store, alive, by("alive")).await;
    let next = job(&store, &["web1"]).await;
    let claimed = store
        .jobs()
        .claim(next, by("b"), |identity| identity == "dead")
        .await;
    match claimed.expect("an answer") {
        Claimed::Yes { interrupted } => {
            assert_eq!(
                interrupted.iter().map(|job: &Job| job.id).collect::<Vec<_>>(),
                [dead]
            );
        }
        busy => panic!("{busy:?}"),
    }
    assert_eq!(state(&store, alive).await, JobState::Running);
}

async fn a_lost_lease_is_neither_renewed_nor_finished(store: Store) {
    furnish(&store).await;
    let lost = job(&store, &["web1"]).await;
    let short = Claim {
        lease: Duration::ZERO,
        ..by("a")
    };
    claim(&store, lost, short).await;
    store
        .jobs()
        .renew(lost, short)
        .await
        .expect("nobody noticed yet, as after a night of sleep");
    let other = job(&store, &[]).await;
    claim(&store, other, by("b")).await;
    let renewed = store.jobs().renew(lost, by("a")).await;
    assert!(matches!(renewed, Err(StoreError::LeaseLost(_))));
    assert!(matches!(
        finish(&store, lost).await,
        Err(StoreError::LeaseLost(_))
    ));
    assert_eq!(state(&store, lost).await, JobState::Interrupted);
    let stranger = store.jobs().renew(other, by("a")).await;
    assert!(
        matches!(stranger, Err(StoreError::LeaseLost(_))),
        "the job of another process"
    );
}

async fn a_removed_host_takes_its_lock_along(store: Store) {
    furnish(&store).await;
    store.hosts().add(&host("web3", None)).await.expect("added");
    let id = job(&store, &["web3"]).await;
    claim(&store, id, by("a")).await;
    store.hosts().remove(&name("web3")).await.expect("removed");
    finish(&store, id).await.expect("finished");
    assert_eq!(state(&store, id).await, JobState::Succeeded);
}

async fn events_keep_their_order(store: Store) {
    let id = job(&store, &[]).await;
    let event = |sequence: i64| JobEvent {
        sequence,
        at: now(),
        event: JobEventKind::Step {
            text: format!("step {sequence}"),
        },
    };
    let all: Vec<JobEvent> = (1..=100).map(event).collect();
    for batch in all.chunks(7) {
        store.jobs().add_events(id, batch).await.expect("written");
    }
    assert_eq!(store.jobs().events(id, 0).await.expect("read"), all);
    assert_eq!(store.jobs().events(id, 90).await.expect("read"), all[90..]);
    let twice = store.jobs().add_events(id, &[event(101), event(100)]).await;
    assert!(twice.is_err(), "no number twice");
    assert_eq!(
        store.jobs().events(id, 0).await.expect("read").len(),
        100,
        "all of a batch or none of it"
    );
}
