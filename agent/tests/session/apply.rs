use allmende_agent::protocol::{Action, Event, RefusalKind, Report};
use serde_json::{Value, json};

use crate::peer::{Host, apply, file, state, waits_for};

fn actions(report: &Report) -> Vec<Action> {
    report.resources.iter().map(|resource| resource.action).collect()
}

#[test]
fn a_state_is_planned_applied_and_then_as_desired() {
    let host = Host::new();
    let mut peer = host.session();
    let state = state(
        json!([file("a", "one\n"), file("b", "pw=correct horse\n")]),
        json!([]),
    );
    let planned = peer.report(json!({ "plan": state }));
    assert_eq!(actions(&planned), [Action::Create, Action::Create]);
    assert!(!host.at("/etc/app").exists(), "a plan changes nothing");
    let applied = peer.report(apply("run-1", &state));
    assert_eq!(applied, planned);
    assert_eq!(host.read("/etc/app/a"), "one\n");
    let names: Vec<&str> = peer
        .events
        .iter()
        .map(|event| match event {
            Event::Started {
                position: 0,
                total: 2,
                ..
            } => "started first",
            Event::Started { .. } => "started",
            Event::Changed(_) => "changed",
            _ => "other",
        })
        .collect();
    assert_eq!(names, ["started first", "changed", "started", "changed"]);
    assert!(!format!("{applied:?}{:?}", peer.events).contains("horse"));
    peer.events.clear();
    let again = peer.report(apply("run-2", &state));
    assert_eq!(actions(&again), [Action::None, Action::None]);
    assert!(peer.events.is_empty());
    assert_eq!(peer.hang_up(), Ok(()));
    assert_eq!(host.session().greeting().waiting_reports, Vec::<String>::new());
}

#[test]
fn a_bad_state_is_refused_before_anything_is_touched() {
    let host = Host::new();
    let mut peer = host.session();
    let mut bad = file("b", "");
    bad["spec"]["path"] = json!("/etc/../x");
    let refusal = peer.refusal(apply(
        "run-1",
        &state(json!([file("a", "one\n"), bad]), json!([])),
    ));
    assert_eq!(refusal.kind, RefusalKind::Invalid);
    assert!(!host.at("/etc/app/a").exists());
    let good = state(json!([file("a", "")]), json!([]));
    assert_eq!(peer.refusal(apply("../run", &good)).kind, RefusalKind::Invalid);
}

#[test]
fn a_missing_archive_is_asked_for_before_anything_is_touched() {
    let host = Host::new();
    let mut peer = host.session();
    let sha256 = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let archive = json!({ "id": "z", "spec": { "kind": "archive", "path": "/srv/z", "sha256": sha256 } });
    let state = state(json!([file("a", "one\n"), archive]), json!([]));
    let refusal = peer.refusal(apply("run-1", &state));
    assert_eq!(refusal.kind, RefusalKind::BlobsMissing);
    assert!(refusal.message.contains(sha256));
    assert!(!host.at("/etc/app/a").exists());
    assert_eq!(
        actions(&peer.report(json!({ "plan": state }))),
        [Action::Create, Action::Create]
    );
}

#[test]
fn the_first_failure_stops_the_run_and_says_where() {
    let host = Host::new();
    std::fs::create_dir_all(host.at("/etc/app/b/c")).expect("makes");
    let mut peer = host.session();
    let state = state(
        json!([file("a", "one\n"), file("b", ""), file("c", "")]),
        json!([]),
    );
    let report = peer.report(apply("run-1", &state));
    assert_eq!(report.resources.len(), 1);
    let stopped = report.stopped.expect("says so");
    assert!(
        stopped.starts_with("cloud: file /etc/app/b (b): /etc/app/b is a directory, not a file"),
        "{stopped}"
    );
    assert!(host.at("/etc/app/a").exists() && !host.at("/etc/app/c").exists());
}

#[test]
fn a_handler_that_could_not_run_runs_with_the_next_apply() {
    let host = Host::new();
    let mut resource = file("a", "one\n");
    resource["notify"] = json!(["late"]);
    let (gate, done) = (host.at("/gate"), host.at("/done"));
    let handlers = json!([{ "id": "late", "check": ["test", "-e", gate], "command": ["touch", done] }]);
    let state = state(json!([resource]), handlers);
    let mut peer = host.session();
    let stopped = peer.report(apply("run-1", &state)).stopped.expect("fails");
    assert!(
        stopped.starts_with("cloud: run touch ") && stopped.contains("apply again"),
        "{stopped}"
    );
    let planned = peer.report(json!({ "plan": state }));
    assert_eq!(actions(&planned), [Action::None]);
    assert!(
        planned
            .handlers
            .iter()
            .all(|handler| handler.left_over && handler.id == "late")
    );
    assert_eq!(planned.handlers.len(), 1);
    host.write("/gate", "");
    let report = peer.report(apply("run-2", &state));
    assert_eq!((report.stopped, report.handlers), (None, planned.handlers));
    assert!(host.at("/done").exists());
    assert!(peer.report(apply("run-3", &state)).handlers.is_empty());
}

#[test]
fn the_end_of_the_connection_lets_the_resource_in_hand_be_finished() {
    let host = Host::new();
    let gate = host.at("/gate");
    let state = state(json!([file("a", ""), waits_for(&gate), file("z", "")]), json!([]));
    let mut peer = host.session();
    peer.request(apply("run-1", &state));
    peer.until(|event| *event == Event::Output("waiting".to_owned()));
    // Another controller sees no report of a run that is still under way, and is told who is busy.
    let mut other = host.session();
    assert_eq!(other.greeting().waiting_reports, Vec::<String>::new());
    let refusal = other.refusal(apply("run-2", &state));
    assert_eq!(refusal.kind, RefusalKind::Busy);
    assert!(
        refusal
            .message
            .starts_with("anna, job 12 has been changing this host since "),
        "{refusal}"
    );
    assert_eq!(
        other.refusal(json!({ "take_report": { "run": "run-1" } })).kind,
        RefusalKind::Busy
    );
    let ending = std::thread::spawn(move || peer.vanish());
    std::thread::sleep(std::time::Duration::from_millis(200));
    assert!(!ending.is_finished(), "the resource in hand is waited for");
    host.write("/gate", "");
    assert_eq!(ending.join().expect("does not panic"), Ok(()));
    assert!(host.at("/etc/app/a").exists() && !host.at("/etc/app/z").exists());

    let mut next = host.session();
    assert_eq!(next.greeting().waiting_reports, ["run-1"]);
    let report = next.report(json!({ "take_report": { "run": "run-1" } }));
    assert_eq!(actions(&report), [Action::Create, Action::Run]);
    let stopped = report.stopped.expect("says so");
    assert!(
        stopped.starts_with("the connection to the controller ended after 2 of 3 resources"),
        "{stopped}"
    );
    assert_eq!(
        next.refusal(json!({ "take_report": { "run": "run-1" } })).kind,
        RefusalKind::Invalid
    );
    assert_eq!(next.report(apply("run-2", &state)).stopped, None);
    assert!(host.at("/etc/app/z").exists());
}

#[test]
fn plans_and_other_questions_are_answered_while_an_apply_runs() {
    let host = Host::new();
    let gate = host.at("/gate");
    let state = state(json!([waits_for(&gate)]), json!([]));
    let mut peer = host.session();
    let applying = peer.request(apply("run-1", &state));
    peer.until(|event| *event == Event::Output("waiting".to_owned()));
    assert_eq!(actions(&peer.report(json!({ "plan": state }))), [Action::Run]);
    assert!(peer.ask(json!({ "blobs": { "wanted": [] } })).is_ok());
    host.write("/gate", "");
    assert!(peer.answer(applying).is_ok());
}

#[test]
fn secrets_are_masked_in_all_that_is_said() {
    let host = Host::new();
    let mut peer = host.session();
    let echo = json!({ "id": "echo", "spec": {
        "kind": "command", "argv": ["sh", "-c", "cat; exit 3"], "creates": "/never", "stdin": "it is correct horse\n",
    } });
    let report = peer.report(apply("run-1", &state(json!([echo]), json!([]))));
    assert!(
        report
            .stopped
            .as_ref()
            .is_some_and(|stopped| stopped.ends_with("it is •••")),
        "{report:?}"
    );
    assert!(peer.events.contains(&Event::Output("it is •••".to_owned())));
    let said = format!("{:?}", peer.events);
    assert!(!said.contains("horse"), "{said}");
    assert_eq!(peer.hang_up(), Ok(()));
}

#[test]
fn a_journal_holds_no_secrets() {
    let host = Host::new();
    let gate = host.at("/gate");
    let mut peer = host.session();
    let state = state(
        json!([file("a", "pw=correct horse\n"), waits_for(&gate)]),
        json!([]),
    );
    peer.request(apply("run-1", &state));
    peer.until(|event| *event == Event::Output("waiting".to_owned()));
    let journal: Value =
        serde_json::from_str(&host.read("/var/lib/allmende-agent/journal/run-1.json")).expect("parses");
    assert!(!journal.to_string().contains("horse"), "{journal}");
    assert_eq!(journal["report"]["report"]["resources"][0]["id"], "a");
    host.write("/gate", "");
    assert_eq!(peer.hang_up(), Ok(()));
}
