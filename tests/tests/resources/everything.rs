//! A template with every kind of resource, from the first apply to small differences.

use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::{Finished, HostAccess, World};
use tempfile::TempDir;

use crate::archives::{pack, sha256};
use crate::drifts::{DRIFTS, repaired};
use crate::is_one_error;

/// Templates that only tests use.
fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}
/// The service's name on its host.
const INSTANCE: &str = "kita-sonne_all";

pub fn everything(release: &str) {
    let (world, hosts) = World::with_hosts(1, release);
    let host = &hosts[0];
    world.use_templates(&[&templates()]);
    world.run(&["template", "lint"]).expect(0);
    world.care_for("web1", host);
    let folder = TempDir::new().expect("a folder");
    let gzipped = pack(folder.path(), "everything.tar.gz", &[]);
    let bzipped = pack(
        folder.path(),
        "everything.tar.bz2",
        &["--transform", "s,^tree/,,"],
    );
    let mut add: Vec<String> = ["service", "add", "all", "--org", "kita-sonne", "--host", "web1"]
        .map(str::to_owned)
        .into();
    add.extend(["--template", "everything", "--set", "domain=all.kita-sonne.test"].map(str::to_owned));
    for (name, value) in [
        ("gzipped", gzipped.display().to_string()),
        ("gzipped_sha256", sha256(&gzipped)),
        ("bzipped", bzipped.display().to_string()),
    ] {
        add.extend(["--set".to_owned(), format!("{name}={value}")]);
    }
    let add: Vec<&str> = add.iter().map(String::as_str).collect();
    world.run(&add).expect(0);
    // What somebody else left there.
    host.run("touch /etc/everything.old; printf 'a = b\\n#port = 80\\nc = d\\n' > /etc/everything.lines")
        .expect(0);

    world
        .run(&["plan", "all"])
        .expect(3)
        .saying("- absent /etc/everything.old");
    world.run(&["apply", "all", "--yes"]).expect(0);
    all_is_as_it_was_asked_for(&world, host);
    world.run(&["plan", "all"]).expect(0);
    world
        .run(&["apply", "all", "--yes"])
        .expect(0)
        .saying("nothing to change");
    host.run("test $(wc -l < /etc/everything.told) = 1").expect(0);
    let wrong: Vec<String> = DRIFTS
        .iter()
        .filter_map(|drift| repaired(&world, host, drift).err())
        .collect();
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n\n")
    );
    all_is_as_it_was_asked_for(&world, host);
    a_database_that_is_down_is_named(&world, host);
    other_wishes_are_small_differences(&world, host, folder.path());
    world
        .run(&["apply", "all", "--yes"])
        .expect(0)
        .saying("nothing to change");
}

fn all_is_as_it_was_asked_for(world: &World, host: &HostAccess) {
    let is = |command: &str, expected: &str| {
        let said = host.run(command).expect(0).stdout;
        assert_eq!(said.trim(), expected, "{command}");
    };
    is(
        "dpkg-query -W -f '${db:Status-Abbrev}' tree bc jq postgresql mariadb-server",
        "ii ii ii ii ii",
    );
    is("getent group everything-team", "everything-team:x:4711:");
    is(
        "getent passwd everything-anna",
        "everything-anna:x:4712:4711::/srv/everything/anna:/bin/bash",
    );
    is("id -nG everything-anna", "everything-team adm everything-readers");
    is("stat -c %U /srv/everything/anna", "everything-anna");
    is(
        "getent passwd kita-sonne_all | cut -d: -f6,7",
        "/nonexistent:/usr/sbin/nologin",
    );
    is(
        "cd /etc/everything && stat -c '%n %U:%G %a' * /srv/everything/shared",
        "content everything-anna:everything-team 664\n\
         link root:root 777\n\
         one root:root 644\n\
         source root:root 644\n\
         template root:everything-team 640\n\
         tls.crt root:root 644\n\
         tls.key everything-anna:everything-team 640\n\
         two root:root 644\n\
         /srv/everything/shared everything-anna:everything-team 2770",
    );
    is("cat /etc/everything/content", "greeting = Moin, KiTa Sonne e.V.");
    is("cat /etc/everything/link", "Not rendered: {{ service.instance }}");
    is(
        "cat /etc/everything.lines | sort",
        "# looked after by Allmende\na = b\nc = d\nport = 8080",
    );
    host.run("test ! -e /etc/everything.old").expect(0);
    // Set-user-id bits are dropped; links inside stay.
    let tree = "everything-anna:everything-team 755 program\neverything-anna:everything-team 644 page";
    is(
        "cd /srv/everything/gzipped && stat -c '%U:%G %a %n' bin/program page | sed s,bin/,,",
        tree,
    );
    is("cat /srv/everything/gzipped/link", "#!/bin/sh");
    is("cat /srv/everything/bzipped/page", "a page");
    is(
        "systemctl is-enabled everything.service everything.timer | xargs",
        "enabled disabled",
    );
    is(
        "systemctl is-active everything.service everything.timer | xargs",
        "active inactive",
    );
    is(
        "systemctl show -p NeedDaemonReload everything.service",
        "NeedDaemonReload=no",
    );
    let sql = "SELECT pg_get_userbyid(datdba), pg_encoding_to_char(encoding) FROM pg_database WHERE datname";
    is(
        &format!("runuser -u postgres -- psql -Atc \"{sql} = '{INSTANCE}'\""),
        &format!("{INSTANCE}|UTF8"),
    );
    is(&format!("runuser -u {INSTANCE} -- psql -Atc 'SELECT 1'"), "1");
    let strangers = format!(
        "runuser -u postgres -- psql -Atc \"SELECT has_database_privilege('public', '{INSTANCE}', 'CONNECT')\""
    );
    is(&strangers, "f");
    host.run("nft list set inet allmende open_tcp")
        .expect(0)
        .saying("8080, 8443");
    host.run("nft list set inet allmende open_udp")
        .expect(0)
        .saying("5353");
    host.run("nft list chain inet allmende input")
        .expect(0)
        .saying("policy drop");
    host.run("openssl x509 -in /etc/everything/tls.crt -noout -ext subjectAltName")
        .expect(0)
        .saying("DNS:all.kita-sonne.test, DNS:www.all.kita-sonne.test");
    is(
        "cat /srv/everything/shared/made",
        "Moin, KiTa Sonne e.V. in /srv/everything/shared as everything-anna, 32 letters",
    );
    host.run("cmp /etc/everything/source /srv/everything/shared/copy")
        .expect(0);

    // The secret is in the file that asks for it, and in nothing that is told about it.
    let word = world.run(&["service", "secret", "all", "word"]).expect(0).stdout;
    let word = word.trim();
    host.run("cat /etc/everything/template")
        .expect(0)
        .saying(&format!("The word is {word}."))
        .saying("Only what is rendered: kita-sonne_all on web1");
    let jobs = world.run(&["job", "list", "--json"]).expect(0).json();
    let told: String = jobs
        .as_array()
        .into_iter()
        .flatten()
        .map(|job| {
            world
                .run(&["job", "show", &job["id"].to_string(), "--json"])
                .expect(0)
                .stdout
        })
        .collect();
    assert!(told.contains("the word is •••") && !told.contains(word));
    assert!(world.files_with(word).is_empty());
}
fn a_database_that_is_down_is_named(world: &World, host: &HostAccess) {
    host.run("systemctl stop postgresql@*").expect(0);
    world
        .run(&["plan", "all"])
        .expect(3)
        .saying("unknown, because PostgreSQL does not answer");
    let apply = world.run(&["apply", "all", "--yes"]);
    assert!(
        is_one_error(&apply, "postgres_role kita-sonne_all"),
        "{}",
        apply.said()
    );
    host.run("systemctl restart postgresql").expect(0);
    world.run(&["plan", "all"]).expect(0);
}

/// Parameters that change, an archive that changes, and an old host key file that stays.
fn other_wishes_are_small_differences(world: &World, host: &HostAccess, folder: &Path) {
    std::fs::write(folder.join("tree/page"), "another page\n").expect("writes a page");
    let mut tar = Command::new("tar");
    let newer = folder.join("newer.tar.gz");
    tar.arg("--directory").arg(folder);
    Finished::of(tar.args(["--create", "--gzip", "--file"]).arg(&newer).arg("tree")).expect(0);
    let set = [
        format!("gzipped={}", newer.display()),
        format!("gzipped_sha256={}", sha256(&newer)),
        "greeting=Guten Tag".to_owned(),
    ];
    let edit = [
        "service", "edit", "all", "--set", &set[0], "--set", &set[1], "--set", &set[2],
    ];
    world.run(&edit).expect(0);
    world
        .run(&["plan", "all"])
        .expect(3)
        .saying("-greeting = Moin, KiTa Sonne e.V.")
        .saying("+greeting = Guten Tag")
        .saying("~ archive /srv/everything/gzipped")
        .saying("2 to change.");
    world.run(&["apply", "all", "--yes"]).expect(0);
    host.run("cat /srv/everything/gzipped/page")
        .expect(0)
        .saying("another page");
    // What a validator refuses does not take its place.
    world
        .run(&["service", "edit", "all", "--set", "greeting=Halt!"])
        .expect(0);
    let apply = world
        .run(&["apply", "all", "--yes"])
        .expect(1)
        .saying("/etc/everything/content");
    assert_eq!(apply.stderr.matches("Error:").count(), 1, "{}", apply.stderr);
    host.run("cat /etc/everything/content")
        .expect(0)
        .saying("Guten Tag");
    world
        .run(&["service", "edit", "all", "--unset", "greeting"])
        .expect(0);
    world.run(&["apply", "all", "--yes"]).expect(0);
}
