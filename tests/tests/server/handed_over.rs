//! Work that is handed to a server.

use super::running::{Stage, until};

#[test]
fn a_job_outlives_whoever_asked_and_whoever_works_on_it() {
    let stage = Stage::new();
    let mut server = stage.serve();

    // Somebody asks and goes away; the server goes on.
    stage.round("second");
    let mut asker = stage.apply();
    stage.begun("second");
    asker.kill();
    stage.go("second");
    stage.newest_job_is("succeeded");
    assert!(server.said().contains("for "), "{}", server.said());

    // The server is killed; the next one takes the job up, and whoever looks on sees its good end.
    stage.round("third");
    let mut asker = stage.apply();
    stage.begun("third");
    server.kill();
    stage.go("third");
    let mut server = stage.serve();
    assert_eq!(asker.ends(), Some(0), "{}", asker.said());
    assert!(server.said().contains("is taken up again"), "{}", server.said());
    assert_eq!(stage.times("third"), 1);
    let id = stage.newest_job()["id"].to_string();
    stage
        .world
        .run(&["job", "show", &id])
        .expect(0)
        .saying("succeeded");

    // The server is asked to stop: it gives the job back after a second signal.
    stage.round("fourth");
    let mut asker = stage.apply();
    stage.begun("fourth");
    server.signal("TERM");
    server.signal("TERM");
    until("the job is given back", || {
        stage.newest_job()["state"] == "queued"
    });
    assert_eq!(server.ends(), Some(0), "{}", server.said());
    stage.go("fourth");
    let server = stage.serve();
    assert_eq!(asker.ends(), Some(0), "{}", asker.said());
    assert_eq!(stage.times("fourth"), 1);
    stage.world.run(&["audit", "verify"]).expect(0);
    drop(server);

    // Nobody runs: it is done at once by whoever asks.
    stage
        .world
        .run(&["apply", "waiting", "--yes"])
        .expect(0)
        .saying("nothing to change");
}

#[test]
fn a_job_is_cancelled_from_elsewhere_and_asked_for_again() {
    let stage = Stage::new();
    let server = stage.serve();
    stage.round("second");
    let mut asker = stage.apply();
    stage.begun("second");
    let id = stage.newest_job()["id"].clone();

    // A second job for the same host waits its turn, and can be taken back before it begins.
    let mut other = stage.apply();
    until("there is a second job", || stage.newest_job()["id"] != id);
    let waiting = stage.newest_job()["id"].to_string();
    assert_eq!(stage.newest_job()["state"], "queued");
    stage
        .world
        .run(&["job", "cancel", &waiting])
        .expect(0)
        .saying("will not be done");
    assert_eq!(other.ends(), Some(1), "{}", other.said());
    stage
        .world
        .run(&["job", "cancel", &waiting])
        .expect(1)
        .saying("cancelled already");

    let id = id.to_string();
    stage
        .world
        .run(&["job", "cancel", &id])
        .expect(0)
        .saying("was told");
    assert_eq!(asker.ends(), Some(1), "{}", asker.said());
    stage.go("second");
    assert!(asker.said().contains("cancelled"), "{}", asker.said());

    let again = stage.world.run(&["job", "retry", &id]).expect(0);
    let number = again
        .stdout
        .split_whitespace()
        .nth(1)
        .expect("a number")
        .to_owned();
    stage
        .world
        .run(&["job", "follow", &number])
        .expect(0)
        .saying("An earlier run");
    stage
        .world
        .run(&["job", "retry", &number])
        .expect(1)
        .saying("ended well");

    let address = server.said();
    let address = address
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next());
    let address = address.expect("the server says where it answers");
    let page = |path: &str| {
        let url = format!("http://{address}{path}");
        let mut curl = std::process::Command::new("curl");
        allmende_tests::Finished::of(curl.args(["--silent", "--fail", "--noproxy", "*", &url])).expect(0)
    };
    page("/healthz").saying("ok");
    page("/metrics")
        .saying("allmende_servers 1")
        .saying("allmende_jobs{state=\"running\"} 0");
}
