//! What people are promised, whatever happens in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;
use proptest::prelude::*;

use super::other_sides::{Reply, WebServer};
use super::*;

/// Something that happens.
#[derive(Debug, Clone)]
enum Happening {
    Opens { check: usize, critical: bool },
    Worsens { check: usize },
    Acknowledged { check: usize },
    Recovers { check: usize },
    Breaks,
    Works,
    Passes { minutes: i64 },
}

fn happening() -> impl Strategy<Value = Happening> {
    let check = 0usize..3;
    prop_oneof![
        4 => (check.clone(), any::<bool>()).prop_map(|(check, critical)| Happening::Opens { check, critical }),
        1 => check.clone().prop_map(|check| Happening::Worsens { check }),
        1 => check.clone().prop_map(|check| Happening::Acknowledged { check }),
        3 => check.prop_map(|check| Happening::Recovers { check }),
        1 => Just(Happening::Breaks),
        1 => Just(Happening::Works),
        5 => (0i64..200).prop_map(|minutes| Happening::Passes { minutes }),
    ]
}

/// What arrived, and when.
struct Receipt {
    at: Timestamp,
    person: String,
    kind: String,
    incidents: Vec<(i64, i64, String)>,
}

async fn receipts(hook: &WebServer, seen: &mut usize, broken: bool, now: Timestamp, into: &mut Vec<Receipt>) {
    let taken = hook.taken();
    for request in &taken[*seen..] {
        // What was answered with an error did not arrive.
        if broken {
            continue;
        }
        let body = request.json();
        let incidents = body["incidents"].as_array().expect("a list");
        into.push(Receipt {
            at: now,
            person: body["person"].as_str().expect("a person").to_owned(),
            kind: body["kind"].as_str().expect("a kind").to_owned(),
            incidents: incidents
                .iter()
                .map(|incident| {
                    (
                        incident["incident"].as_i64().expect("a number"),
                        incident["event"].as_i64().expect("a number"),
                        incident["severity"].as_str().expect("a word").to_owned(),
                    )
                })
                .collect(),
        });
    }
    *seen = taken.len();
}

async fn play(story: Vec<Happening>) -> Result<(), TestCaseError> {
    let world = World::new().await;
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
    world.person(&person("anna")).await;
    let mut bea = person("bea");
    let quiet: crate::model::QuietHours = "22:00-07:00".parse().expect("quiet hours");
    bea.quiet = Some(quiet);
    world.person(&bea).await;
    for who in ["anna", "bea"] {
        let mut rule = rule(who, "hook", Threshold::Warning);
        rule.remind = Some(4 * 3600);
        world.rule(&rule).await;
    }
    let mut now = at("2026-11-22T19:00:00Z");
    let (mut open, mut severities) = (BTreeMap::new(), BTreeMap::new());
    let (mut seen, mut broken, mut arrived) = (0, false, Vec::new());
    for happening in story {
        match happening {
            Happening::Opens { check, critical } if !open.contains_key(&check) => {
                let severity = if critical {
                    Status::Critical
                } else {
                    Status::Warning
                };
                let incident = world.opens(&format!("check{check}"), severity, now).await;
                open.insert(check, incident);
                severities.insert(incident, severity);
            }
            Happening::Worsens { check } => {
                if let Some(incident) = open.get(&check)
                    && severities.get(incident) == Some(&Status::Warning)
                {
                    severities.insert(*incident, Status::Critical);
                    world.happens(*incident, "worsened", Status::Critical, now).await;
                }
            }
            Happening::Acknowledged { check } => {
                if let Some(incident) = open.get(&check) {
                    world
                        .happens(*incident, "acknowledged", severities[incident], now)
                        .await;
                }
            }
            Happening::Recovers { check } => {
                if let Some(incident) = open.remove(&check) {
                    world.happens(incident, "recovered", Status::Ok, now).await;
                }
            }
            Happening::Breaks => {
                broken = true;
                hook.usually(Reply::Status(500, "", String::new()));
            }
            Happening::Works => {
                broken = false;
                hook.usually(Reply::Status(200, "", String::new()));
            }
            Happening::Passes { minutes } => now += SignedDuration::from_mins(minutes),
            Happening::Opens { .. } => {}
        }
        world.tick(now).await;
        receipts(&hook, &mut seen, broken, now, &mut arrived).await;
    }
    hook.usually(Reply::Status(200, "", String::new()));
    for _ in 0..14 {
        now += SignedDuration::from_mins(60);
        world.tick(now).await;
        receipts(&hook, &mut seen, false, now, &mut arrived).await;
    }

    let mut told: BTreeSet<(String, i64)> = BTreeSet::new();
    let mut over: BTreeSet<(String, i64)> = BTreeSet::new();
    let mut events: BTreeSet<(String, String, i64)> = BTreeSet::new();
    for receipt in &arrived {
        for (incident, event, _) in &receipt.incidents {
            let whom = (receipt.person.clone(), *incident);
            match receipt.kind.as_str() {
                "alert" => {
                    told.insert(whom);
                }
                "recovery" | "reminder" => {
                    prop_assert!(told.contains(&whom), "{} of {incident} untold", receipt.kind);
                    prop_assert!(
                        !over.contains(&whom),
                        "{} of {incident} after its end",
                        receipt.kind
                    );
                    if receipt.kind == "recovery" {
                        over.insert(whom);
                    }
                }
                other => prop_assert!(false, "{other}"),
            }
            if receipt.kind != "reminder" {
                let once = (receipt.person.clone(), receipt.kind.clone(), *event);
                prop_assert!(events.insert(once), "event {event} told twice");
            }
            let peace = quiet.end(receipt.at, bea.zone.rules()).is_some();
            let urgent = receipt
                .incidents
                .iter()
                .any(|(_, _, severity)| severity == "critical");
            if receipt.kind == "alert" && receipt.person == "bea" && !urgent {
                prop_assert!(!peace, "a warning at {}", receipt.at);
            }
        }
    }
    for (who, incident) in &told {
        let over = !open.values().any(|open| open == incident);
        let heard = arrived.iter().any(|receipt| {
            let about = receipt.incidents.iter().any(|(number, _, _)| number == incident);
            receipt.kind == "recovery" && receipt.person == *who && about
        });
        prop_assert!(
            over == heard,
            "{who}, incident {incident}: over {over}, heard of it {heard}"
        );
    }
    for incident in open.values() {
        for who in ["anna", "bea"] {
            prop_assert!(
                told.contains(&(who.to_owned(), *incident)),
                "{who} was never told of {incident}"
            );
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn nobody_hears_of_a_recovery_before_the_fault_nobody_hears_twice_and_nothing_is_lost(
        story in proptest::collection::vec(happening(), 1..25)
    ) {
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(play(story))?;
    }
}
