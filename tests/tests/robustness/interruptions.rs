//! The controller or the agent ends in the middle of an apply.

use std::thread::sleep;
use std::time::Duration;

use crate::stage::{Stage, one_error};

#[test]
fn a_controller_that_is_killed_is_followed_by_one_that_waits_for_the_agent_and_goes_on() {
    let stage = Stage::new();
    let (apply, round) = stage.apply_until_the_command_runs();
    apply.kill();

    // At once, while the agent still has the command in hand.
    let next = stage.start(&["apply", "disturbed", "--yes"]);
    next.wait_until_it_says("was interrupted");
    next.wait_until_it_says("still finishing");
    assert_eq!(
        stage.on_host("cat /srv/disturbed/after 2>/dev/null || true"),
        "",
        "the killed run went on"
    );
    stage.let_go(&round);
    let next = next.finish().expect(0);
    next.saying("An earlier run");
    stage.nothing_is_left();
    stage.round_is_done_once(&round);
    stage.nothing_half_written();
    assert_eq!(stage.states(), ["succeeded", "interrupted"]);

    // The same, but the agent has finished before the next apply comes.
    let (apply, round) = stage.apply_until_the_command_runs();
    apply.kill();
    stage.let_go(&round);
    stage.wait_on_host("the agent to end", "! pgrep -x allmende-agent");
    let report = stage.on_host("ls /var/lib/allmende-agent/journal");
    assert_ne!(report, "", "the agent keeps its report");
    stage
        .apply_ends_well()
        .saying("was interrupted")
        .saying("An earlier run");
    stage.round_is_done_once(&round);
    assert_eq!(stage.on_host("ls /var/lib/allmende-agent/journal"), "");
}

#[test]
fn a_controller_killed_while_a_handler_runs_lets_it_end_and_does_not_run_it_again() {
    let stage = Stage::new();
    let round = stage.new_round();
    stage.let_go(&round);
    stage.apply_ends_well();
    stage
        .run(&["service", "edit", "disturbed", "--set", "wait_in_handler=true"])
        .expect(0);
    let round = stage.new_round();
    stage.on_host(&format!(
        "touch /srv/disturbed/done-{round}; echo {round} >>/srv/disturbed/ran"
    ));
    let apply = stage.start(&["apply", "disturbed", "--yes"]);
    stage.wait_on_host(
        "the handler to run",
        &format!("grep -qx {round} /srv/disturbed/handled"),
    );
    apply.kill();
    stage.let_go(&round);
    stage.wait_on_host("the agent to end", "! pgrep -x allmende-agent");
    stage.apply_ends_well().saying("was interrupted");
    stage.round_is_done_once(&round);
}

/// Many small commands, each of which notes that it ran, and a handler.
const MANY: &str = r#"
format = 1
name = "many"
title = { de = "Viele", en = "Many" }
summary = { de = "Viele kleine Schritte.", en = "Many small steps." }

[params.round]
type = "name"
default = "first"
help = { de = "Durchgang", en = "Round" }

[[resources]]
kind = "directory"
path = "/srv/many"

[[resources]]
id = "step {{ item }}"
kind = "command"
for_each = "range(12) | list"
argv = ["sh", "-c", "echo {{ round }} {{ item }} >>/srv/many/ran; sleep 0.1; touch /srv/many/{{ round }}-{{ item }}"]
creates = "/srv/many/{{ round }}-{{ item }}"
notify = ["count"]

[[resources]]
kind = "file"
path = "/srv/many/file"
content = "{{ round }}\n"
notify = ["count"]

[[handlers]]
id = "count"
command = ["sh", "-c", "echo {{ round }} >>/srv/many/handled"]
"#;

#[test]
fn wherever_a_controller_is_killed_again_and_again_nothing_runs_twice() {
    let stage = Stage::new();
    stage.template("many", MANY);
    stage.service("many", "many", &[]);
    for round in 0..3 {
        let name = format!("r{round}");
        stage
            .run(&["service", "edit", "many", "--set", &format!("round={name}")])
            .expect(0);
        for kill in 0..5u64 {
            let apply = stage.start(&["apply", "many", "--yes"]);
            // Not waiting for something, but hitting different moments: before the connection, during it, in steps.
            sleep(Duration::from_millis(30 + kill * 70 + round * 25));
            apply.kill_wherever_it_is();
        }
        stage.run(&["apply", "many", "--yes"]).expect(0);
        stage.run(&["plan", "many"]).expect(0);
        let ran = stage.on_host(&format!("grep '^{name} ' /srv/many/ran | sort | uniq -c"));
        assert_eq!(ran.lines().count(), 12, "{ran}");
        assert!(
            ran.lines().all(|line| line.trim_start().starts_with("1 ")),
            "a step ran twice:\n{ran}"
        );
        assert_eq!(stage.on_host(&format!("grep -cx {name} /srv/many/handled")), "1");
    }
    let states = stage.states();
    assert!(!states.iter().any(|state| state == "running"), "{states:?}");
}

#[test]
fn an_apply_that_is_cancelled_leaves_the_host_in_order() {
    let stage = Stage::new();
    let (apply, round) = stage.apply_until_the_command_runs();
    apply.interrupt();
    apply.wait_until_it_says("cancel");
    stage.let_go(&round);
    let cancelled = apply.finish();
    one_error(&cancelled, &["cancelled", "repeat the command"]);
    assert_eq!(stage.newest_job("host.apply")["state"], "cancelled");
    stage.wait_on_host("the agent to end", "! pgrep -x allmende-agent");
    assert_eq!(
        stage.on_host("cat /srv/disturbed/after 2>/dev/null || true"),
        "",
        "the cancelled run went on"
    );
    stage.apply_ends_well();
    stage.round_is_done_once(&round);

    // Cancelled, and the next apply comes at once.
    let (apply, round) = stage.apply_until_the_command_runs();
    apply.interrupt();
    let next = stage.start(&["apply", "disturbed", "--yes"]);
    stage.let_go(&round);
    one_error(&apply.finish(), &["cancelled"]);
    let next = next.finish();
    if next.code != Some(0) {
        // It came before the first one had let go.
        one_error(&next, &["is being changed by job"]);
    }
    stage.apply_ends_well();
    stage.round_is_done_once(&round);
}

#[test]
fn an_agent_that_is_killed_loses_nothing_but_the_resource_in_hand() {
    let stage = Stage::new();
    let (apply, round) = stage.apply_until_the_command_runs();
    stage.on_host("pkill -KILL -x allmende-agent");
    let failed = apply.finish();
    one_error(
        &failed,
        &["the agent on web", "ended unexpectedly", "KILL", "apply again"],
    );
    assert_eq!(stage.newest_job("host.apply")["state"], "failed");
    stage.let_go(&round);
    // Whatever the killed agent had started may still run; the guard decides.
    stage.wait_on_host("the command to end", "! pgrep -f /srv/disturbed/[r]an");
    stage
        .apply_ends_well()
        .saying("An earlier run")
        .saying("killed while changing command");
    assert_eq!(stage.on_host("cat /srv/disturbed/after"), round);
    stage.nothing_half_written();

    // A handler that was pending when the agent was killed is run by the next apply.
    assert_eq!(
        stage.on_host(&format!("grep -cx {round} /srv/disturbed/handled")),
        "1"
    );
}

/// A configuration whose change restarts a unit, with a command between the two.
const RESTARTED: &str = r#"
format = 1
name = "restarted"
title = { de = "Neu gestartet", en = "Restarted" }
summary = { de = "Startet neu.", en = "Restarts." }

[params.round]
type = "name"
default = "first"
help = { de = "Durchgang", en = "Round" }

[[resources]]
kind = "file"
path = "/etc/restarted.conf"
content = "WORD={{ round }}\n"
notify = ["restarted"]

[[resources]]
kind = "file"
path = "/etc/systemd/system/restarted.service"
content = "[Service]\nEnvironmentFile=/etc/restarted.conf\nExecStart=/bin/sh -c 'echo $WORD >/run/restarted; exec sleep infinity'\n[Install]\nWantedBy=multi-user.target\n"
notify = ["restarted"]

[[resources]]
kind = "unit"
name = "restarted.service"
enabled = true
running = true

[[resources]]
id = "work"
kind = "command"
argv = ["sh", "-c", "touch /run/working-{{ round }}; until [ -e /run/go-{{ round }} ]; do sleep 0.05; done; touch /run/done-{{ round }}"]
creates = "/run/done-{{ round }}"
timeout = 60

[[handlers]]
id = "restarted"
unit = "restarted.service"
action = "restart"
"#;

#[test]
fn a_restart_that_was_pending_when_an_apply_died_is_made_by_the_next() {
    let stage = Stage::new();
    stage.template("restarted", RESTARTED);
    stage.service("unit", "restarted", &[]);
    stage.let_go("first");
    stage.run(&["apply", "unit", "--yes"]).expect(0);
    assert_eq!(stage.on_host("cat /run/restarted"), "first");

    stage
        .run(&["service", "edit", "unit", "--set", "round=second"])
        .expect(0);
    let apply = stage.start(&["apply", "unit", "--yes"]);
    stage.wait_on_host("the command to run", "test -e /run/working-second");
    apply.kill();
    stage.let_go("second");
    stage.wait_on_host("the agent to end", "! pgrep -x allmende-agent");
    assert_eq!(stage.on_host("cat /etc/restarted.conf"), "WORD=second");
    assert_eq!(stage.on_host("cat /run/restarted"), "first", "not restarted yet");

    stage.run(&["plan", "unit"]).expect(3).saying("left over");
    stage
        .run(&["apply", "unit", "--yes"])
        .expect(0)
        .saying("restart restarted.service");
    stage.run(&["plan", "unit"]).expect(0);
    assert_eq!(stage.on_host("cat /run/restarted"), "second");
}
