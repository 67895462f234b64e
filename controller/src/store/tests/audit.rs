//! The audit log, and people who tamper with it.

use serde_json::Value;

use super::*;
use crate::model::{JobState, Outcome};

over_every_database!(
    an_untouched_log_is_intact,
    entries_can_neither_be_changed_nor_removed,
    every_changed_field_is_found,
    a_missing_entry_is_found,
    a_cut_end_is_found_and_never_healed,
    a_forged_end_is_found,
    a_log_written_anew_is_found,
    an_emptied_log_is_found,
    a_job_and_its_entries_are_one,
    without_a_seal_nothing_is_written,
);

async fn write(store: &Store, number: i64) {
    let record = AuditRecord {
        actor: "anna",
        operation: "organisation.add",
        parameters: &serde_json::json!({"name": "kita-sonne", "number": number}),
        phase: AuditPhase::Refused,
        job: None,
        message: "line one\nline \"two\" \u{1f331}",
    };
    store.audit().append(record).await.expect("written");
}

async fn fill(store: &Store) {
    for number in 1..=5 {
        write(store, number).await;
    }
}

/// What somebody with a database tool and no key does.
async fn tamper(store: &Store, sql: &'static str) {
    let unguard = match &store.read {
        Pool::Sqlite(_) => "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_shortened",
        Pool::Postgres(_) => "ALTER TABLE audit DISABLE TRIGGER USER",
    };
    by_hand(store, unguard).await.expect(unguard);
    by_hand(store, sql).await.expect(sql);
}

async fn verdict(store: &Store) -> AuditVerdict {
    store.audit().verify().await.expect("verified")
}

async fn an_untouched_log_is_intact(store: Store) {
    assert!(matches!(
        verdict(&store).await,
        AuditVerdict::Intact { entries: 0, .. }
    ));
    fill(&store).await;
    let AuditVerdict::Intact { entries, last_hash } = verdict(&store).await else {
        panic!("broken");
    };
    let newest = &store.audit().list(1).await.expect("listed")[0];
    assert_eq!((entries, &last_hash), (5, &newest.hash));
    // Longer than what is read at a time.
    for number in 6..=1100 {
        write(&store, number).await;
    }
    assert!(matches!(
        verdict(&store).await,
        AuditVerdict::Intact { entries: 1100, .. }
    ));
}

async fn entries_can_neither_be_changed_nor_removed(store: Store) {
    fill(&store).await;
    for sql in [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit WHERE sequence = 5",
    ] {
        let error = by_hand(&store, sql).await.expect_err(sql).to_string();
        assert!(error.contains("append-only"), "{error}");
    }
}

async fn every_changed_field_is_found(store: Store) {
    fill(&store).await;
    let changes = [
        "UPDATE audit SET at = at + 1 WHERE sequence = 3",
        "UPDATE audit SET actor = 'bert' WHERE sequence = 3",
        "UPDATE audit SET operation = 'host.add' WHERE sequence = 3",
        "UPDATE audit SET parameters = '{}' WHERE sequence = 3",
        "UPDATE audit SET phase = 'succeeded' WHERE sequence = 3",
        "UPDATE audit SET job_id = 3 WHERE sequence = 3",
        "UPDATE audit SET message = '' WHERE sequence = 3",
        "UPDATE audit SET hash = '00' WHERE sequence = 3",
    ];
    tamper(&store, "CREATE TABLE kept AS SELECT * FROM audit").await;
    for change in changes {
        by_hand(&store, change).await.expect(change);
        assert_eq!(
            verdict(&store).await,
            AuditVerdict::Broken { sequence: 3 },
            "{change}"
        );
        by_hand(&store, "DELETE FROM audit; INSERT INTO audit SELECT * FROM kept;")
            .await
            .expect("put back");
        assert!(verdict(&store).await.intact());
    }
}

async fn a_missing_entry_is_found(store: Store) {
    fill(&store).await;
    tamper(&store, "DELETE FROM audit WHERE sequence = 2").await;
    assert_eq!(verdict(&store).await, AuditVerdict::Broken { sequence: 2 });
}

async fn a_cut_end_is_found_and_never_healed(store: Store) {
    fill(&store).await;
    tamper(&store, "DELETE FROM audit WHERE sequence > 3").await;
    assert_eq!(verdict(&store).await, AuditVerdict::End { entries: 3 });
    write(&store, 6).await;
    assert_eq!(verdict(&store).await, AuditVerdict::Broken { sequence: 4 });
}

async fn a_forged_end_is_found(store: Store) {
    fill(&store).await;
    let forge = "DELETE FROM audit WHERE sequence > 3;
        UPDATE audit_head SET entries = 3, hash = (SELECT hash FROM audit WHERE sequence = 3)";
    tamper(&store, forge).await;
    assert_eq!(verdict(&store).await, AuditVerdict::End { entries: 3 });
    write(&store, 6).await;
    assert_eq!(
        verdict(&store).await,
        AuditVerdict::Broken { sequence: 4 },
        "a new seal must not cover what was cut"
    );
}

async fn a_log_written_anew_is_found(store: Store) {
    // By somebody who knows the program, but not the key: every hash fits, the seal does not.
    let forger = another(&store).await;
    forger.set_seal(Box::new(TestSeal("another key")));
    write(&forger, 1).await;
    assert!(verdict(&forger).await.intact());
    assert_eq!(verdict(&store).await, AuditVerdict::End { entries: 1 });
}

async fn an_emptied_log_is_found(store: Store) {
    let job = NewJob {
        operation: "host.apply",
        parameters: &Value::Null,
        title: "apply web1",
        actor: "anna",
        handed_over: false,
    };
    store.jobs().add(job, []).await.expect("added");
    tamper(&store, "DELETE FROM audit; DELETE FROM audit_head").await;
    assert_eq!(verdict(&store).await, AuditVerdict::End { entries: 0 });
}

async fn a_job_and_its_entries_are_one(store: Store) {
    let job = NewJob {
        operation: "host.apply",
        parameters: &Value::Null,
        title: "apply web1",
        actor: "anna",
        handed_over: false,
    };
    let nowhere = store.jobs().add(job, &[name("nowhere")]).await;
    assert!(nowhere.is_err());
    assert!(store.audit().list(9).await.expect("listed").is_empty());
    let id = store.jobs().add(job, []).await.expect("added");
    let outcome = Outcome {
        message: "the host is busy".to_owned(),
        ..Outcome::default()
    };
    store
        .jobs()
        .finish(id, JobState::Failed, &outcome, AuditPhase::Refused)
        .await
        .expect("finished");
    let entries = store.audit().list(9).await.expect("listed");
    let told: Vec<(Option<i64>, &str, &str)> = entries
        .iter()
        .rev()
        .map(|entry| (entry.job_id, entry.phase.as_str(), entry.message.as_str()))
        .collect();
    assert_eq!(
        told,
        [
            (Some(id), "asked", "apply web1"),
            (Some(id), "refused", "the host is busy")
        ]
    );
    assert!(verdict(&store).await.intact());
}

async fn without_a_seal_nothing_is_written(store: Store) {
    let unsealed = another(&store).await;
    let job = NewJob {
        operation: "host.apply",
        parameters: &Value::Null,
        title: "apply web1",
        actor: "anna",
        handed_over: false,
    };
    assert!(matches!(
        unsealed.jobs().add(job, []).await,
        Err(StoreError::NoSeal)
    ));
    assert!(unsealed.jobs().list(9).await.expect("listed").is_empty());
}
