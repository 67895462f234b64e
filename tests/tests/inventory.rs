//! Organisations, hosts and services in the inventory: what is kept, what is refused, and what must never be kept.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use allmende_tests::{Finished, World};
use serde_json::Value;

#[test]
fn an_organisation_is_added_edited_and_removed() {
    let world = World::new();
    let title = "KiTa Sonne e.V.";
    let mut add = vec!["org", "add", "kita-sonne", "--name", title, "--sector", "kita"];
    let call = "Anna Muster, Leitung, 0431 123456, anna@kita-sonne.test";
    add.extend(["--place", "Kiel", "--contact", call]);
    world
        .run(&add)
        .expect(0)
        .saying("Added KiTa Sonne e.V. (kita-sonne).");
    world
        .run(&add)
        .expect(1)
        .saying("there is already an organisation kita-sonne");
    world
        .run(&["organisation", "show", "kita-sonne"])
        .expect(0)
        .saying(title)
        .saying("Kiel")
        .saying(call);
    world
        .run(&["org", "list"])
        .expect(0)
        .saying("kita-sonne")
        .saying("Kiel");

    let edit = ["org", "edit", "kita-sonne"];
    let edited = |more: &[&str]| world.run(&[&edit[..], more].concat());
    edited(&["--name", "KiTa Sonne und Mond e.V.", "--clear", "contacts"])
        .expect(0)
        .saying("Changed kita-sonne.");
    edited(&["--place", "Kiel"]).expect(0).saying("stays as it is");
    let shown = world
        .run(&["org", "show", "kita-sonne", "--json"])
        .expect(0)
        .json();
    assert_eq!(shown["organisation"]["title"], "KiTa Sonne und Mond e.V.");
    assert_eq!(shown["organisation"]["contacts"], Value::Array(Vec::new()));
    for (bad, code, words) in [
        (&["--name", " "][..], 1, "the title must be one line"),
        (&["--place", "Kiel\nLübeck"], 1, "the place must be one line"),
        (
            &["--contact", "Anna"],
            2,
            "at least the name and one way to reach them",
        ),
        (&["--sector", "kindergarten"], 2, "possible values: kita"),
    ] {
        edited(bad).expect(code).saying(words);
    }

    world
        .run(&["org", "remove", "kita-sonne"])
        .expect(1)
        .saying("Add --yes if you are sure");
    world.run(&["org", "remove", "kita-sonne", "--yes"]).expect(0);
    world
        .run(&["org", "show", "kita-sonne"])
        .expect(1)
        .saying("there is none yet");
}

#[test]
fn what_cannot_be_a_name_is_refused_with_one_that_can() {
    let world = World::new();
    for (text, suggestion) in [
        ("KiTa Sonne", "kita-sonne"),
        ("Müßiggang e.V.", "muessiggang-e-v"),
        ("a;rm -rf /", "a-rm-rf"),
        ("../../etc", "etc"),
        ("kita_sonne", "kita-sonne"),
    ] {
        world
            .run(&["org", "add", text, "--name", "x", "--sector", "other"])
            .expect(2)
            .saying(&format!("for example \"{suggestion}\""));
        // What is suggested is taken.
        let taken = [
            "org",
            "add",
            suggestion,
            "--name",
            "x",
            "--sector",
            "other",
            "--dry-run",
        ];
        world.run(&taken).expect(0);
    }
    assert_eq!(
        world.run(&["org", "list", "--json"]).expect(0).json(),
        Value::Array(Vec::new())
    );
}

#[test]
fn wrong_usage_ends_with_code_2() {
    let world = World::new();
    for wrong in [
        &["frobnicate"][..],
        &["org"],
        &["org", "add"],
        &["org", "show"],
        &["org", "list", "--frobnicate"],
        &["host", "add", "web1", "--address", "192.0.2.1"],
        &[
            "host",
            "add",
            "web1",
            "--org",
            "x",
            "--shared",
            "--address",
            "192.0.2.1",
        ],
        &[
            "host",
            "add",
            "web1",
            "--shared",
            "--address",
            "192.0.2.1",
            "--port",
            "70000",
        ],
        &[
            "service",
            "add",
            "x",
            "--org",
            "a",
            "--host",
            "b",
            "--template",
            "c",
            "--set",
            "domain",
        ],
        &["service", "show", "a/b/c"],
        &["plan"],
        &["apply"],
        &["job", "show", "eins"],
        &["lab", "up", "--release", "7"],
    ] {
        world.run(wrong).expect(2).saying("--help");
    }
    let nothing = world.run(&[]);
    assert_eq!(nothing.code, Some(2));
    nothing.saying("Usage: allmende");
    for help in [&["--help"][..], &["host", "add", "--help"], &["--version"]] {
        world.run(help).expect(0).saying("allmende");
    }
}

#[test]
fn init_twice_keeps_the_key_and_everything_else() {
    let world = World::new();
    world
        .run(&["org", "add", "wg", "--name", "WG", "--sector", "flat-share"])
        .expect(0);
    let key = std::fs::read(world.data_dir().join("vault.key")).expect("a key");
    world.run(&["init"]).expect(0).saying("nothing was changed");
    assert_eq!(
        std::fs::read(world.data_dir().join("vault.key")).expect("a key"),
        key
    );
    world.run(&["org", "show", "wg"]).expect(0);

    // A database without its key is not given another one, which would open nothing.
    let kept = world.data_dir().join("kept");
    std::fs::rename(world.data_dir().join("vault.key"), &kept).expect("moves the key away");
    world.run(&["init"]).expect(1).saying("vault.key");
    assert!(!world.data_dir().join("vault.key").exists());
    std::fs::rename(&kept, world.data_dir().join("vault.key")).expect("puts the key back");
    world.run(&["org", "show", "wg"]).expect(0);
}

#[test]
fn without_init_every_command_says_how_to_begin() {
    let world = World::new();
    let empty = world.data_dir().join("empty");
    std::fs::create_dir(&empty).expect("a folder");
    let empty = empty.display().to_string();
    for command in [&["status"][..], &["org", "list"], &["plan", "--all"]] {
        world
            .run(&[&["--data-dir", &empty], command].concat())
            .expect(1)
            .saying("allmende init");
    }
}

#[test]
fn a_key_that_others_may_read_is_refused_with_the_command_that_mends_it() {
    let world = World::new();
    let key = world.data_dir().join("vault.key");
    for mode in [0o644, 0o640, 0o604] {
        std::fs::set_permissions(&key, Permissions::from_mode(mode)).expect("chmod");
        world
            .run(&["status"])
            .expect(1)
            .saying(&format!("chmod 600 {}", key.display()));
    }
    Finished::of(Command::new("chmod").arg("600").arg(&key)).expect(0);
    world.run(&["status"]).expect(0);
}

#[test]
fn an_audit_log_that_was_tampered_with_is_found_out() {
    let world = World::new();
    for name in ["eins", "zwei", "drei"] {
        world
            .run(&["org", "add", name, "--name", name, "--sector", "other"])
            .expect(0);
    }
    world
        .run(&["audit", "verify"])
        .expect(0)
        .saying("none was changed");
    let database = world.data_dir().join("allmende.db");
    let sql = |text: &str| Finished::of(Command::new("sqlite3").arg(&database).arg(text));
    sql("UPDATE audit SET actor = 'nobody' WHERE sequence = 2").saying("append-only");
    sql("DELETE FROM audit WHERE sequence = 2").saying("append-only");
    world.run(&["audit", "verify"]).expect(0);

    let copy = std::fs::read(&database).expect("reads the database");
    for (tampering, words) in [
        ("UPDATE audit SET message = replace(message, 'zwei', 'zwai')", "3"),
        ("UPDATE audit SET at = at + 1 WHERE sequence = 1", "1"),
        ("DELETE FROM audit WHERE sequence = 3", "3"),
        ("DELETE FROM audit WHERE sequence = 6", "end"),
        ("DELETE FROM audit; DELETE FROM audit_head", ""),
    ] {
        let drop = "DROP TRIGGER audit_is_not_changed; DROP TRIGGER audit_is_not_shortened;";
        sql(&format!("{drop} {tampering};")).expect(0);
        world.run(&["audit", "verify"]).expect(3).saying(words);
        let verdict = world.run(&["audit", "verify", "--json"]).expect(3).json();
        assert_ne!(verdict["verdict"], "intact", "{tampering}");
        sql("PRAGMA wal_checkpoint(TRUNCATE)").expect(0);
        std::fs::write(&database, &copy).expect("puts the database back");
    }
    world.run(&["audit", "verify"]).expect(0);
}

#[test]
fn a_reader_that_goes_away_does_not_disturb_the_program() {
    let world = World::new();
    let program = allmende_tests::program();
    for command in [
        "template show nextcloud",
        "template list --json",
        "completions bash",
    ] {
        let line = format!("{} {command} | true", program.display());
        let ended = Finished::of(
            Command::new("bash")
                .args(["-c", &line])
                .env("ALLMENDE_DATA_DIR", world.data_dir()),
        );
        assert_eq!(ended.stderr, "", "{line}");
    }
    // A job goes on to its end although nobody hears of it.
    let line = format!(
        "{} org add wg --name WG --sector flat-share > /dev/null 2> >(true)",
        program.display()
    );
    Finished::of(
        Command::new("bash")
            .args(["-c", &line])
            .env("ALLMENDE_DATA_DIR", world.data_dir()),
    )
    .expect(0);
}

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
    let (world, hosts) = World::with_hosts(1, "13");
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
        .saying("its programs and data stay on web1");
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
