//! What cannot be done is refused in one error, and the mended template ends well.

use allmende_tests::World;
use tempfile::TempDir;

use crate::archives::archives;
use crate::is_one_error;
use crate::refusals::{BAD, Refused};

const HEAD: &str = r#"
format = 1
name = "bad"
title = { de = "Schlecht", en = "Bad" }
summary = { de = "Geht nicht.", en = "Does not work." }

[params.word]
type = "secret"
help = { de = "Ein Geheimnis", en = "A secret" }

[[resources]]
kind = "directory"
path = "/srv/first"
mode = "0700"
"#;

pub fn all_are_refused() {
    let (world, hosts) = World::with_hosts(1, "13");
    let host = &hosts[0];
    let folder = TempDir::new().expect("a folder");
    world.use_templates(&[&folder.path().join("templates")]);
    let template = folder.path().join("templates/bad");
    std::fs::create_dir_all(template.join("files")).expect("makes a template");
    let write = |resources: &str| {
        std::fs::write(template.join("service.toml"), format!("{HEAD}{resources}"))
            .expect("writes a template");
    };
    write("");
    world.care_for("web1", host);
    world
        .run(&[
            "service",
            "add",
            "bad",
            "--org",
            "kita-sonne",
            "--host",
            "web1",
            "--template",
            "bad",
        ])
        .expect(0);

    let archives = archives(folder.path());
    let mut wrong = Vec::new();
    for bad in BAD {
        host.run("rm -rf /srv/first").expect(0);
        let mut resource = bad.resource.to_owned();
        for (name, path) in &archives {
            resource = resource.replace(&format!("@{name}@"), &path.display().to_string());
        }
        write(&format!("\n[[resources]]\n{resource}\n"));
        let mut claim = |holds: bool, what: &str, said: &str| {
            if !holds {
                wrong.push(format!("{resource}\n--- {what}:\n{said}"));
            }
        };
        let at_once = bad.refused == Refused::AtOnce;
        let plan = world.run(&["plan", "bad"]);
        let as_expected = if at_once {
            is_one_error(&plan, bad.words)
        } else {
            matches!(plan.code, Some(1 | 3))
        };
        claim(as_expected, "the plan does not say so", &plan.said());
        let apply = world.run(&["apply", "bad", "--yes"]);
        let as_expected = is_one_error(&apply, bad.words);
        claim(
            as_expected,
            &format!("the apply does not say {:?}", bad.words),
            &apply.said(),
        );
        let untouched = host.run("test -d /srv/first").code != Some(0);
        claim(
            untouched == at_once,
            "it was not refused when it should be",
            &apply.said(),
        );
        let unharmed = host.run(bad.unharmed);
        claim(unharmed.code == Some(0), bad.unharmed, &unharmed.said());
        if !at_once {
            write("");
            let mended = world.run(&["apply", "bad", "--yes"]);
            claim(
                mended.code == Some(0),
                "mended, it does not end well",
                &mended.said(),
            );
        }
    }
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    // The same things, as they should have been.
    let good = &archives[0].1.display().to_string();
    write(&format!(
        "\n[[resources]]\nkind = 'package'\nnames = ['bc']\n\
         \n[[resources]]\nkind = 'user'\nname = 'anna'\ngroups = ['adm']\n\
         \n[[resources]]\nkind = 'file'\npath = '/etc/x'\ncontent = ''\nowner = 'anna'\n\
         \n[[resources]]\nkind = 'archive'\npath = '/srv/x'\nsource = '{good}'\nowner = 'anna'\n\
         \n[[resources]]\nkind = 'command'\nargv = ['touch', '/srv/made']\ncreates = '/srv/made'\n"
    ));
    world
        .run(&["apply", "bad", "--yes"])
        .expect(0)
        .saying("5 of 6 resources changed");
    world.run(&["plan", "bad"]).expect(0);
    host.run("grep -q page /srv/x/tree/page && stat -c %U /srv/x/tree/page")
        .expect(0)
        .saying("anna");
    let word = world.run(&["service", "secret", "bad", "word"]).expect(0).stdout;
    assert!(world.files_with(word.trim()).is_empty());
}
