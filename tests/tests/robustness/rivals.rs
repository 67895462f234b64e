//! Others who want the same host: a second person, a second controller, somebody who pretends to be it.

use std::time::{Duration, Instant};

use allmende_tests::{Finished, World};

use crate::stage::{HOST, Stage, one_error};

#[test]
fn whoever_comes_second_is_refused_at_once_and_learns_who_has_the_host() {
    let stage = Stage::new();
    // Another controller, with a data directory of its own.
    let other = World::new();
    other.care_for(HOST, &stage.host);
    let (apply, round) = stage.apply_until_the_command_runs();
    let job = stage.newest_job("host.apply")["id"].to_string();

    let began = Instant::now();
    let second = Finished::of(&mut stage.command_of("ben", &["apply", "disturbed", "--yes"]));
    one_error(
        &second,
        &[
            "web is being changed by",
            &format!("job {job}"),
            "apply kita-sonne/disturbed on web",
            "asked for by anna at ",
            &format!("allmende job show {job}"),
        ],
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    stage.run(&["job", "show", &job]).expect(0).saying("running");

    let began = Instant::now();
    let third = other.run(&["apply", "--host", HOST, "--yes"]);
    one_error(
        &third,
        &["web", "anna", &format!("job {job}"), "since 20", "try again"],
    );
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    // To look is allowed.
    stage.run(&["plan", "disturbed"]).expect(3);
    stage.let_go(&round);
    apply.finish().expect(0);
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
    assert_eq!(stage.states(), ["succeeded", "failed", "succeeded"]);
}

#[test]
fn a_host_with_another_key_is_told_nothing() {
    let stage = Stage::new();
    let round = stage.new_round();
    stage.let_go(&round);
    stage.apply_ends_well();
    let before = stage.host.fingerprint.clone();
    stage
        .run(&["lab", "reset", &stage.host.name, "--new-keys"])
        .expect(0);
    let after = stage.world.hosts().remove(0).fingerprint;
    assert_ne!(before, after);

    for arguments in [
        &["plan", "disturbed"][..],
        &["apply", "disturbed", "--yes"],
        &["host", "facts", HOST],
        &["host", "repair", HOST],
    ] {
        let refused = stage.run(arguments);
        one_error(
            &refused,
            &[
                HOST,
                &before,
                &after,
                "nothing was sent",
                "allmende host repair web --fingerprint",
            ],
        );
    }
    // Nobody tried to log in but the test itself, and no agent was started.
    let log = stage.on_host("journalctl -b -o cat -u ssh -u ssh.service");
    let attempts = log
        .lines()
        .filter(|line| line.contains("Accepted") || line.contains("Failed"))
        .count();
    let closed = log.lines().filter(|line| line.contains("[preauth]")).count();
    assert!(attempts <= 2, "{log}");
    assert!(closed >= 3, "{log}");

    // The host was indeed installed anew, and its services come back.
    let identity = stage.host.identity.display().to_string();
    let repair = ["host", "repair", HOST, "--identity", &identity, "--fingerprint"];
    let with = |fingerprint| [&repair[..], &[fingerprint]].concat();
    let wrong = stage.run(&with(&before));
    one_error(&wrong, &[HOST, &before, &after, "nothing was sent"]);
    stage.run(&with(&after)).expect(0);
    stage.let_go(&round);
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
}
