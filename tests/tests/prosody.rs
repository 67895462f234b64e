//! The chat as people use it: they get an account, log in with their app, and lose neither when the server is restored.

use std::path::Path;
use std::process::Command;

use allmende_tests::{Finished, HostAccess, Rehearsal, Witness, World};
use serde_json::{Value, json};

const DOMAIN: &str = "chat.kita-sonne.test";

#[test]
fn people_chat_on_debian_12() {
    chat("12");
}

#[test]
fn people_chat_on_debian_13() {
    chat("13");
}

fn chat(release: &str) {
    let (world, hosts) = World::with_hosts(1, release);
    let host = &hosts[0];
    world.care_for("web1", host);
    let domain = format!("domain={DOMAIN}");
    let mut add = vec!["service", "add", "chat", "--org", "kita-sonne", "--host", "web1"];
    add.extend(["--template", "prosody", "--set", &domain]);
    world.run(&add).expect(0);
    let admin = world
        .run(&["service", "secret", "chat", "admin_password"])
        .expect(0);
    let admin = admin.stdout.trim().to_owned();
    let witness = Witness::of(host);
    world.run(&["apply", "chat", "--yes"]).expect(0);
    let action = |name: &str, further: &[&str]| {
        let mut arguments = vec!["action", "chat", name];
        arguments.extend(further);
        world.run(&arguments)
    };
    let password = |said: Finished| {
        let said = said.expect(0).json();
        said["secrets"]["password"].as_str().expect("shown").to_owned()
    };
    let first = password(action("user-add", &["--set", "user=anna", "--json"]));
    let seen = witness.tell();
    for line in seen.on_host.iter().chain(&seen.here) {
        assert!(
            !line.contains(&admin) && !line.contains(&first),
            "a process shows a secret: {line}"
        );
    }
    world
        .run(&["apply", "chat", "--yes"])
        .expect(0)
        .saying("nothing to change");

    let authority = world.authority();
    let enter = |user: &str, password: &str| client(host, &authority, user, password);
    let in_by_tls_only = json!({ "in": true, "asks_for_password_without_tls": false });
    assert_eq!(enter("admin", &admin), in_by_tls_only);
    assert_eq!(enter("anna", &first), in_by_tls_only);
    assert_eq!(enter("anna", "wrong")["in"], json!(false));
    action("user-add", &["--set", "user=anna"])
        .expect(1)
        .saying("exists");
    action("user-list", &[])
        .expect(0)
        .saying(&format!("anna@{DOMAIN}"));
    let second = password(action("user-password", &["--set", "user=anna", "--json"]));
    assert_eq!(enter("anna", &first)["in"], json!(false));
    assert_eq!(enter("anna", &second)["in"], json!(true));

    Rehearsal::of(&world, "kita-sonne/chat", host).perform();
    assert_eq!(enter("anna", &second)["in"], json!(true));
    action("user-remove", &["--set", "user=anna", "--yes"]).expect(0);
    assert_eq!(enter("anna", &second)["in"], json!(false));

    // Other servers are let in when somebody wants it, and not before.
    let knocks = |code| host.run("ss -tlnH sport = :5269 | grep -q .").expect(code);
    knocks(1);
    world
        .run(&["service", "edit", "chat", "--set", "federation=true"])
        .expect(0);
    world.run(&["apply", "chat", "--yes"]).expect(0);
    knocks(0);
    world.run(&["service", "remove", "chat", "--yes"]).expect(0);
    host.run("systemctl is-active prosody.service").expect(3);
    for secret in [&admin, &first, &second] {
        assert!(world.files_with(secret).is_empty());
    }
}

/// What a client tells of its attempt to log in.
#[track_caller]
fn client(host: &HostAccess, authority: &Path, user: &str, password: &str) -> Value {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/xmpp.py");
    let mut command = Command::new("python3");
    command.arg(program).args([&host.address, DOMAIN]);
    command.arg(authority).arg(user);
    Finished::fed(&mut command, &format!("{password}\n"))
        .expect(0)
        .json()
}
