//! Made, made again, and made badly.

use std::time::Duration;

use super::stage::{Stage, until};

#[test]
fn a_service_is_backed_up_over_its_session_on_debian_12() {
    lives("12");
}

#[test]
fn a_service_is_backed_up_over_its_session_on_debian_13() {
    lives("13");
}

fn lives(release: &str) {
    let stage = Stage::new(release);
    // What many hardened hosts say; nothing here needs it.
    stage.on_host(
        "printf 'AllowTcpForwarding no\\nDisableForwarding yes\\n' > /etc/ssh/sshd_config.d/10-hardened.conf && systemctl reload ssh",
    );
    it_is_made_and_made_again(&stage);
    a_bad_dump_is_not_kept(&stage);
    what_is_missing_has_a_name(&stage);
    a_controller_that_is_killed_leaves_nothing_behind(&stage);
    secrets_are_nowhere(&stage);
}

fn it_is_made_and_made_again(stage: &Stage) {
    stage
        .back_up()
        .expect(0)
        .saying("kita-sonne/archive: backup 1 is complete");
    assert_eq!(stage.count("snapshots"), 3);
    assert_eq!(stage.count("locks"), 0);
    stage.on_host("echo more > /srv/archive/c");
    stage.back_up().expect(0).saying("backup 2 is complete");
    assert_eq!(stage.count("snapshots"), 6);
    stage.is_quiet();
}

fn a_bad_dump_is_not_kept(stage: &Stage) {
    for (script, words) in [
        (
            "echo 'anna,ben,clara,dora'; echo 'disk on fire' >&2; exit 3",
            "disk on fire",
        ),
        ("echo short", "the dump has 6 bytes, at least 10 were expected"),
    ] {
        let before = stage.count("snapshots");
        stage.members(script);
        stage
            .back_up()
            .expect(1)
            .saying("is incomplete")
            .saying("dump:members is not in the backup")
            .saying(words);
        assert_eq!(stage.count("snapshots"), before + 2, "the other parts alone");
        stage.is_quiet();
    }
    stage.members("echo 'anna,ben,clara,dora'");
}

fn what_is_missing_has_a_name(stage: &Stage) {
    stage.on_host("mv /srv/annex /srv/elsewhere");
    stage
        .back_up()
        .expect(1)
        .saying("is incomplete")
        .saying("/srv/annex is not there.");
    stage.on_host("mv /srv/elsewhere /srv/annex");
    stage.back_up().expect(0).saying("is complete");
}

fn a_controller_that_is_killed_leaves_nothing_behind(stage: &Stage) {
    // Long enough to be killed in the middle of it.
    stage.members("echo 'anna,ben,clara,dora'; sleep 300");
    let mut run = stage
        .world
        .command(&["backup", "run", "archive"])
        .spawn()
        .expect("starts");
    until(Duration::from_secs(60), || {
        stage
            .host
            .run("pgrep -x restic; test -e /run/archive-at-rest && pgrep -f /srv/members")
            .code
            == Some(0)
    });
    run.kill().expect("killed");
    run.wait().expect("ended");
    stage.is_quiet();
    stage.members("echo 'anna,ben,clara,dora'");
    stage.back_up().expect(0).saying("is complete");
}

fn secrets_are_nowhere(stage: &Stage) {
    let word = stage
        .world
        .run(&["service", "secret", "archive", "word"])
        .expect(0)
        .stdout;
    assert_eq!(
        stage.world.files_with(word.trim()),
        Vec::<std::path::PathBuf>::new()
    );
    // While restic runs, neither its arguments nor its environment tell the password; it lies in no file either.
    stage.members("echo 'anna,ben,clara,dora'; sleep 5");
    let mut run = stage
        .world
        .command(&["backup", "run", "archive"])
        .spawn()
        .expect("starts");
    until(Duration::from_secs(60), || {
        stage.host.run("pgrep -f /srv/members").code == Some(0)
    });
    let seen = stage.on_host("for p in $(pgrep -x restic); do tr '\\0' '\\n' < /proc/$p/cmdline; tr '\\0' '\\n' < /proc/$p/environ; done").stdout;
    assert!(seen.contains("RESTIC_PASSWORD_FILE=/dev/fd/"), "{seen}");
    assert!(
        !seen.contains("RESTIC_PASSWORD=") && !seen.contains("RESTIC_PASSWORD_COMMAND"),
        "{seen}"
    );
    assert!(run.wait().expect("ended").success());
}
