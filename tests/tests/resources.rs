//! Every kind of resource: brought about once, kept, repaired when somebody changed it by hand; and refused when it makes no
//! sense.

use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::{Finished, HostAccess, World};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

#[test]
fn every_resource_is_made_kept_and_repaired_on_debian_12() {
    everything("12");
}

#[test]
fn every_resource_is_made_kept_and_repaired_on_debian_13() {
    everything("13");
}

/// Templates that only tests use.
fn templates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")
}

/// Packs a tree with a page, a program and a link; further arguments are for tar.
fn pack(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let tree = folder.join("tree");
    std::fs::create_dir_all(tree.join("bin")).expect("makes a tree");
    std::fs::write(tree.join("page"), "a page\n").expect("writes a page");
    std::fs::write(tree.join("bin/program"), "#!/bin/sh\n").expect("writes a program");
    if !tree.join("link").is_symlink() {
        std::os::unix::fs::symlink("bin/program", tree.join("link")).expect("makes a link");
    }
    Finished::of(Command::new("chmod").arg("4755").arg(tree.join("bin/program"))).expect(0);
    let archive = folder.join(name);
    let mut tar = Command::new("tar");
    tar.arg("--directory").arg(folder);
    tar.args(["--absolute-names", "--auto-compress", "--create", "--file"]);
    Finished::of(tar.arg(&archive).args(arguments).arg("tree")).expect(0);
    archive
}

fn sha256(path: &Path) -> String {
    let hash = Sha256::digest(std::fs::read(path).expect("reads an archive"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The service's name on its host.
const INSTANCE: &str = "kita-sonne_all";

fn everything(release: &str) {
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
        "dpkg-query -W -f '${db:Status-Abbrev}' tree bc jq postgresql",
        "ii ii ii ii",
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

/// What somebody does to the host by hand, what the plan says about it, and how many resources it is about.
struct Drift {
    by: &'static str,
    plan: &'static [&'static str],
    resources: Option<usize>,
}

const fn drift(by: &'static str, resources: usize, plan: &'static [&'static str]) -> Drift {
    Drift {
        by,
        plan,
        resources: Some(resources),
    }
}

/// A drift that is seen in more resources than it takes to repair it.
const fn wide_drift(by: &'static str, plan: &'static [&'static str]) -> Drift {
    Drift {
        by,
        plan,
        resources: None,
    }
}

const DRIFTS: &[Drift] = &[
    drift("dpkg --remove tree", 1, &["~ package tree, bc", "missing: tree"]),
    drift("dpkg --remove jq", 1, &["+ package jq"]),
    drift(
        "echo tampered >> /etc/everything/content",
        1,
        &[
            "~ file /etc/everything/content",
            "-tampered",
            "afterwards: run sh -c",
        ],
    ),
    drift("chmod 0600 /etc/everything/content", 1, &["mode: 0600 → 0664"]),
    drift(
        "chown root:root /etc/everything/content",
        1,
        &["owner: root → everything-anna", "group: root → everything-team"],
    ),
    drift(
        "rm /etc/everything/template",
        1,
        &["+ file /etc/everything/template"],
    ),
    drift(
        "echo tampered > /etc/everything/template",
        1,
        &[
            "~ file /etc/everything/template",
            "not shown because it holds secrets",
        ],
    ),
    drift(
        "rm /etc/everything/one && ln -s /etc/passwd /etc/everything/one",
        1,
        &["type: a symbolic link to /etc/passwd → a file of its own"],
    ),
    drift("chmod 0777 /srv/everything/shared", 1, &["mode: 2777 → 2770"]),
    drift(
        "chown root:root /srv/everything/shared",
        1,
        &[
            "~ directory /srv/everything/shared",
            "owner: root → everything-anna",
        ],
    ),
    drift(
        "rm -r /srv/everything/shared",
        3,
        &["+ directory /srv/everything/shared", "» command cp"],
    ),
    drift(
        "ln -sfn /etc/shadow /etc/everything/link",
        1,
        &["target: /etc/shadow → ../everything/source"],
    ),
    drift("rm /etc/everything/link", 1, &["+ link /etc/everything/link"]),
    drift("mkdir /etc/everything.old", 1, &["- absent /etc/everything.old"]),
    drift(
        "sed -i 's/^port = 8080/port=1/' /etc/everything.lines",
        1,
        &["line: port=1 → port = 8080"],
    ),
    drift(
        "sed -i '/looked after/d' /etc/everything.lines",
        1,
        &["line: # looked after by Allmende"],
    ),
    drift(
        "usermod --shell /bin/sh everything-anna",
        1,
        &["shell: /bin/sh → /bin/bash"],
    ),
    drift(
        "usermod --home /tmp everything-anna",
        1,
        &["home: /tmp → /srv/everything/anna"],
    ),
    drift(
        "gpasswd --delete everything-anna everything-readers",
        1,
        &["~ user everything-anna", "groups: everything-readers"],
    ),
    drift(
        "groupdel everything-readers",
        2,
        &["+ group everything-readers", "groups: everything-readers"],
    ),
    wide_drift("userdel everything-anna", &["+ user everything-anna", "owner: "]),
    drift(
        "systemctl disable everything.service",
        1,
        &["~ unit everything.service", "enabled: disabled → enabled"],
    ),
    drift(
        "systemctl stop everything.service",
        1,
        &["running: stopped → running"],
    ),
    drift(
        "systemctl enable --now everything.timer",
        1,
        &["enabled: enabled → disabled", "running: running → stopped"],
    ),
    wide_drift(
        "sed -i s/infinity/1000/ /etc/systemd/system/everything.service",
        &[
            "-ExecStart=/bin/sleep 1000",
            "afterwards: restart everything.service",
        ],
    ),
    drift(
        "rm /srv/everything/.gzipped.allmende-archive",
        1,
        &["other entries, which will be kept in /srv/everything/gzipped.before-allmende"],
    ),
    drift("rm /srv/everything/bzipped/page", 1, &["archive: without page"]),
    drift(
        "rm -r /srv/everything/bzipped",
        1,
        &["+ archive /srv/everything/bzipped"],
    ),
    drift(
        "runuser -u postgres -- dropdb kita-sonne_all",
        1,
        &["+ postgres database kita-sonne_all"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'ALTER DATABASE \"kita-sonne_all\" OWNER TO postgres'",
        1,
        &["owner: postgres → kita-sonne_all"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'GRANT CONNECT ON DATABASE \"kita-sonne_all\" TO PUBLIC'",
        1,
        &["access: every role → its owner"],
    ),
    drift(
        "runuser -u postgres -- psql -c 'ALTER ROLE \"kita-sonne_all\" NOLOGIN'",
        1,
        &["login: no → yes"],
    ),
    drift(
        "runuser -u postgres -- sh -c 'dropdb kita-sonne_all && dropuser kita-sonne_all'",
        2,
        &[
            "+ postgres role kita-sonne_all",
            "+ postgres database kita-sonne_all",
        ],
    ),
    drift("nft flush ruleset", 1, &["open: 8080/tcp, 8443/tcp, 5353/udp"]),
    drift(
        "nft 'delete element inet allmende open_tcp { 8443 }'",
        1,
        &["~ firewall kita-sonne_all", "open: 8443/tcp"],
    ),
    drift(
        "rm /etc/nftables.d/kita-sonne_all.nft",
        1,
        &["+ firewall kita-sonne_all"],
    ),
    drift(
        "rm /etc/everything/tls.crt",
        1,
        &[
            "+ file /etc/everything/tls.crt",
            "afterwards: restart everything.service",
        ],
    ),
    drift("chmod 0644 /etc/everything/tls.key", 1, &["mode: 0644 → 0640"]),
    drift(
        "echo another > /etc/everything/tls.key",
        1,
        &["not shown because it holds secrets"],
    ),
    drift("rm /srv/everything/shared/made", 1, &["» command sh -c"]),
    drift("rm /srv/everything/shared/copy", 1, &["» command cp"]),
];

/// Plays a drift, looks whether the plan shows it and the apply repairs it.
fn repaired(world: &World, host: &HostAccess, drift: &Drift) -> Result<(), String> {
    let by = drift.by;
    host.run(by).expect(0);
    let plan = world.run(&["plan", "all"]);
    let apply = world.run(&["apply", "all", "--yes"]);
    let after = world.run(&["plan", "all"]);
    let unsaid = drift.plan.iter().find(|words| !plan.stdout.contains(*words));
    let changed = drift
        .resources
        .map_or("resources changed".to_owned(), |count| format!(": {count} of "));
    match (plan.code, apply.code, after.code) {
        (Some(3), Some(0), Some(0)) => {}
        codes => {
            let said = [plan.said(), apply.said(), after.said()].join("\n");
            return Err(format!("after {by}: {codes:?}\n{said}"));
        }
    }
    if let Some(words) = unsaid {
        return Err(format!(
            "after {by}: the plan does not say {words:?}\n{}",
            plan.said()
        ));
    }
    if !apply.stdout.contains(&changed) {
        return Err(format!("after {by}: it is not {changed:?}\n{}", apply.said()));
    }
    Ok(())
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

/// When a bad resource is refused.
#[derive(PartialEq)]
enum Refused {
    /// Before anything is touched.
    AtOnce,
    /// When its turn comes, for something before it might have mended it.
    InTurn,
}

/// A resource that cannot be brought about.
struct Bad {
    /// The resource, without its `[[resources]]`.
    resource: &'static str,
    refused: Refused,
    /// What the one error says.
    words: &'static str,
    /// A command on the host that ends well when nothing was half changed.
    unharmed: &'static str,
}

const fn at_once(resource: &'static str, words: &'static str) -> Bad {
    Bad {
        resource,
        refused: Refused::AtOnce,
        words,
        unharmed: "true",
    }
}

const fn in_turn(resource: &'static str, words: &'static str, unharmed: &'static str) -> Bad {
    Bad {
        resource,
        refused: Refused::InTurn,
        words,
        unharmed,
    }
}

const BAD: &[Bad] = &[
    at_once(
        "kind = 'file'\npath = 'etc/x'\ncontent = ''",
        "\"etc/x\" is no path",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/../x'\ncontent = ''",
        "\"/etc/../x\" is no path",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nmode = '0999'",
        "\"0999\" is no mode",
    ),
    at_once("kind = 'file'\npath = '/etc/x'\ncontent = ''\nmode = 644", "mode"),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nownr = 'root'",
        "ownr",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nsource = 'x'",
        "source",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ntemplate = 'nowhere'",
        "files/nowhere",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = '{{ nothing }}'",
        "nothing",
    ),
    at_once(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nnotify = ['nobody']",
        "nobody",
    ),
    at_once("kind = 'folder'\npath = '/etc/x'", "folder"),
    in_turn(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        "test ! -e /etc/x",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/x'\ncontent = ''\ngroup = 'nobody-knows'",
        "the group nobody-knows does not exist",
        "test ! -e /etc/x",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/ssh/sshd_config'\ncontent = 'nonsense'\nvalidate = ['sshd', '-t', '-f', '{}']",
        "/etc/ssh/sshd_config",
        "sshd -t && ! grep -q nonsense /etc/ssh/sshd_config && test -z \"$(ls -A /etc/ssh | grep -i allmende)\"",
    ),
    in_turn(
        "kind = 'file'\npath = '/etc/ssh'\ncontent = ''",
        "/etc/ssh is a directory, not a file",
        "test -d /etc/ssh",
    ),
    at_once(
        "kind = 'directory'\npath = '/srv/x'\nmode = 'rwx'",
        "\"rwx\" is no mode",
    ),
    in_turn(
        "kind = 'directory'\npath = '/etc/passwd'",
        "/etc/passwd is a file, not a directory",
        "test -s /etc/passwd",
    ),
    in_turn(
        "kind = 'directory'\npath = '/srv/x'\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        "test ! -e /srv/x",
    ),
    at_once("kind = 'link'\npath = 'x'\ntarget = '/etc'", "\"x\" is no path"),
    at_once(
        "kind = 'link'\npath = '/srv/x'\ntarget = ''",
        "the target of the link /srv/x is empty",
    ),
    in_turn(
        "kind = 'link'\npath = '/etc/passwd'\ntarget = '/etc/shadow'",
        "/etc/passwd is a file, not a symbolic link",
        "test -f /etc/passwd -a ! -L /etc/passwd",
    ),
    at_once("kind = 'absent'\npath = '/'", "\"/\" is no path"),
    in_turn(
        "kind = 'absent'\npath = '/etc/ssh'",
        "only empty directories are removed",
        "sshd -t",
    ),
    at_once(
        "kind = 'line'\npath = '/etc/x'\nline = 'x'\nmatches = '('",
        "is no regular expression",
    ),
    at_once(
        "kind = 'line'\npath = '/etc/x'\nline = \"a\\nb\"",
        "is more than one line",
    ),
    in_turn(
        "kind = 'line'\npath = '/etc'\nline = 'x'",
        "/etc is a directory, not a file",
        "test -d /etc",
    ),
    at_once(
        "kind = 'user'\nname = 'Anna!'",
        "\"Anna!\" is no user or group name",
    ),
    at_once("kind = 'user'\nname = 'root'", "the user root is not changed"),
    at_once(
        "kind = 'user'\nname = 'anna'\nhome = 'anna'",
        "\"anna\" is no path",
    ),
    in_turn(
        "kind = 'user'\nname = 'anna'\ngroups = ['nobody-knows']",
        "nobody-knows",
        "! getent passwd anna",
    ),
    in_turn(
        "kind = 'user'\nname = 'daemon'\nuid = 4711",
        "the user daemon has the id 1 and not 4711",
        "true",
    ),
    at_once("kind = 'group'\nname = 'a b'", "\"a b\" is no user or group name"),
    in_turn(
        "kind = 'group'\nname = 'daemon'\ngid = 4711",
        "the group daemon has the id 1",
        "true",
    ),
    at_once(
        "kind = 'unit'\nname = 'nginx'\nrunning = true",
        "\"nginx\" is no unit",
    ),
    in_turn(
        "kind = 'unit'\nname = 'nowhere.service'\nenabled = true\nrunning = true",
        "there is no unit nowhere.service on this host",
        "true",
    ),
    at_once(
        "kind = 'package'\nnames = ['--yes']",
        "\"--yes\" is no package name",
    ),
    at_once("kind = 'package'\nnames = []", "names no packages"),
    in_turn(
        "kind = 'package'\nnames = ['bc', 'no-such-package-at-all']",
        "no-such-package-at-all",
        "! dpkg-query -W bc",
    ),
    at_once(
        "kind = 'postgres_role'\nname = 'pg_all'",
        "\"pg_all\" is no name for a role or database",
    ),
    in_turn(
        "kind = 'postgres_role'\nname = 'anna'",
        "PostgreSQL is not installed on this host",
        "true",
    ),
    at_once(
        "kind = 'postgres_database'\nname = 'x'\nowner = 'x'\nencoding = 'utf-8'",
        "\"utf-8\" is no encoding",
    ),
    at_once(
        "kind = 'postgres_database'\nname = 'x; DROP'\nowner = 'x'",
        "\"x; DROP\" is no name for a role",
    ),
    at_once(
        "kind = 'firewall'\nname = '../x'\ntcp = [80]",
        "\"../x\" is no name",
    ),
    at_once("kind = 'firewall'\nname = 'x'\ntcp = [0]", "0 is no port"),
    at_once("kind = 'firewall'\nname = 'x'\nudp = [70000]", "70000"),
    at_once(
        "kind = 'certificate'\nnames = ['a.test']\ncertificate = 'tls.crt'\nkey = '/etc/tls.key'",
        "\"tls.crt\" is no path",
    ),
    at_once(
        "kind = 'certificate'\nnames = []\ncertificate = '/etc/tls.crt'\nkey = '/etc/tls.key'",
        "names no domain",
    ),
    at_once("kind = 'command'\nargv = ['true']", "has no guard"),
    at_once("kind = 'command'\nargv = []\ncreates = '/x'", "names no program"),
    at_once(
        "kind = 'command'\nargv = ['./x']\ncreates = '/x'",
        "\"./x\" is no program",
    ),
    at_once(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\ntimeout = 0",
        "the timeout of `true`",
    ),
    at_once(
        "kind = 'command'\nargv = ['echo', '{{ word }}']\ncreates = '/x'",
        "a secret stands in arguments",
    ),
    at_once(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\nenv = { WORD = '{{ word }}' }",
        "a secret stands in arguments or environment",
    ),
    in_turn(
        "kind = 'command'\nargv = ['no-such-program']\ncreates = '/x'",
        "no-such-program",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['sh', '-c', 'echo out of paper >&2; exit 7']\ncreates = '/x'",
        "out of paper",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/srv/made'",
        "/srv/made",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['sleep', '99']\ncreates = '/x'\ntimeout = 1",
        "sleep 99",
        "! pgrep -x sleep",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\nuser = 'nobody-knows'",
        "nobody-knows",
        "true",
    ),
    in_turn(
        "kind = 'command'\nargv = ['true']\ncreates = '/x'\ncwd = '/nowhere'",
        "/nowhere",
        "true",
    ),
    at_once(
        "kind = 'archive'\npath = 'x'\nsource = '@good@'",
        "\"x\" is no path",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nsha256 = 'abc'",
        "abc",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '/nowhere.tar'",
        "/nowhere.tar",
    ),
    at_once(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nsha256 = '0000000000000000000000000000000000000000000000000000000000000000'",
        "expected was 0000",
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@climbing@'",
        "leads out of its directory",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@absolute@'",
        "has an absolute name",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@linked@'",
        "is a link to an absolute path",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@winding@'",
        "is a link that leads out of the tree",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@cut@'",
        "is damaged",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@text@'",
        "no tar archive",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nstrip = 9",
        "nothing is left of its names",
        NO_TREE,
    ),
    in_turn(
        "kind = 'archive'\npath = '/srv/x'\nsource = '@good@'\nowner = 'nobody-knows'",
        "the user nobody-knows does not exist",
        NO_TREE,
    ),
];

/// Neither the tree nor anything of it beside it, nor what a way out would have led to.
const NO_TREE: &str = "test ! -e /srv/x -a ! -e /etc/escaped -a -z \"$(ls -A /srv | grep -v first)\"";

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

#[test]
fn what_cannot_be_done_is_refused_in_one_error_and_the_mended_template_ends_well() {
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

/// Whether it failed with one error that says these words.
fn is_one_error(finished: &Finished, words: &str) -> bool {
    finished.code == Some(1)
        && finished.stderr.matches("Error:").count() == 1
        && finished.stderr.contains(words)
        && !finished.said().contains("panicked")
}

fn archives(folder: &Path) -> Vec<(&'static str, PathBuf)> {
    let good = pack(folder, "good.tar.gz", &[]);
    let climbing = pack(
        folder,
        "climbing.tar.gz",
        &["--transform", "s,tree/page,tree/../../../etc/escaped,"],
    );
    let absolute = pack(
        folder,
        "absolute.tar.bz2",
        &["--transform", "s,tree/page,/etc/escaped,"],
    );
    let link = |target: &str| {
        let path = folder.join("tree/way");
        let _ = std::fs::remove_file(&path);
        std::os::unix::fs::symlink(target, path).expect("makes a link");
    };
    link("/etc");
    let linked = pack(folder, "linked.tar.gz", &[]);
    link("../../etc");
    let winding = pack(folder, "winding.tar.gz", &[]);
    std::fs::remove_file(folder.join("tree/way")).expect("removes a link");
    let cut = folder.join("cut.tar.gz");
    let whole = std::fs::read(&good).expect("reads an archive");
    std::fs::write(&cut, whole.get(..whole.len() / 2).unwrap_or_default()).expect("writes an archive");
    let text = folder.join("text.tar.gz");
    std::fs::write(&text, "This is no archive.\n".repeat(100)).expect("writes a text");
    vec![
        ("good", good),
        ("climbing", climbing),
        ("absolute", absolute),
        ("linked", linked),
        ("winding", winding),
        ("cut", cut),
        ("text", text),
    ]
}
