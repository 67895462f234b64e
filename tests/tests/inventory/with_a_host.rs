//! Hosts and services from the first to the last command about them.

use allmende_tests::World;
use serde_json::Value;

/// What a world knows, without what moves by itself.
fn inventory(world: &World) -> Vec<Value> {
    let lists: [&[&str]; 4] = [
        &["org", "list", "--json"],
        &["host", "list", "--json"],
        &["service", "list", "--json"],
        &["job", "list", "--json", "--limit", "1000"],
    ];
    lists
        .iter()
        .map(|list| world.run(list).expect(0).json())
        .collect()
}

#[test]
fn hosts_and_services_are_kept_edited_and_removed() {
    let world = World::in_a_file();
    let hosts = world.raise(1, "13", &[]);
    let host = &hosts[0];
    world.care_for("web1", host);
    unknown_names_are_answered_with_the_nearest(&world);
    a_host_is_edited(&world);
    nothing_is_kept_of_a_service_that_is_refused(&world);
    a_secret_on_the_command_line_is_refused_and_forgotten(&world);
    a_secret_from_a_file_is_taken(&world);
    a_dry_run_changes_nothing(&world);
    what_is_still_needed_is_not_removed(&world);
    // Everything is gone from the host that was given back, and what is left of it can be forgotten.
    world
        .run(&["host", "remove", "web1", "--yes"])
        .expect(0)
        .saying("out of Allmende's care");
    let keys = host.run("grep -c allmende-agent /root/.ssh/authorized_keys");
    assert_eq!(keys.stdout.trim(), "0");
    host.run("test -z \"$(find / -xdev -iname '*allmende*' -print -quit)\"")
        .expect(0);
    world.run(&["org", "remove", "kita-sonne", "--yes"]).expect(0);
    world.run(&["audit", "verify"]).expect(0);
}

fn unknown_names_are_answered_with_the_nearest(world: &World) {
    for (command, words) in [
        (&["org", "show", "kita-sone"][..], "did you mean kita-sonne?"),
        (&["host", "show", "wbe1"], "did you mean web1?"),
        (&["plan", "--host", "web"], "did you mean web1?"),
        (&["template", "show", "dokuwik"], "dokuwiki"),
        (&["job", "show", "9999"], "allmende job list"),
        (&["plan", "cloud"], "no service \"cloud\""),
    ] {
        world.run(command).expect(1).saying(words);
    }
    let add = [
        "service",
        "add",
        "wiki",
        "--template",
        "dokuwiki",
        "--set",
        "domain=wiki.test",
    ];
    for (more, words) in [
        (
            ["--org", "kita-sone", "--host", "web1"],
            "did you mean kita-sonne?",
        ),
        (["--org", "kita-sonne", "--host", "web2"], "did you mean web1?"),
    ] {
        world.run(&[&add[..], &more].concat()).expect(1).saying(words);
    }
}

fn a_host_is_edited(world: &World) {
    let edited = |more: &[&str]| world.run(&[&["host", "edit", "web1"], more].concat());
    edited(&[
        "--location",
        "Keller",
        "--provider",
        "Hetzner",
        "--monthly-cost",
        "4,51",
    ])
    .expect(0);
    edited(&["--set", "log_days=14", "--set", "timezone=Etc/UTC"])
        .expect(0)
        .saying("allmende apply --host web1");
    world
        .run(&["host", "show", "web1"])
        .expect(0)
        .saying("Keller")
        .saying("Hetzner")
        .saying("4.51 € a month")
        .saying("log_days = 14");
    let before = inventory(world);
    for (bad, code, words) in [
        (
            &["--set", "log_days=9999"][..],
            1,
            "expected a whole number from 1 to 365",
        ),
        (&["--set", "log_dayz=9"], 1, "hosts have no setting \"log_dayz\""),
        (&["--unset", "log_size_mb"], 1, "no value of its own"),
        (&["--org", "kita-mond"], 1, "no organisation \"kita-mond\""),
        (&["--monthly-cost", "viel"], 2, "viel"),
        (&["--location", ""], 1, "the location must be one line"),
        (&["--org", "kita-sonne", "--shared"], 2, "cannot be used with"),
    ] {
        edited(bad).expect(code).saying(words);
    }
    assert_eq!(before[..3], inventory(world)[..3]);
    edited(&["--shared"]).expect(0);
    edited(&[
        "--org",
        "kita-sonne",
        "--unset",
        "timezone",
        "--clear",
        "location",
    ])
    .expect(0);
    let host = world.run(&["host", "show", "web1", "--json"]).expect(0).json()["host"].clone();
    assert_eq!(host["organisation"], "kita-sonne");
    assert_eq!(host["location"], Value::Null);
    assert_eq!(host["settings"]["log_days"], "14");
    assert_eq!(host["settings"]["timezone"], Value::Null);
    edited(&["--unset", "log_days"]).expect(0);
}

const ADD: [&str; 9] = [
    "service",
    "add",
    "wiki",
    "--org",
    "kita-sonne",
    "--host",
    "web1",
    "--template",
    "dokuwiki",
];

fn nothing_is_kept_of_a_service_that_is_refused(world: &World) {
    let before = inventory(world);
    let add = |more: &[&str]| world.run(&[&ADD[..], more].concat()).expect(1);
    for domain in [
        "wiki.test; rm -rf /",
        "$(reboot).test",
        "`id`.test",
        "wiki.test' OR '1'='1",
        "wiki.test\"\n[[resources]]\nkind = \"command\"",
        "wiki.test; return 200 'x'; }",
        "{{ service.name }}.test",
        "{% for a in b %}.test",
        "../../etc/passwd",
        "wiki.test/../..",
        "wiki test",
        "WIKI.test",
        "wiki",
        "",
    ] {
        add(&["--set", &format!("domain={domain}")])
            .saying("expected a domain in lower case like cloud.example.org");
    }
    add(&[])
        .saying("domain is missing")
        .saying("--set domain=wiki.example.org");
    add(&["--set", "domain=wiki.test", "--set", "domian=wiki.test"]).saying("no parameter \"domian\"");
    // All that is wrong is told at once.
    add(&[
        "--set",
        "domain=wiki.test",
        "--set",
        "php_workers=1000",
        "--set",
        "tls=maybe",
    ])
    .saying("2 values are wrong")
    .saying("from 2 to 100")
    .saying("one of internal, acme, files");
    add(&["--set", "domain=wiki.test", "--set", "tls=files"]).saying("certificate_file and key_file");
    world
        .run(&[&ADD[..8], &["base"]].concat())
        .expect(1)
        .saying("allmende host edit web1 --set");
    assert_eq!(before[..3], inventory(world)[..3]);
}

fn a_secret_on_the_command_line_is_refused_and_forgotten(world: &World) {
    const SECRET: &str = "Freitags-um-drei-Kuchen";
    let set = format!("admin_password={SECRET}");
    // The parameter may be mistyped as well: it is a secret all the same.
    let mistyped = format!("admin_pasword={SECRET}");
    for (set, words) in [
        (&set, "--secret-file admin_password=FILE"),
        (&mistyped, "no parameter"),
    ] {
        let add = [&ADD[..], &["--set", "domain=wiki.test", "--set", set]].concat();
        world.run(&add).expect(1).saying(words).not_saying(SECRET);
    }
    world
        .run(&[&ADD[..], &["--set", "domain=wiki.test"]].concat())
        .expect(0);
    for set in [&set, &mistyped] {
        world
            .run(&["service", "edit", "wiki", "--set", set])
            .expect(1)
            .not_saying(SECRET);
        world
            .run(&["host", "edit", "web1", "--set", set])
            .expect(1)
            .not_saying(SECRET);
    }
    assert_eq!(world.files_with(SECRET), Vec::<std::path::PathBuf>::new());
    // What was asked for is there, so that the search proves something.
    assert!(!world.files_with("admin_pasword").is_empty());
    world
        .run(&["service", "remove", "wiki", "--yes"])
        .expect(0)
        .saying("nothing of it was ever brought onto web1");
}

fn a_secret_from_a_file_is_taken(world: &World) {
    const SECRET: &str = "Dienstags-um-vier-Musik";
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("password");
    let given = format!("admin_password={}", path.display());
    let add = [&ADD[..], &["--set", "domain=wiki.test", "--secret-file", &given]].concat();
    world.run(&add).expect(1).saying("No such file");
    std::fs::write(&path, "kurz\n").expect("writes a file");
    world
        .run(&add)
        .expect(1)
        .saying("at least 12 characters")
        .not_saying("kurz");
    std::fs::write(&path, format!("{SECRET}\nand another line\n")).expect("writes a file");
    world.run(&add).expect(0).not_saying(SECRET);
    let shown = |name: &str| world.run(&["service", "secret", "wiki", name]);
    assert_eq!(shown("admin_password").expect(0).stdout, format!("{SECRET}\n"));
    shown("database_password")
        .expect(1)
        .saying("it has admin_password");
    world
        .run(&["audit", "list"])
        .expect(0)
        .saying("was shown")
        .not_saying(SECRET);
    assert!(world.files_with(SECRET).is_empty());
    std::fs::write(&path, "Montags-um-acht-Turnen").expect("writes a file");
    world
        .run(&["service", "edit", "wiki", "--secret-file", &given])
        .expect(0)
        .saying("admin_password: a new value")
        .not_saying("Turnen");
    assert_eq!(
        shown("admin_password").expect(0).stdout,
        "Montags-um-acht-Turnen\n"
    );
    let title = format!("title={}", path.display());
    world
        .run(&["service", "edit", "wiki", "--secret-file", &title])
        .expect(1)
        .saying("no secret \"title\"")
        .not_saying("Turnen");
}

fn a_dry_run_changes_nothing(world: &World) {
    world
        .run(&[
            "org",
            "add",
            "verein",
            "--name",
            "Verein",
            "--sector",
            "association",
        ])
        .expect(0);
    let before = inventory(world);
    for command in [
        &["org", "add", "wg", "--name", "WG", "--sector", "flat-share"][..],
        &["org", "edit", "verein", "--name", "Anderer Verein"],
        &["org", "remove", "verein"],
        &[
            "host",
            "edit",
            "web1",
            "--location",
            "Dach",
            "--set",
            "log_days=3",
        ],
        &["host", "add", "web2", "--org", "verein", "--address", "192.0.2.1"],
        &[
            "service",
            "add",
            "wiki2",
            "--org",
            "kita-sonne",
            "--host",
            "web1",
            "--template",
            "dokuwiki",
            "--set",
            "domain=wiki2.test",
        ],
        &["service", "edit", "wiki", "--set", "title=Anders"],
        &["service", "remove", "wiki"],
        &["apply", "--all"],
    ] {
        let said = world.run(&[command, &["--dry-run"]].concat()).expect(0).said();
        assert!(!said.trim().is_empty(), "{command:?} says nothing");
    }
    // What would be refused is refused now.
    for (command, words) in [
        (
            &["org", "add", "verein", "--name", "x", "--sector", "other"][..],
            "already an organisation",
        ),
        (&["org", "remove", "kita-sonne"], "kita-sonne still has"),
        (&["host", "remove", "web1"], "web1 still carries kita-sonne/wiki"),
        (
            &["host", "add", "web1", "--org", "verein", "--address", "192.0.2.1"],
            "there is a host web1 already",
        ),
        (
            &["host", "add", "web2", "--org", "nobody", "--address", "192.0.2.1"],
            "no organisation \"nobody\"",
        ),
        (
            &[
                "service",
                "add",
                "wiki",
                "--org",
                "kita-sonne",
                "--host",
                "web1",
                "--template",
                "dokuwiki",
                "--set",
                "domain=wiki.test",
            ],
            "already a service",
        ),
        (
            &["service", "edit", "wiki", "--set", "tls=maybe"],
            "one of internal, acme, files",
        ),
    ] {
        world
            .run(&[command, &["--dry-run"]].concat())
            .expect(1)
            .saying(words);
    }
    assert_eq!(before, inventory(world));
}

fn what_is_still_needed_is_not_removed(world: &World) {
    world
        .run(&["org", "remove", "kita-sonne", "--yes"])
        .expect(1)
        .saying("host web1")
        .saying("service kita-sonne/wiki");
    world
        .run(&["host", "remove", "web1", "--yes"])
        .expect(1)
        .saying("kita-sonne/wiki");
    world
        .run(&["service", "remove", "wiki"])
        .expect(1)
        .saying("would be forgotten")
        .saying("Add --yes if you are sure");
    world
        .run(&["service", "show", "wiki"])
        .expect(0)
        .saying("wiki.test");
    world.run(&["service", "remove", "wiki", "--yes"]).expect(0);
    world.run(&["service", "secret", "wiki"]).expect(1);
}
