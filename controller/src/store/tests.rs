//! The store over a real database: what depends on what, who holds what, and what nobody may change.

use std::sync::Arc;
use std::time::Duration;

use allmende_agent::protocol::Facts;
use tempfile::TempDir;

use super::*;
use crate::model::{
    Host, HostKey, JobEvent, JobEventKind, JobState, Name, Organisation, Outcome, Parameters, Sector, Service,
};

/// A seal that anybody could forge, for tests that are not about forging.
struct PlainSeal;

impl Seal for PlainSeal {
    fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        bytes.to_vec()
    }

    fn fits(&self, bytes: &[u8], seal: &[u8]) -> bool {
        bytes == seal
    }
}

const CLAIM: Claim<'_> = Claim {
    holder: "process 1 on here",
    identity: "here 1",
    lease: Duration::from_secs(60),
};

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

/// A store with the organisation `kita-sonne` and the host `web1`.
async fn store() -> (TempDir, Store) {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(&folder.path().join("allmende.db"))
        .await
        .expect("opens");
    store.set_seal(Box::new(PlainSeal));
    let organisation = Organisation {
        name: name("kita-sonne"),
        title: "KiTa Sonne e.V.".to_owned(),
        sector: Sector::Kita,
        place: None,
        contacts: Vec::new(),
    };
    store.organisations().add(&organisation).await.expect("added");
    let host = Host {
        name: name("web1"),
        organisation: Some(name("kita-sonne")),
        address: "192.0.2.1".to_owned(),
        port: 22,
        host_key: HostKey("ssh-ed25519 AAAA".to_owned()),
        location: None,
        provider: None,
        monthly_cost: None,
        settings: Parameters::new(),
        facts: Facts::default(),
        seen_at: now(),
    };
    store.hosts().add(&host).await.expect("added");
    (folder, store)
}

async fn add_job(store: &Store, hosts: &[Name]) -> i64 {
    let new = NewJob {
        operation: "host.apply",
        parameters: &serde_json::Value::Null,
        title: "apply web1",
        actor: "anna",
    };
    store.jobs().add(new, hosts).await.expect("added")
}

async fn finish(store: &Store, job: i64) {
    let outcome = Outcome::default();
    store
        .jobs()
        .finish(job, JobState::Succeeded, &outcome, AuditPhase::Succeeded)
        .await
        .expect("finished");
}

#[tokio::test]
async fn what_is_needed_is_not_removed_and_the_list_says_why() {
    let (_folder, store) = store().await;
    let service = Service {
        name: name("cloud"),
        organisation: name("kita-sonne"),
        host: name("web1"),
        template: "nextcloud".to_owned(),
        parameters: Parameters::new(),
        applied: None,
    };
    store.services().add(&service).await.expect("added");
    let error = store.organisations().remove(&name("kita-sonne")).await;
    let error = error.expect_err("refused").to_string();
    assert!(
        error.contains("host web1") && error.contains("service kita-sonne/cloud"),
        "{error}"
    );
    assert!(store.hosts().remove(&name("web1")).await.is_err());
    store
        .services()
        .remove(&service.reference())
        .await
        .expect("removed");
    store.hosts().remove(&name("web1")).await.expect("removed");
    store
        .organisations()
        .remove(&name("kita-sonne"))
        .await
        .expect("removed");
}

#[tokio::test]
async fn an_unknown_name_is_answered_with_the_nearest() {
    let (_folder, store) = store().await;
    let error = store
        .hosts()
        .get(&name("wbe1"))
        .await
        .expect_err("unknown")
        .to_string();
    assert!(error.contains("web1"), "{error}");
}

#[tokio::test]
async fn two_jobs_never_hold_one_host() {
    let (_folder, store) = store().await;
    let store = Arc::new(store);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let job = add_job(&store, &[name("web1")]).await;
            match store.jobs().claim(job, CLAIM, |_| false).await.expect("answers") {
                Claimed::Yes { .. } => Some(job),
                Claimed::Busy { host, by } => {
                    assert_eq!(host, name("web1"));
                    assert_eq!(by.state, JobState::Running);
                    None
                }
            }
        });
    }
    let holders: Vec<i64> = tasks.join_all().await.into_iter().flatten().collect();
    let [holder] = holders.as_slice() else {
        panic!("{} jobs hold the host", holders.len());
    };
    finish(&store, *holder).await;
    let next = add_job(&store, &[name("web1")]).await;
    let claimed = store.jobs().claim(next, CLAIM, |_| false).await.expect("answers");
    assert!(matches!(claimed, Claimed::Yes { .. }));
}

#[tokio::test]
async fn a_dead_holder_loses_its_job_and_its_host() {
    let (_folder, store) = store().await;
    let dead = add_job(&store, &[name("web1")]).await;
    store.jobs().claim(dead, CLAIM, |_| false).await.expect("claimed");
    let next = add_job(&store, &[name("web1")]).await;
    let claimed = store
        .jobs()
        .claim(next, CLAIM, |identity| identity == "here 1")
        .await
        .expect("answers");
    let Claimed::Yes { interrupted } = claimed else {
        panic!("the dead one still holds the host");
    };
    assert_eq!(interrupted[0].id, dead);
    assert_eq!(
        store.jobs().get(dead).await.expect("there").state,
        JobState::Interrupted
    );
    let late = store.jobs().renew(dead, CLAIM).await;
    assert!(matches!(late, Err(StoreError::LeaseLost(_))));
}

#[tokio::test]
async fn a_lease_that_ran_out_is_lost_even_if_nobody_knows_its_holder() {
    let (_folder, store) = store().await;
    let slow = add_job(&store, &[name("web1")]).await;
    let short = Claim {
        lease: Duration::ZERO,
        ..CLAIM
    };
    store.jobs().claim(slow, short, |_| false).await.expect("claimed");
    tokio::time::sleep(Duration::from_millis(5)).await;
    let next = add_job(&store, &[name("web1")]).await;
    let claimed = store.jobs().claim(next, CLAIM, |_| false).await.expect("answers");
    assert!(matches!(claimed, Claimed::Yes { interrupted } if interrupted.len() == 1));
}

#[tokio::test]
async fn events_come_back_in_order() {
    let (_folder, store) = store().await;
    let job = add_job(&store, &[]).await;
    let events: Vec<JobEvent> = (1..=3)
        .map(|sequence| JobEvent {
            sequence,
            at: now(),
            event: JobEventKind::Step {
                text: format!("step {sequence}"),
            },
        })
        .collect();
    store.jobs().add_events(job, &events).await.expect("written");
    assert_eq!(store.jobs().events(job, 0).await.expect("read"), events);
    assert_eq!(store.jobs().events(job, 2).await.expect("read"), events[2..]);
}

#[tokio::test]
async fn the_audit_log_refuses_changes_and_finds_those_that_were_forced() {
    let (_folder, store) = store().await;
    for _ in 0..3 {
        let job = add_job(&store, &[]).await;
        finish(&store, job).await;
    }
    assert!(store.audit().verify().await.expect("verified").intact());
    let changed = sqlx::query("UPDATE audit SET actor = 'eve' WHERE sequence = 2")
        .execute(&store.write)
        .await;
    assert!(changed.is_err());
    for trigger in [
        "DROP TRIGGER audit_is_not_changed",
        "DROP TRIGGER audit_is_not_shortened",
    ] {
        sqlx::query(trigger).execute(&store.write).await.expect("dropped");
    }
    sqlx::query("DELETE FROM audit WHERE sequence = 3")
        .execute(&store.write)
        .await
        .expect("cut off");
    assert_eq!(
        store.audit().verify().await.expect("verified"),
        AuditVerdict::End { entries: 2 }
    );
    sqlx::query("UPDATE audit SET actor = 'eve' WHERE sequence = 2")
        .execute(&store.write)
        .await
        .expect("changed");
    assert_eq!(
        store.audit().verify().await.expect("verified"),
        AuditVerdict::Broken { sequence: 2 }
    );
}
