//! Targets, repositories, backups, drills.

use jiff::SignedDuration;
use serde_json::json;

use super::*;
use crate::model::{
    Backup, BackupOutcome, Drill, DrillOutcome, IntegrityCheck, Location, MonthlyCost, Part, Repository,
    Retention, Size, Snapshot, Target, TargetSize,
};

over_every_database!(
    a_target_comes_back_and_changes,
    a_target_with_repositories_is_not_removed,
    what_is_found_out_about_a_repository_is_kept,
    a_backup_comes_back_with_its_snapshots,
    the_newest_good_backup_is_one_that_is_still_there,
    backups_outlive_their_service_and_organisation,
    drills_are_kept_with_their_backup,
    a_day_of_a_target_is_counted_once,
);

fn target(text: &str) -> Target {
    Target {
        name: name(text),
        location: Location::Disk {
            folder: format!("/srv/{text}").into(),
            mounted: true,
        },
        place: Some("Keller; DROP TABLE targets;-- ü".to_owned()),
        retention: Retention::USUAL,
        quota_bytes: Some(Size(500_000_000_000)),
        monthly_cost: Some(MonthlyCost(450)),
        organisations: vec![name("kita-sonne")],
        created_at: now(),
    }
}

fn repository(id: &str, target: &str) -> Repository {
    Repository {
        id: id.to_owned(),
        target: name(target),
        organisation: name("kita-sonne"),
        service: name("cloud"),
        folder: format!("kita-sonne/cloud-{id}"),
        created_at: now(),
        size_bytes: None,
        counted_at: None,
        check: None,
        damaged: None,
        pruned_at: None,
    }
}

fn snapshot(backup: i64, repository: &str, part: Part, digit: &str) -> Snapshot {
    Snapshot {
        backup,
        repository: repository.to_owned(),
        part,
        id: digit.repeat(64),
        removed_at: None,
    }
}

/// A backup of kita-sonne/cloud that ended so, with one snapshot named after the digit.
async fn backup(store: &Store, outcome: BackupOutcome, digit: &str) -> i64 {
    let parts = [Part::Files, Part::Dump("db".to_owned())];
    let id = store
        .backups()
        .begin(NewBackup {
            organisation: &name("kita-sonne"),
            service: &name("cloud"),
            host: &name("web1"),
            job: Some(7),
            parts: &parts,
            at: now(),
        })
        .await
        .expect("begun");
    let ended = EndedBackup {
        at: now(),
        outcome,
        complaints: &["/srv/data is missing".to_owned()],
        proof: Some(&json!({ "counts": { "db": 17 } })),
        files: 3,
        bytes: Size(1000),
        added_bytes: Size(10),
        snapshots: &[snapshot(id, "aaaa", Part::Files, digit)],
    };
    store.backups().end(id, ended).await.expect("ended");
    id
}

async fn a_target_comes_back_and_changes(store: Store) {
    let older = Target {
        created_at: now() - SignedDuration::from_secs(60),
        ..target("usb")
    };
    for each in [&target("disk"), &older] {
        store.targets().add(each).await.expect("added");
    }
    let error = store.targets().add(&older).await.expect_err("refused");
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    let all = store.targets().list().await.expect("listed");
    assert_eq!(all.first(), Some(&older), "the oldest first");
    let changed = store
        .targets()
        .update(&name("usb"), |target| {
            target.name = name("other");
            target.quota_bytes = None;
            target.retention = "last=3".parse().expect("parses");
        })
        .await
        .expect("changed");
    assert_eq!(changed.name, name("usb"), "names stay");
    assert_eq!(store.targets().get(&name("usb")).await.expect("there"), changed);
    let error = store.targets().get(&name("usbb")).await.expect_err("unknown");
    assert!(error.to_string().contains("did you mean usb"), "{error}");
}

async fn a_target_with_repositories_is_not_removed(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    store
        .targets()
        .add_repository(&repository("aaaa", "usb"))
        .await
        .expect("added");
    let error = store.targets().add_repository(&repository("bbbb", "usb")).await;
    assert!(
        matches!(error, Err(StoreError::Exists { .. })),
        "one for each service"
    );
    let error = store.targets().add_repository(&repository("bbbb", "nas")).await;
    assert!(matches!(error, Err(StoreError::Unknown { .. })));
    let error = store.targets().remove(&name("usb")).await.expect_err("refused");
    assert!(
        error.to_string().contains("the backups of kita-sonne/cloud"),
        "{error}"
    );
    let backup = backup(&store, BackupOutcome::Complete, "1").await;
    store
        .targets()
        .forget_repository("aaaa")
        .await
        .expect("forgotten");
    assert!(store.backups().snapshots(backup).await.expect("read").is_empty());
    store.targets().remove(&name("usb")).await.expect("removed");
    assert!(store.targets().list().await.expect("listed").is_empty());
}

async fn what_is_found_out_about_a_repository_is_kept(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    let added = repository("aaaa", "usb");
    store.targets().add_repository(&added).await.expect("added");
    let read = async || store.targets().repository("aaaa").await.expect("there");
    assert_eq!(read().await, added);
    let at = now();
    let check = IntegrityCheck {
        at,
        part: 3,
        parts: 28,
    };
    store.targets().set_size("aaaa", Size(5), at).await.expect("kept");
    store.targets().set_checked("aaaa", check).await.expect("kept");
    store
        .targets()
        .set_damaged("aaaa", Some("a pack is missing"))
        .await
        .expect("kept");
    store.targets().set_pruned("aaaa", at).await.expect("kept");
    let known = Repository {
        size_bytes: Some(Size(5)),
        counted_at: Some(at),
        check: Some(check),
        damaged: Some("a pack is missing".to_owned()),
        pruned_at: Some(at),
        ..added
    };
    assert_eq!(read().await, known);
    store.targets().set_damaged("aaaa", None).await.expect("kept");
    assert_eq!(read().await.damaged, None);
    let of_service = store
        .targets()
        .repositories_of(&name("kita-sonne"), &name("cloud"))
        .await;
    assert_eq!(of_service.expect("listed").len(), 1);
    let of_other = store
        .targets()
        .repositories_of(&name("wg-nord"), &name("cloud"))
        .await;
    assert!(of_other.expect("listed").is_empty());
}

async fn a_backup_comes_back_with_its_snapshots(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    store
        .targets()
        .add_repository(&repository("aaaa", "usb"))
        .await
        .expect("added");
    let first = backup(&store, BackupOutcome::Incomplete, "1").await;
    let second = backup(&store, BackupOutcome::Complete, "2").await;
    let read: Backup = store.backups().get(first).await.expect("there");
    assert_eq!(read.outcome, Some(BackupOutcome::Incomplete));
    assert_eq!(read.complaints, ["/srv/data is missing"]);
    assert_eq!(read.parts.len(), 2);
    assert_eq!(read.proof, Some(json!({ "counts": { "db": 17 } })));
    assert_eq!(
        (read.files, read.bytes, read.added_bytes),
        (3, Size(1000), Size(10))
    );
    let listed = async || -> Vec<i64> {
        let all = store
            .backups()
            .of_service(&name("kita-sonne"), &name("cloud"))
            .await;
        all.expect("listed").into_iter().map(|backup| backup.id).collect()
    };
    assert_eq!(listed().await, [second, first], "the newest first");
    assert_eq!(store.backups().list().await.expect("listed").len(), 2);
    let copy = snapshot(first, "aaaa", Part::Dump("db".to_owned()), "3");
    for _ in 0..2 {
        store.backups().add_snapshot(&copy).await.expect("added");
    }
    let there = store.backups().snapshots(first).await.expect("read");
    assert_eq!(there, [copy.clone(), snapshot(first, "aaaa", Part::Files, "1")]);
    let gone = [copy.id.clone(), "f".repeat(64)];
    store
        .backups()
        .set_removed("aaaa", &gone, now())
        .await
        .expect("kept");
    let left = store.backups().snapshots_in("aaaa").await.expect("read");
    assert_eq!(
        left,
        [
            snapshot(first, "aaaa", Part::Files, "1"),
            snapshot(second, "aaaa", Part::Files, "2")
        ]
    );
    let all = store.backups().snapshots(first).await.expect("read");
    assert_eq!(
        all.iter()
            .filter(|snapshot| snapshot.removed_at.is_some())
            .count(),
        1
    );
    let error = store.backups().get(99).await.expect_err("unknown").to_string();
    assert!(error.contains("allmende backup list"), "{error}");
}

async fn the_newest_good_backup_is_one_that_is_still_there(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    store
        .targets()
        .add_repository(&repository("aaaa", "usb"))
        .await
        .expect("added");
    let newest = async || -> Vec<i64> {
        let newest = store.backups().newest(BackupOutcome::Complete).await;
        newest
            .expect("read")
            .into_iter()
            .map(|backup| backup.id)
            .collect()
    };
    assert!(newest().await.is_empty());
    let first = backup(&store, BackupOutcome::Complete, "1").await;
    let second = backup(&store, BackupOutcome::Complete, "2").await;
    backup(&store, BackupOutcome::Incomplete, "3").await;
    assert_eq!(newest().await, [second]);
    store
        .backups()
        .set_removed("aaaa", &["2".repeat(64)], now())
        .await
        .expect("kept");
    assert_eq!(newest().await, [first]);
}

async fn backups_outlive_their_service_and_organisation(store: Store) {
    furnish(&store).await;
    store.targets().add(&target("usb")).await.expect("added");
    store
        .targets()
        .add_repository(&repository("aaaa", "usb"))
        .await
        .expect("added");
    let backup = backup(&store, BackupOutcome::Complete, "1").await;
    store
        .services()
        .remove(&reference("kita-sonne/cloud"))
        .await
        .expect("removed");
    store
        .organisations()
        .remove(&name("kita-sonne"))
        .await
        .expect("removed");
    assert_eq!(
        store.backups().get(backup).await.expect("there").service,
        name("cloud")
    );
    assert_eq!(store.targets().repositories().await.expect("listed").len(), 1);
}

async fn drills_are_kept_with_their_backup(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    store
        .targets()
        .add_repository(&repository("aaaa", "usb"))
        .await
        .expect("added");
    let mut drill = Drill {
        id: 0,
        backup: backup(&store, BackupOutcome::Complete, "1").await,
        repository: "aaaa".to_owned(),
        host: name("web1"),
        began_at: now(),
        ended_at: now(),
        outcome: DrillOutcome::Failed,
        evidence: json!({ "files": 200 }),
        seconds: 1.5,
    };
    drill.id = store.drills().add(&drill).await.expect("added");
    let of_service = store
        .drills()
        .of_service(&name("kita-sonne"), &name("cloud"))
        .await;
    assert_eq!(of_service.expect("listed"), [drill.clone()]);
    let of_other = store.drills().of_service(&name("wg-nord"), &name("cloud")).await;
    assert!(of_other.expect("listed").is_empty());
    store
        .targets()
        .forget_repository("aaaa")
        .await
        .expect("forgotten");
    assert_eq!(
        store.drills().list().await.expect("listed"),
        [drill],
        "evidence stays"
    );
}

async fn a_day_of_a_target_is_counted_once(store: Store) {
    store.targets().add(&target("usb")).await.expect("added");
    let day = |day: &str, bytes, free: Option<u64>| TargetSize {
        day: day.parse().expect(day),
        bytes: Size(bytes),
        free_bytes: free.map(Size),
    };
    for each in [
        day("2026-12-01", 3, None),
        day("2026-11-30", 1, Some(10)),
        day("2026-12-01", 2, Some(9)),
    ] {
        store.targets().put_day(&name("usb"), &each).await.expect("kept");
    }
    assert_eq!(
        store.targets().days(&name("usb")).await.expect("read"),
        [day("2026-11-30", 1, Some(10)), day("2026-12-01", 2, Some(9))]
    );
}
