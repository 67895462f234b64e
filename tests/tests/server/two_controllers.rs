//! Two controllers on one PostgreSQL, as if on two machines: they share the work, and one goes on where the other died.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use allmende_tests::{Cluster, Finished, World, program};

use super::running::{Background, Stage, until};

/// How many times of the schedule are waited for, one a minute.
const TIMES: usize = 2;

/// A server that takes the other for one of another machine, of whose processes nothing can be known: only a lease that ran out
/// says that it is gone.
fn serve_elsewhere(world: &World) -> Background {
    let id = world.data_dir().join("machine-id");
    fs::write(&id, "0123456789abcdef0123456789abcdef\n").expect("written");
    let mut command = Command::new("unshare");
    command
        .args([
            "--mount",
            "sh",
            "-c",
            "mount --bind \"$1\" /etc/machine-id && shift && exec \"$@\"",
            "sh",
        ])
        .arg(id)
        .arg(program())
        .arg("serve")
        .env("ALLMENDE_DATA_DIR", world.data_dir());
    Background::serve(&mut command, world)
}

/// What the servers said about schedules: for which time they made a job.
fn served(servers: [&Background; 2]) -> Vec<String> {
    let said = servers.map(Background::said).concat();
    let times = said
        .lines()
        .filter(|line| line.starts_with("schedule minutely: job "));
    times
        .map(|line| line.rsplit(" for ").next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn two_controllers_share_the_work_and_one_goes_on_where_the_other_died() {
    let database = Cluster::of_this_process().database(None);
    let stage = Stage::with_settings(&format!("database = {:?}\n", database.address()));
    let second = stage.world.second_controller();
    second.run(&["host", "list"]).expect(0).saying("web1");
    assert!(!stage.world.data_dir().join("allmende.db").exists());

    let mut here = stage.serve();
    let there = serve_elsewhere(&second);
    let holder_of = |duty: &str| database.ask(&format!("SELECT identity FROM duties WHERE name = '{duty}'"));
    until("somebody sweeps and tells", || {
        !holder_of("sweep").is_empty() && !holder_of("telling").is_empty()
    });

    // Each time of a schedule is served once, by whichever comes first.
    let minutely = [
        "schedule",
        "add",
        "minutely",
        "--at",
        "* * * * *",
        "--apply",
        "web1",
    ];
    stage.world.run(&minutely).expect(0);
    let two = [&here, &there];
    for time in 1..=TIMES {
        // It comes within the next minute and a little.
        for _ in 0..3 {
            if served(two).len() < time {
                std::thread::sleep(std::time::Duration::from_secs(25));
            }
        }
        until("the next time is served", || served(two).len() >= time);
    }
    second
        .run(&["schedule", "pause", "minutely", "--reason", "the test goes on"])
        .expect(0);
    until("its jobs have ended", || {
        database.ask("SELECT COUNT(*) FROM jobs WHERE state IN ('queued', 'running')") == "0"
    });
    let times = served(two);
    assert_eq!(
        times.iter().collect::<BTreeSet<_>>().len(),
        times.len(),
        "{times:?}"
    );
    let jobs =
        "SELECT COUNT(*) FROM jobs j JOIN schedule_runs r ON r.job_id = j.id WHERE j.state = 'succeeded'";
    assert_eq!(database.ask(jobs), times.len().to_string());
    let asked = "SELECT COUNT(*) FROM audit WHERE phase = 'asked' AND actor LIKE '%minutely%'";
    assert_eq!(database.ask(asked), times.len().to_string());

    // One is killed while it works: the other takes its work and its duties over, and what the host does is done once.
    let first_identity = {
        let id = database.ask("SELECT identity FROM servers ORDER BY started_at LIMIT 1");
        assert_eq!(database.ask("SELECT COUNT(*) FROM servers"), "2");
        id
    };
    // So that it is the first that works, the other only looks on until then.
    there.signal("STOP");
    stage.round("second");
    let mut asker = Background::start(
        &mut second.command(&["apply", "waiting", "--yes"]),
        "apply",
        &second,
    );
    stage.begun("second");
    let job = stage.newest_job()["id"].to_string();
    let held = format!("SELECT holder_identity FROM jobs WHERE id = {job}");
    assert_eq!(database.ask(&held), first_identity);
    here.kill();
    there.signal("CONT");
    stage.go("second");
    assert_eq!(asker.ends(), Some(0), "{}", asker.said());
    assert!(there.said().contains("is taken up again"), "{}", there.said());
    assert_eq!(stage.times("second"), 1, "begun once on the host");
    until("the other has the duties", || {
        holder_of("sweep") != first_identity && holder_of("telling") != first_identity
    });

    // The first comes back, and everything is one.
    let here = stage.serve();
    for world in [&stage.world, &second] {
        world.run(&["audit", "verify"]).expect(0);
        world.run(&["job", "show", &job]).expect(0).saying("succeeded");
    }
    drop((here, there));
}

#[test]
fn a_second_controller_needs_the_key_of_the_first() {
    let database = Cluster::of_this_process().database(None);
    let settings = format!("database = {:?}\n", database.address());
    let first = World::with_settings(&settings);
    let second = first.second_controller();
    let key = second.data_dir().join("vault.key");

    fs::remove_file(&key).expect("removed");
    second.run(&["init"]).expect(1).saying("of the other controller");
    assert!(
        !key.exists(),
        "no new key for secrets that only the other one opens"
    );
    fs::write(&key, format!("{}\n", "ab".repeat(32))).expect("written");
    Finished::of(Command::new("chmod").arg("600").arg(&key)).expect(0);
    second.run(&["host", "list"]).expect(1).saying("key");
    fs::copy(first.data_dir().join("vault.key"), &key).expect("copied");
    second.run(&["host", "list"]).expect(0);

    let empty = Cluster::of_this_process().database(None);
    second.set(&format!("database = {:?}\n", empty.address()));
    second.run(&["host", "list"]).expect(1).saying("allmende init");
}
