//! Schedules: each time is served once, whatever happens.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::json;

use super::*;
use crate::model::{Due, JobEventKind, JobState, Pause, Schedule};

over_every_database!(
    a_schedule_comes_back_as_it_was_added,
    a_time_that_came_makes_one_job_that_is_audited,
    two_controllers_serve_a_time_once,
    eight_controllers_serve_a_day_of_hours_once_each,
    missed_times_are_made_up_for_by_one_job_that_says_so,
    a_paused_schedule_rests_and_does_not_catch_up,
    a_change_made_meanwhile_wins,
    changed_times_count_from_the_change,
    other_changes_do_not_lose_a_time,
    a_clock_that_is_set_back_serves_no_time_again,
    a_clock_that_was_years_ahead_silences_nothing,
    a_refusal_is_remembered_and_the_next_time_comes,
    the_next_time_waits_for_the_job_before,
    what_cannot_be_served_is_served_later,
    a_removed_schedule_takes_its_times_along_and_leaves_its_jobs,
    a_removed_organisation_takes_its_schedules_along,
    only_the_last_months_are_remembered,
    an_unreadable_schedule_does_not_stop_the_others,
);

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

/// Every hour, made at midnight.
fn hourly() -> Schedule {
    Schedule {
        name: name("hourly-apply"),
        organisation: Some(name("kita-sonne")),
        operation: "host.apply".to_owned(),
        parameters: json!({ "host": "web1" }),
        recurrence: "0 * * * *".parse().expect("a recurrence"),
        zone: "Europe/Berlin".parse().expect("a zone"),
        jitter_seconds: 0,
        paused: None,
        created_by: "anna".to_owned(),
        created_at: at("2026-11-01T00:00:00Z"),
    }
}

async fn furnished(store: &Store) -> Schedule {
    furnish(store).await;
    let schedule = hourly();
    store
        .schedules()
        .add(&schedule, schedule.created_at)
        .await
        .expect("added");
    schedule
}

async fn due(store: &Store, now: &str) -> Vec<DueSchedule> {
    let (due, unreadable) = store.schedules().due(at(now)).await.expect("found");
    assert!(unreadable.is_empty(), "{unreadable:?}");
    due
}

async fn try_to_serve(
    store: &Store,
    one: &DueSchedule,
    now: &str,
    host: &str,
) -> Result<Serving, StoreError> {
    let job = NewJob {
        operation: "host.apply",
        parameters: &one.schedule.parameters,
        title: "apply web1",
        actor: "schedule hourly-apply",
        handed_over: true,
    };
    let hosts = BTreeSet::from([name(host)]);
    store
        .schedules()
        .serve(one, at(now), Start::Job(job, &hosts))
        .await
}

async fn serve(store: &Store, one: &DueSchedule, now: &str) -> Serving {
    try_to_serve(store, one, now, "web1").await.expect("an answer")
}

/// Serves all that has come, and ends the jobs.
async fn tick(store: &Store, now: &str) -> Vec<Due> {
    let mut served = Vec::new();
    for one in due(store, now).await {
        if let Serving::Job(job) = serve(store, &one, now).await {
            served.push(one.due);
            end(store, job).await;
        }
    }
    served
}

async fn end(store: &Store, job: i64) {
    let claim = Claim {
        holder: "a test",
        identity: "test",
        lease: std::time::Duration::from_secs(60),
    };
    store.jobs().claim(job, claim, |_| false).await.expect("claimed");
    store
        .jobs()
        .finish(
            job,
            JobState::Succeeded,
            &Default::default(),
            AuditPhase::Succeeded,
        )
        .await
        .expect("ended");
}

async fn jobs(store: &Store) -> usize {
    store.jobs().list(1000).await.expect("listed").len()
}

async fn a_schedule_comes_back_as_it_was_added(store: Store) {
    let schedule = furnished(&store).await;
    assert_eq!(
        store.schedules().get(&schedule.name).await.expect("there"),
        schedule
    );
    let own = Schedule {
        name: name("allmendes-own"),
        organisation: None,
        paused: Some(Pause {
            by: "bert".to_owned(),
            since: at("2026-11-01T00:00:00Z"),
            reason: "Ferien; DROP TABLE schedules".to_owned(),
        }),
        recurrence: "täglich um 03:00 Uhr".parse().expect("a recurrence"),
        ..hourly()
    };
    store.schedules().add(&own, own.created_at).await.expect("added");
    assert_eq!(
        store.schedules().list().await.expect("listed"),
        [own, schedule.clone()]
    );
    let twice = store
        .schedules()
        .add(&schedule, schedule.created_at)
        .await
        .expect_err("taken");
    assert_eq!(twice.to_string(), "there is already a schedule hourly-apply");
    let unknown = store
        .schedules()
        .get(&name("hourly-aply"))
        .await
        .expect_err("none");
    assert_eq!(
        unknown.to_string(),
        "no schedule \"hourly-aply\"; did you mean hourly-apply?"
    );
}

async fn a_time_that_came_makes_one_job_that_is_audited(store: Store) {
    let schedule = furnished(&store).await;
    assert!(due(&store, "2026-11-01T00:59:59Z").await.is_empty());
    let [one] = &due(&store, "2026-11-01T01:00:00Z").await[..] else {
        panic!("one")
    };
    let Serving::Job(job) = serve(&store, one, "2026-11-01T01:00:00Z").await else {
        panic!("a job")
    };
    let made = store.jobs().get(job).await.expect("there");
    assert_eq!(
        (made.state, made.actor.as_str()),
        (JobState::Queued, "schedule hourly-apply")
    );
    assert!(
        store.jobs().events(job, 0).await.expect("read").is_empty(),
        "nothing was missed"
    );
    let audit = store.audit().list(1).await.expect("listed");
    assert_eq!((audit[0].phase.as_str(), audit[0].job_id), ("asked", Some(job)));
    assert!(store.audit().verify().await.expect("verified").intact());
    let run = &store.schedules().runs(&schedule.name, 5).await.expect("listed")[0];
    assert_eq!(
        (run.due_at, run.job, run.missed),
        (at("2026-11-01T01:00:00Z"), Some(job), 0)
    );
    end(&store, job).await;
    assert!(due(&store, "2026-11-01T01:59:59Z").await.is_empty());
}

async fn two_controllers_serve_a_time_once(store: Store) {
    furnished(&store).await;
    let other = another(&store).await;
    other.set_seal(Box::new(TestSeal("key")));
    let now = "2026-11-01T01:00:00Z";
    // Both saw it come before one of them acts.
    let (first, second) = (due(&store, now).await, due(&other, now).await);
    assert_eq!((first.len(), &first), (1, &second));
    assert!(matches!(serve(&store, &first[0], now).await, Serving::Job(_)));
    assert_eq!(serve(&other, &second[0], now).await, Serving::Already);
    assert_eq!(serve(&store, &first[0], now).await, Serving::Already);
    assert_eq!(jobs(&store).await, 1);
}

async fn eight_controllers_serve_a_day_of_hours_once_each(store: Store) {
    furnished(&store).await;
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for hour in 1..=23 {
                    tick(&store, &format!("2026-11-01T{hour:02}:00:30Z")).await;
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.expect("no panic");
    }
    let runs = store
        .schedules()
        .runs(&name("hourly-apply"), 100)
        .await
        .expect("listed");
    let times: BTreeSet<Timestamp> = runs.iter().map(|run| run.due_at).collect();
    let stood_for: i64 = runs.iter().map(|run| run.missed + 1).sum();
    assert_eq!((times.len(), jobs(&store).await), (runs.len(), runs.len()));
    // One may be ahead of another, who finds hours that were served with a later one: none is lost and none comes twice.
    assert_eq!(stood_for, 23);
}

async fn missed_times_are_made_up_for_by_one_job_that_says_so(store: Store) {
    furnished(&store).await;
    let served = tick(&store, "2026-11-01T05:10:00Z").await;
    assert_eq!(served.iter().map(|due| due.missed).collect::<Vec<_>>(), [4]);
    assert!(tick(&store, "2026-11-01T05:10:01Z").await.is_empty());
    let job = &store.jobs().list(9).await.expect("listed")[0];
    let events = store.jobs().events(job.id, 0).await.expect("read");
    let JobEventKind::Warning { text } = &events[0].event else {
        panic!("a warning")
    };
    assert_eq!(
        text,
        "4 times of schedule hourly-apply since Sun 2026-11-01 02:00:00 CET were missed; this one run is for all of them."
    );
    assert_eq!(tick(&store, "2026-11-01T06:00:00Z").await.len(), 1);
    assert_eq!(jobs(&store).await, 2);
}

async fn a_paused_schedule_rests_and_does_not_catch_up(store: Store) {
    let schedule = furnished(&store).await;
    let pause = Pause {
        by: "anna".to_owned(),
        since: at("2026-11-01T00:30:00Z"),
        reason: "holidays".to_owned(),
    };
    // Seen before the pause, served after it.
    let seen = due(&store, "2026-11-01T01:00:00Z").await;
    let schedules = store.schedules();
    schedules
        .update(&schedule.name, at("2026-11-01T01:00:00Z"), |s| {
            s.paused = Some(pause)
        })
        .await
        .expect("paused");
    assert_eq!(
        serve(&store, &seen[0], "2026-11-01T01:00:01Z").await,
        Serving::Already
    );
    assert!(due(&store, "2026-11-20T00:00:00Z").await.is_empty());
    schedules
        .update(&schedule.name, at("2026-11-20T00:10:00Z"), |s| s.paused = None)
        .await
        .expect("resumed");
    assert!(due(&store, "2026-11-20T00:59:59Z").await.is_empty());
    let served = tick(&store, "2026-11-20T01:00:00Z").await;
    assert_eq!((served.len(), served[0].missed), (1, 0));
}

async fn a_change_made_meanwhile_wins(store: Store) {
    let schedule = furnished(&store).await;
    let seen = due(&store, "2026-11-01T01:00:00Z").await;
    let now = at("2026-11-01T01:00:00Z");
    let parameters = json!({ "host": "web2" });
    store
        .schedules()
        .update(&schedule.name, now, |s| s.parameters = parameters)
        .await
        .expect("changed");
    assert_eq!(
        serve(&store, &seen[0], "2026-11-01T01:00:01Z").await,
        Serving::Already,
        "it would apply web1"
    );
    let again = due(&store, "2026-11-01T01:00:01Z").await;
    assert_eq!(again[0].schedule.parameters, json!({ "host": "web2" }));
}

async fn changed_times_count_from_the_change(store: Store) {
    let schedule = furnished(&store).await;
    let now = at("2026-11-01T12:30:00Z");
    let recurrence = "daily 03:00".parse().expect("a recurrence");
    store
        .schedules()
        .update(&schedule.name, now, |s| s.recurrence = recurrence)
        .await
        .expect("changed");
    assert!(
        due(&store, "2026-11-02T01:59:59Z").await.is_empty(),
        "neither hours that were missed nor today's 03:00"
    );
    let served = tick(&store, "2026-11-02T02:00:00Z").await;
    assert_eq!(served[0].at, at("2026-11-02T02:00:00Z"));
    let zone = "America/New_York".parse().expect("a zone");
    store
        .schedules()
        .update(&schedule.name, at("2026-11-02T02:00:01Z"), |s| s.zone = zone)
        .await
        .expect("changed");
    assert_eq!(tick(&store, "2026-11-02T08:00:00Z").await.len(), 1, "03:00 there");
}

async fn other_changes_do_not_lose_a_time(store: Store) {
    let schedule = furnished(&store).await;
    let now = at("2026-11-01T01:30:00Z");
    store
        .schedules()
        .update(&schedule.name, now, |s| s.jitter_seconds = 60)
        .await
        .expect("changed");
    let served = tick(&store, "2026-11-01T01:31:00Z").await;
    assert_eq!(served[0].at, at("2026-11-01T01:00:00Z"));
}

async fn a_clock_that_is_set_back_serves_no_time_again(store: Store) {
    furnished(&store).await;
    assert_eq!(tick(&store, "2026-11-01T05:10:00Z").await.len(), 1);
    for again in [
        "2026-11-01T01:00:00Z",
        "2026-11-01T03:00:00Z",
        "2026-11-01T05:00:00Z",
        "2026-11-01T05:59:00Z",
    ] {
        assert!(tick(&store, again).await.is_empty(), "{again}");
    }
    assert_eq!(tick(&store, "2026-11-01T06:00:00Z").await.len(), 1);
    assert_eq!(jobs(&store).await, 2);
}

async fn a_clock_that_was_years_ahead_silences_nothing(store: Store) {
    let schedule = furnished(&store).await;
    assert_eq!(tick(&store, "2026-11-01T01:00:00Z").await.len(), 1);
    let ahead = tick(&store, "2040-01-01T00:00:00Z").await;
    assert_eq!((ahead.len(), ahead[0].missed), (1, Due::COUNTED));
    assert!(
        tick(&store, "2026-11-01T01:30:00Z").await.is_empty(),
        "01:00 was served"
    );
    assert_eq!(
        tick(&store, "2026-11-01T02:00:00Z").await.len(),
        1,
        "02:00 comes although 2040 was"
    );
    assert_eq!(tick(&store, "2026-11-01T03:00:00Z").await.len(), 1);
    let runs = store.schedules().runs(&schedule.name, 100).await.expect("listed");
    assert_eq!(runs.len(), 3, "2040 made the first look old");
}

async fn a_refusal_is_remembered_and_the_next_time_comes(store: Store) {
    let schedule = furnished(&store).await;
    let seen = due(&store, "2026-11-01T01:00:00Z").await;
    let start = Start::Refused {
        actor: "schedule hourly-apply",
        reason: "web1 is locked by anna",
    };
    let refused = store
        .schedules()
        .serve(&seen[0], at("2026-11-01T01:00:00Z"), start)
        .await;
    assert_eq!(refused.expect("an answer"), Serving::Refused);
    let run = &store.schedules().runs(&schedule.name, 5).await.expect("listed")[0];
    assert_eq!(
        (run.job, run.refusal.as_deref()),
        (None, Some("web1 is locked by anna"))
    );
    assert_eq!(store.audit().list(1).await.expect("listed")[0].phase, "refused");
    assert!(tick(&store, "2026-11-01T01:30:00Z").await.is_empty());
    assert_eq!(tick(&store, "2026-11-01T02:00:00Z").await.len(), 1);
}

async fn the_next_time_waits_for_the_job_before(store: Store) {
    furnished(&store).await;
    let seen = due(&store, "2026-11-01T01:00:00Z").await;
    let Serving::Job(job) = serve(&store, &seen[0], "2026-11-01T01:00:00Z").await else {
        panic!("a job")
    };
    assert!(
        due(&store, "2026-11-01T03:30:00Z").await.is_empty(),
        "its job has not ended"
    );
    end(&store, job).await;
    let served = tick(&store, "2026-11-01T03:31:00Z").await;
    assert_eq!((served[0].at, served[0].missed), (at("2026-11-01T03:00:00Z"), 1));
}

async fn what_cannot_be_served_is_served_later(store: Store) {
    furnished(&store).await;
    let now = "2026-11-01T01:00:00Z";
    let seen = due(&store, now).await;
    // As when the controller is killed in the middle: nothing of it is there.
    assert!(try_to_serve(&store, &seen[0], now, "nowhere").await.is_err());
    assert_eq!(jobs(&store).await, 0);
    assert!(
        store
            .schedules()
            .runs(&name("hourly-apply"), 5)
            .await
            .expect("listed")
            .is_empty()
    );
    assert_eq!(tick(&store, now).await.len(), 1);
}

async fn a_removed_schedule_takes_its_times_along_and_leaves_its_jobs(store: Store) {
    let schedule = furnished(&store).await;
    let seen = due(&store, "2026-11-01T01:00:00Z").await;
    serve(&store, &seen[0], "2026-11-01T01:00:00Z").await;
    store.schedules().remove(&schedule.name).await.expect("removed");
    assert_eq!(
        serve(&store, &seen[0], "2026-11-01T01:00:00Z").await,
        Serving::Already
    );
    assert_eq!(jobs(&store).await, 1);
    assert!(store.schedules().remove(&schedule.name).await.is_err());
    store
        .schedules()
        .add(&schedule, at("2026-11-01T01:10:00Z"))
        .await
        .expect("added again");
    assert!(
        store
            .schedules()
            .runs(&schedule.name, 5)
            .await
            .expect("listed")
            .is_empty()
    );
}

async fn a_removed_organisation_takes_its_schedules_along(store: Store) {
    furnished(&store).await;
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
    assert!(store.schedules().list().await.expect("listed").is_empty());
}

async fn only_the_last_months_are_remembered(store: Store) {
    let schedule = furnished(&store).await;
    tick(&store, "2026-11-01T01:00:00Z").await;
    tick(&store, "2027-01-01T00:00:00Z").await;
    assert_eq!(
        store
            .schedules()
            .runs(&schedule.name, 5)
            .await
            .expect("listed")
            .len(),
        2
    );
    tick(&store, "2027-03-01T00:00:00Z").await;
    assert_eq!(
        store
            .schedules()
            .runs(&schedule.name, 5)
            .await
            .expect("listed")
            .len(),
        2
    );
}

async fn an_unreadable_schedule_does_not_stop_the_others(store: Store) {
    furnished(&store).await;
    let lost = Schedule {
        name: name("lost"),
        ..hourly()
    };
    store
        .schedules()
        .add(&lost, lost.created_at)
        .await
        .expect("added");
    by_hand(
        &store,
        "UPDATE schedules SET zone = 'Atlantis/Capital' WHERE name = 'lost'",
    )
    .await
    .expect("written");
    let (due, unreadable) = store
        .schedules()
        .due(at("2026-11-01T01:00:00Z"))
        .await
        .expect("found");
    assert_eq!(due.len(), 1);
    let said = unreadable[0].to_string();
    assert!(
        said.contains("schedule lost") && said.contains("Atlantis/Capital"),
        "{said}"
    );
}
