//! Mumble as people use it: they enter with the server's password, find their room, and nobody else gets in.

use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::{Finished, HostAccess, Rehearsal, Witness, World};
use serde_json::{Value, json};

#[test]
fn people_meet_on_two_servers_of_one_host_on_debian_12() {
    meet("12");
}

#[test]
fn people_meet_on_two_servers_of_one_host_on_debian_13() {
    meet("13");
}

const DOMAIN: &str = "sprechen.kita-sonne.test";

fn meet(release: &str) {
    let (world, hosts) = World::with_hosts(1, release);
    let host = &hosts[0];
    world.care_for("web1", host);
    let add = |name: &str, settings: &[&str]| {
        let domain = format!("domain={DOMAIN}");
        let mut add = vec!["service", "add", name, "--org", "kita-sonne", "--host", "web1"];
        add.extend(["--template", "mumble", "--set", &domain]);
        for setting in settings {
            add.extend(["--set", setting]);
        }
        world.run(&add).expect(0);
    };
    add("talk", &["users=7"]);
    let secret = |service: &str, name: &str| {
        let secret = world.run(&["service", "secret", service, name]).expect(0);
        secret.stdout.trim().to_owned()
    };
    let entrance = secret("talk", "server_password");
    let superuser = secret("talk", "superuser_password");
    let witness = Witness::of(host);
    world.run(&["apply", "talk", "--yes"]).expect(0);
    let seen = witness.tell();
    for line in seen.on_host.iter().chain(&seen.here) {
        assert!(
            !line.contains(&entrance) && !line.contains(&superuser),
            "a process shows a secret: {line}"
        );
    }
    world.run(&["plan", "talk"]).expect(0);
    world
        .run(&["apply", "talk", "--yes"])
        .expect(0)
        .saying("nothing to change");

    let authority = world.data_dir().join("authority-of-the-test.pem");
    let root = world.run(&["authority", "export"]).expect(0).stdout;
    std::fs::write(&authority, root).expect("writes the certificate");
    let enter = |port: &str, user: &str, password: &str| client(host, port, &authority, user, password);
    let anna = enter("64738", "Anna", &entrance);
    assert_eq!(anna["in"], json!(true), "{anna}");
    assert_eq!(anna["room"], json!("KiTa Sonne e.V."), "{anna}");
    assert_eq!(
        anna["welcome"],
        json!("Willkommen bei KiTa Sonne e.V.!"),
        "{anna}"
    );
    assert_eq!(
        (&anna["ping"]["echo"], &anna["ping"]["max"]),
        (&json!(4711), &json!(7))
    );
    assert_eq!(enter("64738", "Berta", "wrong")["in"], json!(false));
    assert_eq!(enter("64738", "SuperUser", &superuser)["in"], json!(true));
    assert_eq!(enter("64738", "SuperUser", &entrance)["in"], json!(false));

    // A second server needs a port of its own, and says so.
    add("chor", &[]);
    world
        .run(&["apply", "chor", "--yes"])
        .expect(1)
        .saying("port 64738 is taken by another program");
    world
        .run(&["service", "edit", "chor", "--set", "port=64739"])
        .expect(0);
    world.run(&["apply", "chor", "--yes"]).expect(0);
    assert_eq!(enter("64739", "Anna", &entrance)["in"], json!(false));
    let other = secret("chor", "server_password");
    assert_eq!(enter("64739", "Anna", &other)["in"], json!(true));
    for (reader, owner) in [
        ("kita-sonne_talk", "kita-sonne_chor"),
        ("kita-sonne_chor", "kita-sonne_talk"),
    ] {
        for path in [
            format!("/srv/{owner}/mumble-server.sqlite"),
            format!("/etc/allmende/{owner}/mumble-server.ini"),
            format!("/etc/allmende/{owner}/tls.key"),
        ] {
            host.run(&format!("test -s {path}")).expect(0);
            host.run(&format!("runuser -u {reader} -- cat {path}"))
                .expect(1)
                .saying("Permission denied");
        }
    }

    let reset = world.action("talk", &["superuser-password", "--json"]).expect(0);
    let new = reset.password();
    assert_eq!(enter("64738", "SuperUser", &superuser)["in"], json!(false));
    assert_eq!(enter("64738", "SuperUser", &new)["in"], json!(true));
    // A server that was stopped comes back.
    host.run("systemctl stop kita-sonne_talk-mumble").expect(0);
    world
        .run(&["plan", "talk"])
        .expect(3)
        .saying("running: stopped → running");
    world.run(&["apply", "talk", "--yes"]).expect(0);
    assert_eq!(enter("64738", "Anna", &entrance)["in"], json!(true));
    Rehearsal::of(&world, "kita-sonne/talk", host).perform();
    for secret in [&entrance, &superuser, &other, &new] {
        assert!(world.files_with(secret).is_empty());
    }

    // The other one stays when one goes; after the last, Debian's own instance stays masked.
    world
        .run(&["service", "remove", "talk", "--delete-data", "--yes"])
        .expect(0);
    assert_eq!(enter("64739", "Anna", &other)["in"], json!(true));
    world.run(&["plan", "--all"]).expect(0);
    world
        .run(&["service", "remove", "chor", "--delete-data", "--yes"])
        .expect(0);
    host.run("systemctl is-enabled mumble-server.service")
        .expect(1)
        .saying("masked");
    host.run("find / -xdev \\( -path /proc -o -path /var/lib/allmende-agent \\) -prune -o -name '*kita-sonne_*' -print")
        .expect(0)
        .not_saying("/kita-sonne_");
}

/// What a client tells of its attempt to enter.
#[track_caller]
fn client(host: &HostAccess, port: &str, authority: &Path, user: &str, password: &str) -> Value {
    let program: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("clients/mumble.py");
    let mut command = Command::new("python3");
    command.arg(program).args([&host.address, port, DOMAIN]);
    command.arg(authority).arg(user);
    Finished::fed(&mut command, password).expect(0).json()
}
