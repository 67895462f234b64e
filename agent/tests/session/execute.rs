use allmende_agent::protocol::{Answer, Output, RefusalKind};
use serde_json::{Value, json};

use crate::peer::{Host, Peer};

fn execution(argv: &[&str]) -> Value {
    json!({ "argv": argv, "user": "root", "timeout": 10, "secrets": ["correct horse"] })
}

fn output(peer: &mut Peer, execution: &Value) -> Output {
    match peer.ask(json!({ "execute": execution })) {
        Ok(Answer::Output(output)) => output,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_program_is_run_and_what_it_prints_comes_back_masked() {
    let host = Host::new();
    let mut peer = host.session();
    let mut cat = execution(&["cat", "-", "/no/such/file"]);
    cat["stdin"] = json!("pw=correct horse\n");
    let printed = output(&mut peer, &cat);
    assert_eq!((printed.code, printed.stdout.as_str()), (Some(1), "pw=•••\n"));
    assert!(
        printed.tail.iter().any(|line| line.contains("/no/such/file")),
        "{printed:?}"
    );
    assert!(!format!("{printed:?}").contains("horse"));
    let mut env = execution(&["sh", "-c", "echo $WORD"]);
    env["env"] = json!({ "WORD": "hello" });
    assert_eq!(output(&mut peer, &env).stdout, "hello\n");
}

#[test]
fn endless_output_is_cut() {
    let host = Host::new();
    let mut peer = host.session();
    let printed = output(&mut peer, &execution(&["sh", "-c", "yes | head -c 6000000"]));
    assert_eq!((printed.code, printed.truncated), (Some(0), true));
    assert_eq!(printed.stdout.len(), Output::LIMIT);
}

#[test]
fn what_makes_no_sense_is_not_begun() {
    let host = Host::new();
    let mut peer = host.session();
    let mut ask = |change: &dyn Fn(&mut Value)| {
        let mut bad = execution(&["touch", host.at("/etc/touched").to_str().expect("text")]);
        change(&mut bad);
        peer.refusal(json!({ "execute": bad }))
    };
    assert_eq!(ask(&|bad| bad["argv"] = json!([])).kind, RefusalKind::Invalid);
    assert_eq!(ask(&|bad| bad["user"] = json!("Root")).kind, RefusalKind::Invalid);
    assert_eq!(ask(&|bad| bad["timeout"] = json!(0)).kind, RefusalKind::Invalid);
    assert_eq!(
        ask(&|bad| bad["env"] = json!({ "A=B": "c" })).kind,
        RefusalKind::Invalid
    );
    let refusal = ask(&|bad| bad["argv"] = json!(["echo", "correct horse"]));
    assert!(
        refusal.kind == RefusalKind::Invalid && !refusal.message.contains("horse"),
        "{refusal}"
    );
    assert_eq!(
        ask(&|bad| bad["user"] = json!("nobody-here")).kind,
        RefusalKind::Failed
    );
    assert_eq!(
        ask(&|bad| bad["argv"] = json!(["no-such-program"])).kind,
        RefusalKind::Failed
    );
    assert!(!host.at("/etc/touched").exists());
}

#[test]
fn a_program_that_takes_too_long_is_a_failure() {
    let host = Host::new();
    let mut peer = host.session();
    let mut slow = execution(&["sleep", "60"]);
    slow["timeout"] = json!(1);
    let refusal = peer.refusal(json!({ "execute": slow }));
    assert_eq!(refusal.kind, RefusalKind::Failed);
    assert!(
        refusal.message.contains("took longer than 1 seconds"),
        "{refusal}"
    );
}

#[test]
fn a_program_that_changes_the_host_has_it_alone() {
    let host = Host::new();
    let (mut one, mut other) = (host.session(), host.session());
    let mut slow = execution(&["sh", "-c", "echo begun > $FILE; sleep 3"]);
    slow["env"] = json!({ "FILE": host.at("/etc/begun") });
    slow["holder"] = json!("anna, job 12");
    let id = one.request(json!({ "execute": slow }));
    while !host.at("/etc/begun").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    let mut second = execution(&["true"]);
    second["holder"] = json!("ben, job 13");
    let refusal = other.refusal(json!({ "execute": second }));
    assert!(
        refusal.kind == RefusalKind::Busy && refusal.message.contains("anna, job 12"),
        "{refusal}"
    );
    // Looking is allowed meanwhile.
    assert_eq!(output(&mut other, &execution(&["true"])).code, Some(0));
    assert!(one.answer(id).is_ok());
    assert_eq!(output(&mut other, &second).code, Some(0));
}
