//! From answers to incidents: judged and written down, all of a batch at once.

use super::{Rules, judge};
use crate::model::Judged;
use crate::store::{Asked, Store, StoreError};

/// Judges answers by the rules of their checks, and writes down how the checks stand, the answers, incidents and what happened to
/// them: all or nothing. What each judgement came to, in the order given.
///
/// # Errors
/// What the store says; then nothing was written, and the batch can be recorded again.
pub async fn record(store: &Store, batch: &[(Asked, Rules)]) -> Result<Vec<Judged>, StoreError> {
    let asked: Vec<Asked> = batch.iter().map(|(asked, _)| asked.clone()).collect();
    store
        .watch()
        .record(&asked, |place, asked, state, around| {
            judge(state, asked.answer.status, batch[place].1, around, asked.at)
        })
        .await
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use jiff::{SignedDuration, Timestamp};

    use super::*;
    use crate::model::{
        Acknowledgement, Answer, CheckKey, Figure, IncidentChange, MaintenancePlan, MaintenanceScope, Status,
        Text,
    };
    use crate::store::tests::over_every_database;
    use crate::store::{Keep, RollupSpan};

    over_every_database!(
        a_run_of_bad_answers_is_one_incident_with_a_timeline,
        a_host_that_is_gone_hides_what_hangs_on_it,
        what_is_told_in_another_way_is_an_incident_of_which_nobody_hears,
        a_web_server_that_is_down_hides_its_pages,
        maintenance_is_about_what_it_says_and_ends,
        what_is_asked_no_longer_is_over,
        answers_become_hours_and_days_and_uptime_is_reckoned,
    );

    const RULES: Rules = Rules {
        attempts: 2,
        recovery: 2,
    };

    struct World {
        store: Store,
        now: Timestamp,
    }

    impl World {
        fn new(store: Store) -> Self {
            let now = Timestamp::from_second(1_800_000_000).expect("a time");
            Self { store, now }
        }

        /// A minute later these answers come.
        async fn answers(&mut self, answers: &[(&str, Status)]) -> Vec<Option<IncidentChange>> {
            self.now += SignedDuration::from_mins(1);
            let batch: Vec<_> = answers
                .iter()
                .map(|(key, status)| (self.asked(key, *status), RULES))
                .collect();
            let judged = record(&self.store, &batch).await.expect("recorded");
            // Whoever died before it could say so records it again: nothing is doubled.
            let again = record(&self.store, &batch).await.expect("recorded");
            assert!(again.iter().all(|judged| judged.change.is_none()));
            judged.into_iter().map(|judged| judged.change).collect()
        }

        fn asked(&self, key: &str, status: Status) -> Asked {
            let text = |text: &str| Text {
                de: text.to_owned(),
                en: text.to_owned(),
            };
            let key: CheckKey = key.parse().expect("a key");
            Asked {
                availability: key.id == "page",
                quiet: false,
                title: text(&key.id),
                organisation: None,
                host: Some("web1".parse().expect("a name")),
                depends_on: match key.id.as_str() {
                    "contact" => Vec::new(),
                    "nginx" => vec!["web1:contact".parse().expect("a key")],
                    _ => ["web1:contact", "web1:nginx"]
                        .map(|key| key.parse().expect("a key"))
                        .to_vec(),
                },
                key,
                at: self.now,
                took_ms: 12,
                answer: Answer {
                    status,
                    figure: Some(Figure {
                        value: 7.5,
                        unit: "ms".to_owned(),
                    }),
                    sentence: text("found"),
                    advice: None,
                },
            }
        }

        async fn open(&self) -> Vec<String> {
            let open = self.store.watch().incidents(true, 100).await.expect("listed");
            open.into_iter()
                .map(|incident| incident.key.to_string())
                .collect()
        }
    }

    async fn a_run_of_bad_answers_is_one_incident_with_a_timeline(store: Store) {
        let mut world = World::new(store);
        let page = "kita/cloud:page";
        for status in [Status::Ok, Status::Critical, Status::Critical, Status::Critical] {
            world
                .answers(&[("web1:contact", Status::Ok), (page, status)])
                .await;
        }
        assert_eq!(world.open().await, [page]);
        let watch = world.store.watch();
        let id = watch.incidents(true, 1).await.expect("listed")[0].id;
        let by = Acknowledgement {
            by: "anna".to_owned(),
            note: "I look at it".to_owned(),
            until: None,
        };
        watch.acknowledge(id, &by, world.now).await.expect("acknowledged");
        for _ in 0..2 {
            world
                .answers(&[("web1:contact", Status::Ok), (page, Status::Ok)])
                .await;
        }
        assert!(world.open().await.is_empty());
        let watch = world.store.watch();
        let incident = watch.incident(id).await.expect("there");
        let kinds: Vec<String> = watch
            .timeline(&incident)
            .await
            .expect("read")
            .into_iter()
            .map(|event| event.kind)
            .collect();
        assert_eq!(kinds, ["first_bad", "opened", "acknowledged", "recovered"]);
        assert_eq!(incident.duration(world.now), SignedDuration::from_mins(4));
        assert!(watch.acknowledge(id, &by, world.now).await.is_err());
    }

    async fn what_is_told_in_another_way_is_an_incident_of_which_nobody_hears(store: Store) {
        let mut world = World::new(store);
        for _ in 0..2 {
            let mut channels = world.asked("allmende:channels", Status::Warning);
            channels.quiet = true;
            record(&world.store, &[(channels, RULES)])
                .await
                .expect("recorded");
            world.now += SignedDuration::from_mins(1);
        }
        assert_eq!(world.open().await, ["allmende:channels"]);
        let grouping = SignedDuration::ZERO;
        let routed = world
            .store
            .notifications()
            .route(grouping, world.now, |_, _, _, _| Vec::new())
            .await;
        assert_eq!(routed.expect("routed"), 0);
    }

    async fn a_web_server_that_is_down_hides_its_pages(store: Store) {
        let mut world = World::new(store);
        let all = |nginx, page| {
            [
                ("kita/cloud:page", page),
                ("web1:contact", Status::Ok),
                ("web1:nginx", nginx),
            ]
        };
        world.answers(&all(Status::Ok, Status::Ok)).await;
        for _ in 0..5 {
            world.answers(&all(Status::Critical, Status::Critical)).await;
        }
        assert_eq!(world.open().await, ["web1:nginx"]);
        let nginx: CheckKey = "web1:nginx".parse().expect("a key");
        let hidden = world.store.watch().list().await.expect("listed");
        let hidden = hidden
            .iter()
            .filter(|standing| standing.depends_on.contains(&nginx));
        assert_eq!(
            hidden
                .map(|standing| standing.key.to_string())
                .collect::<Vec<_>>(),
            ["kita/cloud:page"]
        );
        // It runs again, and something else is wrong with the page as well.
        for _ in 0..3 {
            world.answers(&all(Status::Ok, Status::Critical)).await;
        }
        assert_eq!(world.open().await, ["kita/cloud:page"]);
    }

    async fn a_host_that_is_gone_hides_what_hangs_on_it(store: Store) {
        let mut world = World::new(store);
        let all = |status| {
            [
                ("kita/cloud:page", status),
                ("web1:disk", status),
                ("web1:contact", status),
            ]
        };
        world.answers(&all(Status::Ok)).await;
        for _ in 0..5 {
            world.answers(&all(Status::Critical)).await;
        }
        assert_eq!(world.open().await, ["web1:contact"]);
        // The host is back, one of its services is not: that one is told of now.
        for _ in 0..3 {
            world
                .answers(&[
                    ("web1:contact", Status::Ok),
                    ("web1:disk", Status::Ok),
                    ("kita/cloud:page", Status::Critical),
                ])
                .await;
        }
        assert_eq!(world.open().await, ["kita/cloud:page"]);
    }

    async fn maintenance_is_about_what_it_says_and_ends(store: Store) {
        let mut world = World::new(store);
        let plan = MaintenancePlan::Once {
            from: world.now,
            until: world.now + SignedDuration::from_hours(1),
        };
        let about = MaintenanceScope::Service("kita/cloud".to_owned());
        let watch = world.store.watch();
        let id = watch
            .add_maintenance(&about, &plan, "upgrade", "anna")
            .await
            .expect("made");
        let all = [
            ("kita/cloud:page", Status::Critical),
            ("kita/wiki:page", Status::Critical),
        ];
        for _ in 0..3 {
            world.answers(&all).await;
        }
        assert_eq!(world.open().await, ["kita/wiki:page"]);
        world.store.watch().end_maintenance(id).await.expect("ended");
        assert!(world.store.watch().end_maintenance(id).await.is_err());
        world.answers(&all).await;
        assert_eq!(world.open().await.len(), 2);
    }

    async fn what_is_asked_no_longer_is_over(store: Store) {
        let mut world = World::new(store);
        for _ in 0..3 {
            world
                .answers(&[("kita/cloud:page", Status::Critical), ("web1:disk", Status::Ok)])
                .await;
        }
        let kept: BTreeSet<CheckKey> = ["web1:disk".parse().expect("a key")].into();
        let watch = world.store.watch();
        assert_eq!(watch.keep_only(&kept, world.now).await.expect("done"), 1);
        assert!(world.open().await.is_empty());
        assert_eq!(world.store.watch().list().await.expect("listed").len(), 1);
    }

    async fn answers_become_hours_and_days_and_uptime_is_reckoned(store: Store) {
        let mut world = World::new(store);
        let key: CheckKey = "kita/cloud:page".parse().expect("a key");
        let begin = world.now;
        for minute in 0..3000 {
            let status = if (600..660).contains(&minute) {
                Status::Critical
            } else {
                Status::Ok
            };
            world.now = begin + SignedDuration::from_mins(minute);
            let batch = [(world.asked("kita/cloud:page", status), RULES)];
            record(&world.store, &batch).await.expect("recorded");
        }
        let watch = world.store.watch();
        let keep = Keep {
            answers: SignedDuration::from_hours(10),
            hours: SignedDuration::from_hours(1000),
            days: SignedDuration::from_hours(1000),
        };
        for _ in 0..2 {
            watch.roll_up(world.now, keep).await.expect("summed up");
        }
        let hours = watch.rollups(&key, RollupSpan::Hour, begin).await.expect("read");
        assert_eq!(hours.iter().map(|hour| hour.critical).sum::<i64>(), 60);
        assert_eq!(hours[1].ok, 60);
        assert_eq!(hours[1].mean, Some(7.5));
        let days = watch
            .rollups(&key, RollupSpan::Day, Timestamp::UNIX_EPOCH)
            .await
            .expect("read");
        assert!((1..=2).contains(&days.len()), "{days:?}");
        let kept = watch.answers(&key, begin, world.now).await.expect("read").len();
        assert_eq!(kept, 600);
        let uptime = watch
            .uptime(&key.subject, begin, world.now)
            .await
            .expect("read")
            .expect("there");
        // Bad from the second bad answer to the second good one: an hour of fifty.
        assert!((uptime - (1.0 - 60.0 / 2999.0)).abs() < 0.0001, "{uptime}");
    }
}
