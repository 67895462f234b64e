//! A server that is killed again and again, at moments that nobody chose.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::Value;

use super::running::{Background, Stage, until};

/// How often it is killed.
const TIMES: u64 = 100;

/// A new wish for the host comes after so many kills: so seldom that a minute's schedule can fulfil each.
const WISH: u64 = 34;

/// Times of the schedule, in unix seconds, and how many before each are served with it.
fn served(schedule: &Value) -> Vec<(i64, i64)> {
    let runs = schedule["runs"].as_array().expect("runs");
    let mut served: Vec<(i64, i64)> = runs
        .iter()
        .map(|run| {
            let due = run["due_at"].as_str().expect("a time");
            // 2026-11-23T13:05:00Z; only minutes within a day or two are compared.
            let number = |range: std::ops::Range<usize>| due[range].parse::<i64>().expect("a number");
            let minutes = (number(8..10) * 24 + number(11..13)) * 60 + number(14..16);
            (minutes, run["missed"].as_i64().expect("a number"))
        })
        .collect();
    served.sort_unstable();
    served
}

#[test]
fn a_server_that_is_killed_a_hundred_times_loses_and_doubles_nothing() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    let given = std::env::var("ALLMENDE_TEST_SEED").ok();
    let seed = given.map_or(u64::from(now.subsec_nanos()), |seed| {
        seed.parse().expect("a number")
    });
    eprintln!("ALLMENDE_TEST_SEED={seed}");
    let mut random = seed | 1;
    let mut chance = |bound: u64| {
        // Marsaglia's xorshift: any moments will do, as long as they are not chosen.
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };

    let stage = Stage::new();
    let world = &stage.world;
    // A door that nobody opens: one incident from now on.
    world
        .run(&[
            "check",
            "add",
            "web1",
            "door",
            "--tcp",
            "9",
            "--every",
            "5s",
            "--attempts",
            "2",
        ])
        .expect(0);
    world
        .run(&[
            "schedule",
            "add",
            "minutely",
            "--at",
            "* * * * *",
            "--apply",
            "web1",
        ])
        .expect(0);
    let mut wishes = Vec::new();
    for time in 0..TIMES {
        if time % WISH == 0 {
            let wish = format!("wish-{time}");
            stage.go(&wish);
            stage.round(&wish);
            wishes.push(wish);
        }
        // Some do not even come to their first work.
        let mut server = Background::start(&mut world.command(&["serve"]), "serve", world);
        sleep(Duration::from_millis(chance(2500)));
        server.kill();
    }
    let doors = || {
        let incidents = world.run(&["incident", "list", "--all", "--json"]).json();
        let incidents = incidents.as_array().expect("incidents");
        incidents
            .iter()
            .filter(|incident| incident["key"] == "web1:door")
            .count()
    };
    assert_eq!(doors(), 1, "it was found between the kills");

    // Left alone, it finishes what was begun.
    let server = stage.serve();
    let last = wishes.last().expect("some").clone();
    for _ in 0..3 {
        if stage.times(&last) == 0 {
            sleep(Duration::from_secs(30));
        }
    }
    until("the last wish is fulfilled", || stage.times(&last) == 1);
    let pause = ["schedule", "pause", "minutely", "--reason", "the test goes on"];
    world.run(&pause).expect(0);
    let jobs = || {
        world
            .run(&["job", "list", "--limit", "1000", "--json"])
            .expect(0)
            .json()
    };
    until("all jobs have ended", || {
        let jobs = jobs();
        let jobs = jobs.as_array().expect("jobs");
        jobs.iter()
            .all(|job| !matches!(job["state"].as_str(), Some("queued" | "running")))
    });

    for wish in &wishes {
        assert!(stage.times(wish) <= 1, "{wish} was fulfilled twice");
    }
    // Each minute from the first to the last is served once, by itself or with a later one.
    let schedule = world
        .run(&["schedule", "show", "minutely", "--json"])
        .expect(0)
        .json();
    let served = served(&schedule);
    assert!(served.len() > 1, "{schedule}");
    for pair in served.windows(2) {
        // The last day of a month is followed by the first.
        let minutes = (pair[1].0 - pair[0].0).rem_euclid(1440);
        assert_eq!(minutes, pair[1].1 + 1, "{served:?}");
    }
    // Each has one job, which did not get lost: it ended well, or somebody is told that it was cut off too often.
    let numbers: Vec<i64> = schedule["runs"]
        .as_array()
        .expect("runs")
        .iter()
        .map(|run| run["job"].as_i64().unwrap_or_else(|| panic!("no job: {run}")))
        .collect();
    assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), numbers.len());
    for job in jobs().as_array().expect("jobs") {
        assert!(
            matches!(job["state"].as_str(), Some("succeeded" | "interrupted")),
            "{job}"
        );
    }
    assert_eq!(doors(), 1);
    world.run(&["audit", "verify"]).expect(0);
    drop(server);
}
