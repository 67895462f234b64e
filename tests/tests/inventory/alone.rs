//! What the program keeps and refuses where no host is needed.

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
    let world = World::in_a_file();
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
