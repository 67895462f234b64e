//! Templates with mistakes are found by the linter, and refused before anything is changed.

use allmende_tests::{Finished, World};
use tempfile::TempDir;

use crate::stage::{HOST, Stage, one_error, write};

/// A template without mistakes.
const GOOD: &str = r#"
format = 1
name = "motto"
title = { de = "Leitspruch", en = "Motto" }
summary = { de = "Schreibt einen Satz.", en = "Writes a sentence." }
no_backup = { de = "Der Satz steht in der Vorlage.", en = "The sentence stands in the template." }

[params.words]
type = "text"
default = "together"
help = { de = "Der Satz", en = "The sentence" }

[vars]
sentence = "{{ words }}!"

[[resources]]
kind = "file"
path = "/srv/motto"
content = "{{ sentence }}\n"
"#;

/// What is wrong, how the good template becomes wrong, and what has to be said about it.
const MISTAKES: [(&str, &str, &str, &[&str]); 6] = [
    (
        "variables in a circle",
        r#"sentence = "{{ words }}!""#,
        "sentence = \"{{ words }} {{ again }}\"\nagain = \"{{ sentence }}\"",
        &["template motto", "vars", "a circle", "again → sentence"],
    ),
    (
        "an unknown field",
        r#"path = "/srv/motto""#,
        "path = \"/srv/motto\"\nmoed = \"0600\"",
        &["template motto", "resources, number 1", "`moed`", "`mode`"],
    ),
    (
        "an undefined variable",
        "{{ sentence }}\\n",
        "{{ sentense }}\\n",
        &["template motto", "content", "undefined variable sentense"],
    ),
    (
        "a required template that is not there",
        "title =",
        "requires = [\"nowhere\"]\ntitle =",
        &["template motto", "requires", "\"nowhere\"", "there are: base"],
    ),
    (
        "a template that requires itself",
        "title =",
        "requires = [\"motto\"]\ntitle =",
        &["template motto", "requires", "circle: motto → motto"],
    ),
    (
        "no TOML",
        "[[resources]]",
        "[[resources",
        &["template motto", "service.toml", "unclosed"],
    ),
];

fn mistaken(from: &str, to: &str) -> String {
    let text = GOOD.replacen(from, to, 1);
    assert_ne!(text, GOOD, "the mistake {to:?} was not made");
    text
}

#[test]
fn the_linter_finds_every_mistake_in_a_folder_and_in_the_catalogue() {
    let world = World::new();
    let templates = TempDir::new().expect("a folder");
    let folder = templates.path().join("motto");
    std::fs::create_dir(&folder).expect("made");
    let manifest = folder.join("service.toml");
    let folder = folder.display().to_string();
    let all = templates.path().display().to_string();

    write(&manifest, GOOD);
    world
        .run(&["template", "lint", &folder])
        .expect(0)
        .saying("no mistakes");
    world.run(&["--templates", &all, "template", "lint"]).expect(0);
    for (what, from, to, words) in MISTAKES {
        write(&manifest, mistaken(from, to));
        let lint = world.run(&["template", "lint", &folder]);
        assert_eq!(lint.code, Some(3), "{what}: {}", lint.said());
        says_all(&lint, what, words);
        let findings = world
            .run(&["template", "lint", "--json", &folder])
            .expect(3)
            .json();
        assert_ne!(findings.as_array().map(Vec::len), Some(0), "{what}: {findings}");

        let lint = world.run(&["--templates", &all, "template", "lint"]).expect(3);
        says_all(&lint, what, words);
    }
}

#[test]
fn a_template_that_cannot_be_read_stops_only_who_needs_it() {
    let stage = Stage::new();
    let folder = stage.template("motto", GOOD);
    stage.service("motto", "motto", &[]);
    write(&folder.join("service.toml"), "format = 1\nname = 2\n");
    let warning = "Warning: the template motto cannot be used";
    for command in [
        &["host", "list"][..],
        &["organisation", "list"],
        &["service", "list"],
        &["template", "lint", "--json"],
        &["status", "--json"],
    ] {
        let said = stage.run(command);
        assert_ne!(said.code, Some(1), "{command:?}: {}", said.said());
        if command[0] != "template" {
            assert!(said.stderr.contains(warning), "{command:?}: {}", said.said());
        }
    }
    stage.run(&["plan", "motto"]).expect(1).saying("service.toml");
}

#[test]
fn a_template_that_was_spoilt_stops_plan_and_apply_before_anything_is_changed() {
    let stage = Stage::new();
    let folder = stage.template("motto", GOOD);
    stage.service("motto", "motto", &[]);
    for (what, from, to, words) in MISTAKES {
        write(&folder.join("service.toml"), mistaken(from, to));
        for arguments in [
            &["plan", "motto"][..],
            &["apply", "motto", "--yes"],
            &[
                "service",
                "add",
                "other",
                "--org",
                "kita-sonne",
                "--host",
                HOST,
                "--template",
                "motto",
            ],
        ] {
            let refused = stage.run(arguments);
            one_error(&refused, words);
            says_all(&refused, what, words);
        }
        assert_eq!(
            stage.on_host("ls /srv /var/lib/allmende-agent 2>/dev/null || true"),
            "/srv:",
            "{what}"
        );
    }
    write(&folder.join("service.toml"), GOOD);
    stage.run(&["apply", "motto", "--yes"]).expect(0);
    assert_eq!(stage.on_host("cat /srv/motto"), "together!");
    stage.run(&["plan", "motto"]).expect(0);
}

#[track_caller]
fn says_all(finished: &Finished, what: &str, words: &[&str]) {
    for word in words {
        assert!(
            finished.said().contains(word),
            "{what}: {word:?} is missing in:\n{}",
            finished.said()
        );
    }
}
