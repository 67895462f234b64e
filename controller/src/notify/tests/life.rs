//! What people get in the course of an incident.

use super::other_sides::{Reply, WebServer};
use super::*;
use crate::model::{DeliveryState, Threshold};
use crate::store::tests::over_every_database;

over_every_database!(
    what_comes_within_a_minute_is_one_message_and_so_is_what_recovers,
    several_rules_for_one_person_and_channel_tell_once,
    warnings_wait_until_the_morning_and_critical_things_do_not,
    a_waiting_warning_that_becomes_critical_breaks_the_peace_once,
    what_lasts_is_told_again_until_somebody_takes_it_on,
    what_is_over_before_its_delay_is_not_told,
    a_channel_that_fails_is_reported_over_another_one_once_and_so_is_that_it_works_again,
    what_a_dead_sender_held_is_sent_by_the_next_one_under_the_same_name,
    two_controllers_at_once_tell_everything_once,
    a_controller_that_was_away_tells_the_second_person_once,
    a_week_is_told_of_once_and_only_if_something_changed,
    old_messages_are_forgotten_and_waiting_ones_are_not,
    what_no_channel_took_for_a_day_is_given_up_and_its_recovery_is_not_told,
);

fn minutes(minutes: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(minutes)
}

/// A web hook that anna and bea are told by.
async fn two_people(store: Store) -> (World, WebServer) {
    let world = World::with(store, TempDir::new().expect("a folder")).await;
    let hook = WebServer::start().await;
    world
        .channel(
            "hook",
            Way::Webhook {
                url: hook.url.clone(),
            },
            Some("signing-key"),
        )
        .await;
    for who in ["anna", "bea"] {
        world.person(&person(who)).await;
    }
    (world, hook)
}

/// What arrived: person, kind, incidents.
fn told(hook: &WebServer) -> Vec<(String, String, Vec<i64>)> {
    hook.taken()
        .iter()
        .map(|request| {
            let body = request.json();
            let incidents = body["incidents"].as_array().expect("a list");
            (
                body["person"].as_str().expect("a person").to_owned(),
                body["kind"].as_str().expect("a kind").to_owned(),
                incidents
                    .iter()
                    .filter_map(|incident| incident["incident"].as_i64())
                    .collect(),
            )
        })
        .collect()
}

fn message(person: &str, kind: &str, incidents: &[i64]) -> (String, String, Vec<i64>) {
    (person.to_owned(), kind.to_owned(), incidents.to_vec())
}

async fn what_comes_within_a_minute_is_one_message_and_so_is_what_recovers(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    world.rule(&rule("bea", "hook", Threshold::Critical)).await;
    let start = at("2026-11-23T09:00:00Z");
    let one = world.opens("page", Status::Critical, start).await;
    world.tick(start).await;
    let later = start + jiff::SignedDuration::from_secs(30);
    let two = world.opens("tls", Status::Warning, later).await;
    world.tick(later).await;
    assert!(told(&hook).is_empty());
    world.tick(start + minutes(1)).await;
    let alerts = [
        message("anna", "alert", &[one, two]),
        message("bea", "alert", &[one]),
    ];
    assert_eq!(told(&hook), alerts);
    for incident in [one, two] {
        world
            .happens(incident, "recovered", Status::Ok, start + minutes(5))
            .await;
    }
    world.tick(start + minutes(5)).await;
    world.tick(start + minutes(6)).await;
    world.tick(start + minutes(600)).await;
    let recoveries = [
        message("anna", "recovery", &[one, two]),
        message("bea", "recovery", &[one]),
    ];
    assert_eq!(told(&hook)[2..], recoveries);
    let incident = world.store.watch().incident(one).await.expect("there");
    let timeline = world.store.watch().timeline(&incident).await.expect("read");
    let story: Vec<(&str, &str)> = timeline
        .iter()
        .map(|event| (event.kind.as_str(), event.sentence.en.as_str()))
        .collect();
    assert_eq!(story.len(), 7, "{story:?}");
    assert_eq!(story[0].0, "first_bad");
    assert_eq!(story[2], ("told", "alert to Anna Muster by hook"));
    assert_eq!(story[6].0, "told");
    assert!(story[5].1.starts_with("all-clear"), "{story:?}");
}

async fn several_rules_for_one_person_and_channel_tell_once(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    let mut own = rule("anna", "hook", Threshold::Critical);
    own.organisation = Some(name("kita-sonne"));
    world.rule(&own).await;
    let start = at("2026-11-23T09:00:00Z");
    let incident = world.opens("page", Status::Critical, start).await;
    for minute in 0..5 {
        world.tick(start + minutes(minute)).await;
    }
    assert_eq!(told(&hook), [message("anna", "alert", &[incident])]);
}

async fn warnings_wait_until_the_morning_and_critical_things_do_not(store: Store) {
    let (world, hook) = two_people(store).await;
    let mut anna = person("anna");
    anna.quiet = Some("22:00-07:00".parse().expect("quiet hours"));
    world
        .store
        .notifications()
        .change_person(&anna)
        .await
        .expect("is changed");
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    let night = at("2026-11-22T23:00:00Z");
    let warning = world.opens("tls", Status::Warning, night).await;
    let over = world.opens("mail", Status::Warning, night).await;
    let critical = world.opens("page", Status::Critical, night).await;
    world.tick(night).await;
    world.tick(night + minutes(1)).await;
    assert_eq!(told(&hook), [message("anna", "alert", &[critical])]);
    world
        .happens(over, "recovered", Status::Ok, night + minutes(60))
        .await;
    world.tick(night + minutes(60)).await;
    world.tick(night + minutes(62)).await;
    world.tick(at("2026-11-23T05:59:00Z")).await;
    assert_eq!(told(&hook).len(), 1);
    world.tick(at("2026-11-23T06:00:00Z")).await;
    world.tick(at("2026-11-23T07:00:00Z")).await;
    assert_eq!(told(&hook)[1..], [message("anna", "alert", &[warning])]);
}

async fn a_waiting_warning_that_becomes_critical_breaks_the_peace_once(store: Store) {
    let (world, hook) = two_people(store).await;
    let mut anna = person("anna");
    anna.quiet = Some("22:00-07:00".parse().expect("quiet hours"));
    world
        .store
        .notifications()
        .change_person(&anna)
        .await
        .expect("is changed");
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    let night = at("2026-11-22T23:00:00Z");
    let incident = world.opens("disk", Status::Warning, night).await;
    world.tick(night).await;
    world
        .happens(incident, "worsened", Status::Critical, night + minutes(30))
        .await;
    world.tick(night + minutes(30)).await;
    world.tick(night + minutes(31)).await;
    world.tick(at("2026-11-23T06:00:00Z")).await;
    assert_eq!(told(&hook), [message("anna", "alert", &[incident])]);
    assert_eq!(hook.taken()[0].json()["severity"], "critical");
}

async fn what_lasts_is_told_again_until_somebody_takes_it_on(store: Store) {
    let (world, hook) = two_people(store).await;
    let mut again = rule("anna", "hook", Threshold::Warning);
    again.remind = Some(3600);
    world.rule(&again).await;
    let start = at("2026-11-23T09:00:00Z");
    let incident = world.opens("page", Status::Critical, start).await;
    for minute in 0..130 {
        world.tick(start + minutes(minute)).await;
    }
    let kinds: Vec<_> = told(&hook).into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(kinds, ["alert", "reminder", "reminder"]);
    world
        .happens(incident, "acknowledged", Status::Critical, start + minutes(130))
        .await;
    for minute in 130..300 {
        world.tick(start + minutes(minute)).await;
    }
    assert_eq!(told(&hook).len(), 3);
}

async fn what_is_over_before_its_delay_is_not_told(store: Store) {
    let (world, hook) = two_people(store).await;
    let mut patient = rule("anna", "hook", Threshold::Warning);
    patient.delay = 600;
    world.rule(&patient).await;
    let start = at("2026-11-23T09:00:00Z");
    let incident = world.opens("page", Status::Critical, start).await;
    world.tick(start).await;
    world.tick(start + minutes(5)).await;
    world
        .happens(incident, "recovered", Status::Ok, start + minutes(6))
        .await;
    for minute in 6..60 {
        world.tick(start + minutes(minute)).await;
    }
    assert!(told(&hook).is_empty());
}

async fn a_channel_that_fails_is_reported_over_another_one_once_and_so_is_that_it_works_again(store: Store) {
    let (world, hook) = two_people(store).await;
    let other = WebServer::start().await;
    world
        .channel(
            "ntfy",
            Way::Ntfy {
                url: other.url.clone(),
            },
            None,
        )
        .await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    hook.usually(Reply::Status(500, "", "broken".to_owned()));
    let start = at("2026-11-23T09:00:00Z");
    world.opens("page", Status::Critical, start).await;
    for minute in 0..60 {
        world.tick(start + minutes(minute)).await;
    }
    let reports = other.taken();
    assert_eq!(reports.len(), 1, "{reports:?}");
    let text = reports[0].json()["message"].as_str().expect("text").to_owned();
    assert!(text.contains("500") && text.contains("Die Webseite"), "{text}");
    let before = hook.taken().len();
    assert!(before < 10, "{before} attempts in an hour");
    hook.usually(Reply::Status(200, "", String::new()));
    for minute in 60..120 {
        world.tick(start + minutes(minute)).await;
    }
    let reports = other.taken();
    assert_eq!(reports.len(), 2, "{reports:?}");
    let title = reports[1].json()["title"].as_str().expect("a title").to_owned();
    assert!(title.contains("wieder"), "{title}");
    assert_eq!(hook.taken().len(), before + 1, "the alert arrived at last");
}

async fn what_a_dead_sender_held_is_sent_by_the_next_one_under_the_same_name(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    let start = at("2026-11-23T09:00:00Z");
    world.opens("page", Status::Critical, start).await;
    route(&world.store, start).await.expect("routes");
    let notifications = world.store.notifications();
    let now = start + minutes(1);
    let due = notifications.due(10, now).await.expect("is due");
    let (id, _) = due[0].clone();
    // Claimed by one that dies: nobody else gets it before the lease has ended.
    let (dead, parcel) = notifications
        .claim(id, "dead", now + minutes(3), now)
        .await
        .expect("claims")
        .expect("is free");
    assert_eq!(world.tick(now + minutes(1)).await, Sent::default());
    assert_eq!(world.tick(now + minutes(3)).await.arrived, 1);
    assert_eq!(
        hook.taken()[0].header(webhook::DELIVERY),
        Some(parcel.delivery.uid.as_str())
    );
    // The dead one speaks up again: too late.
    notifications
        .again(dead, "too late", now + minutes(4))
        .await
        .expect("is ignored");
    let log = notifications.deliveries(10).await.expect("a log");
    assert_eq!(log[0].state, DeliveryState::Sent);
}

async fn two_controllers_at_once_tell_everything_once(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    world.rule(&rule("bea", "hook", Threshold::Warning)).await;
    let start = at("2026-11-23T09:00:00Z");
    for check in 0..5 {
        world
            .opens(&format!("check{check}"), Status::Critical, start)
            .await;
    }
    for minute in 0..3 {
        let now = start + minutes(minute);
        tokio::join!(world.tick(now), world.tick(now), world.tick(now));
    }
    let mut told = told(&hook);
    told.sort();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(
        told.iter().all(|(_, _, incidents)| incidents.len() == 5),
        "{told:?}"
    );
}

async fn a_controller_that_was_away_tells_the_second_person_once(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("bea", "hook", Threshold::Nothing)).await;
    let mut bea = person("bea");
    bea.second = true;
    world
        .store
        .notifications()
        .change_person(&bea)
        .await
        .expect("is changed");
    let settings = crate::settings::Deadman::default();
    let start = at("2026-11-23T09:00:00Z");
    let beat = |minute| deadman::beat(&world.store, &settings, start + minutes(minute));
    for minute in [0, 1, 2, 10, 45, 46] {
        beat(minute).await.expect("beats");
    }
    world.tick(start + minutes(46)).await;
    world.tick(start + minutes(47)).await;
    // By ntfy and the like there is no channel, so the web hook of the rule it is.
    let told = told(&hook);
    assert_eq!(told, [message("bea", "away", &[])]);
    let text = hook.taken()[0].json()["text"].as_str().expect("text").to_owned();
    assert!(text.contains("10:10") && text.contains("10:45"), "{text}");
}

async fn a_week_is_told_of_once_and_only_if_something_changed(store: Store) {
    let (world, hook) = two_people(store).await;
    let mut weekly = rule("anna", "hook", Threshold::Nothing);
    weekly.digest = true;
    world.rule(&weekly).await;
    let quiet_week = at("2026-11-16T06:30:00Z");
    assert_eq!(digest::due(&world.store, quiet_week).await.expect("is made"), 0);
    let incident = world
        .opens("page", Status::Critical, at("2026-11-18T09:00:00Z"))
        .await;
    world
        .happens(incident, "recovered", Status::Ok, at("2026-11-18T09:42:00Z"))
        .await;
    let now = at("2026-11-23T06:30:00Z");
    let made = tokio::join!(digest::due(&world.store, now), digest::due(&world.store, now));
    assert_eq!(made.0.expect("is made") + made.1.expect("is made"), 1);
    world.tick(now).await;
    world.tick(now + minutes(1)).await;
    assert_eq!(told(&hook), [message("anna", "digest", &[])]);
    let text = hook.taken()[0].json()["text"].as_str().expect("text").to_owned();
    assert!(text.contains("42 Minuten"), "{text}");
    let next_week = at("2026-11-30T06:30:00Z");
    assert_eq!(digest::due(&world.store, next_week).await.expect("is made"), 0);
}

async fn old_messages_are_forgotten_and_waiting_ones_are_not(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    let start = at("2026-11-23T09:00:00Z");
    world.opens("page", Status::Critical, start).await;
    world.tick(start).await;
    let notifications = world.store.notifications();
    let later = start + minutes(60 * 24);
    assert_eq!(notifications.clear(later).await.expect("clears"), 0);
    world.tick(start + minutes(1)).await;
    assert_eq!(hook.taken().len(), 1);
    assert_eq!(notifications.clear(later).await.expect("clears"), 1);
    assert_eq!(notifications.deliveries(10).await.expect("a log"), []);
}

async fn what_no_channel_took_for_a_day_is_given_up_and_its_recovery_is_not_told(store: Store) {
    let (world, hook) = two_people(store).await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    hook.usually(Reply::HangUp);
    let start = at("2026-11-23T09:00:00Z");
    let incident = world.opens("page", Status::Critical, start).await;
    for hour in 0..26 {
        world.tick(start + minutes(60 * hour)).await;
    }
    let log = world.store.notifications().deliveries(10).await.expect("a log");
    assert_eq!(log[0].state, DeliveryState::Failed);
    hook.usually(Reply::Status(200, "", String::new()));
    let before = hook.taken().len();
    let end = start + minutes(60 * 27);
    world.happens(incident, "recovered", Status::Ok, end).await;
    world.tick(end).await;
    world.tick(end + minutes(2)).await;
    assert_eq!(hook.taken().len(), before);
}
