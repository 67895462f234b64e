//! The host or the way to it fails in the middle of an apply.

use std::time::{Duration, Instant};

use crate::stage::{Stage, one_error};

#[test]
fn a_connection_that_is_cut_is_noticed_soon_by_both_ends() {
    let stage = Stage::new();
    let host = stage.host.name.clone();
    let (apply, round) = stage.apply_until_the_command_runs();
    stage.run(&["lab", "unplug", &host]).expect(0);
    let began = Instant::now();
    let lost = apply.finish();
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    one_error(&lost, &["web", "lost", "silent", "apply again"]);
    assert_eq!(stage.newest_job("host.apply")["state"], "failed");

    // While the cable is out.
    let unreachable = stage.run(&["apply", "disturbed", "--yes"]);
    one_error(&unreachable, &["web", "Is it switched on"]);

    stage.run(&["lab", "plug", &host]).expect(0);
    stage.wait_for_host();
    // The agent still has the command in hand; it must have noticed, too, that nobody listens.
    let next = stage.start(&["apply", "disturbed", "--yes"]);
    next.wait_until_it_says("still finishing");
    stage.let_go(&round);
    next.finish().expect(0).saying("An earlier run");
    stage.nothing_is_left();
    stage.round_is_done_once(&round);
    stage.nothing_half_written();

    // A short cut is no cut.
    let (apply, round) = stage.apply_until_the_command_runs();
    stage.run(&["lab", "unplug", &host]).expect(0);
    stage.run(&["lab", "plug", &host]).expect(0);
    stage.let_go(&round);
    apply.finish().expect(0);
    stage.nothing_is_left();
    stage.round_is_done_once(&round);
}

#[test]
fn a_host_that_loses_power_or_reboots_goes_on_with_the_next_apply() {
    let stage = Stage::new();
    let host = stage.host.name.clone();
    let (apply, round) = stage.apply_until_the_command_runs();
    stage.run(&["lab", "kill", &host]).expect(0);
    one_error(&apply.finish(), &["web", "apply again"]);
    stage.run(&["lab", "start", &host]).expect(0);
    stage.let_go(&round);
    stage
        .apply_ends_well()
        .saying("An earlier run")
        .saying("the host was restarted");
    assert_eq!(stage.on_host("cat /srv/disturbed/after"), round);
    // It was in hand when the power went, so it has run before; once more is what the guard asked for.
    assert_eq!(
        stage.on_host(&format!("grep -cx {round} /srv/disturbed/ran")),
        "2"
    );
    assert_eq!(
        stage.on_host(&format!("grep -cx {round} /srv/disturbed/handled")),
        "1"
    );
    stage.nothing_half_written();

    let (apply, round) = stage.apply_until_the_command_runs();
    let reboot = stage.start(&["lab", "reboot", &host]);
    one_error(
        &apply.finish_within(Duration::from_secs(60)),
        &["web", "apply again"],
    );
    reboot.finish_within(Duration::from_secs(120)).expect(0);
    stage.wait_for_host();
    stage.let_go(&round);
    stage.apply_ends_well();
    assert_eq!(stage.on_host("cat /srv/disturbed/after"), round);
    assert_eq!(
        stage.on_host(&format!("grep -cx {round} /srv/disturbed/handled")),
        "1"
    );
    stage.nothing_half_written();
}

const INSTALLED: &str = r#"
format = 1
name = "installed"
title = { de = "Installiert", en = "Installed" }
summary = { de = "Installiert Pakete.", en = "Installs packages." }

[params.more]
type = "boolean"
default = false
help = { de = "Ob es mehr sein soll", en = "Whether it shall be more" }

[[resources]]
id = "slow"
kind = "package"
names = ["slow-to-configure"]

[[resources]]
id = "more"
kind = "package"
when = "more"
names = ["slow-to-unpack"]

[[resources]]
kind = "file"
path = "/srv/installed"
content = "done\n"
"#;

/// Two packages in a source on the host itself: one waits in its configuration, the other while it is unpacked.
const SLOW_PACKAGES: &str = r#"
set -e
mkdir -p /srv/source && cd /srv/source
: >Packages
for name in slow-to-configure slow-to-unpack; do
    case $name in *configure) script=postinst ;; *) script=preinst ;; esac
    rm -rf /tmp/build && mkdir -p /tmp/build/DEBIAN /tmp/build/usr/share/$name
    echo content >/tmp/build/usr/share/$name/file
    printf 'Package: %s\nVersion: 1\nArchitecture: all\nMaintainer: Test <test@example.org>\nDescription: %s\n' \
        $name $name >/tmp/build/DEBIAN/control
    printf '#!/bin/sh\ntouch /run/%s\nwhile [ -e /srv/source/wait ]; do sleep 0.1; done\n' $name >/tmp/build/DEBIAN/$script
    chmod 755 /tmp/build/DEBIAN/$script
    dpkg-deb -b /tmp/build $name.deb >/dev/null
    { cat /tmp/build/DEBIAN/control; echo "Filename: ./$name.deb"; echo "Size: $(stat -c %s $name.deb)"
      echo "SHA256: $(sha256sum <$name.deb | cut -d ' ' -f 1)"; echo; } >>Packages
done
rm -rf /tmp/build
echo 'deb [trusted=yes] file:/srv/source ./' >/etc/apt/sources.list.d/slow.list
apt-get -q update -o Dir::Etc::sourcelist=/etc/apt/sources.list.d/slow.list -o Dir::Etc::sourceparts=- >/dev/null
touch wait
"#;

#[test]
fn an_installation_that_lost_its_host_in_the_middle_is_repaired_by_the_next_apply() {
    let stage = Stage::new();
    stage.template("installed", INSTALLED);
    stage.service("packages", "installed", &[]);
    stage.on_host(SLOW_PACKAGES);
    let host = stage.host.name.clone();

    // A power cut while a package is configured.
    let apply = stage.start(&["apply", "packages", "--yes"]);
    stage.wait_on_host("the configuration to begin", "test -e /run/slow-to-configure");
    stage.run(&["lab", "kill", &host]).expect(0);
    one_error(&apply.finish(), &["web", "apply again"]);
    stage.run(&["lab", "start", &host]).expect(0);
    stage.on_host("rm /srv/source/wait; dpkg --audit | grep -q slow-to-configure");
    stage.run(&["plan", "packages"]).expect(3);
    stage.run(&["apply", "packages", "--yes"]).expect(0);
    stage.run(&["plan", "packages"]).expect(0);
    assert_eq!(stage.on_host("dpkg --audit; cat /srv/installed"), "done");

    // A power cut while a package is unpacked: apt itself refuses to go on then.
    stage.on_host("touch /srv/source/wait");
    stage
        .run(&["service", "edit", "packages", "--set", "more=true"])
        .expect(0);
    let apply = stage.start(&["apply", "packages", "--yes"]);
    stage.wait_on_host("the unpacking to begin", "test -e /run/slow-to-unpack");
    stage.run(&["lab", "kill", &host]).expect(0);
    one_error(&apply.finish(), &["web", "apply again"]);
    stage.run(&["lab", "start", &host]).expect(0);
    stage.on_host("rm /srv/source/wait");
    stage.run(&["apply", "packages", "--yes"]).expect(0);
    stage.run(&["plan", "packages"]).expect(0);
    assert_eq!(
        stage.on_host("dpkg --audit; cat /usr/share/slow-to-unpack/file"),
        "content"
    );

    // An agent that is killed while apt works: what apt does then is its own affair until the next apply.
    stage.on_host(
        "touch /srv/source/wait; rm /run/slow-to-configure; apt-get -qy purge slow-to-configure >/dev/null",
    );
    let apply = stage.start(&["apply", "packages", "--yes"]);
    stage.wait_on_host("the configuration to begin", "test -e /run/slow-to-configure");
    stage.on_host("pkill -KILL -x allmende-agent; pkill -KILL -x dpkg; pkill -KILL -x apt-get");
    one_error(&apply.finish(), &["web", "apply again"]);
    stage.on_host("rm /srv/source/wait");
    stage.run(&["apply", "packages", "--yes"]).expect(0);
    stage.run(&["plan", "packages"]).expect(0);
    assert_eq!(stage.on_host("dpkg --audit"), "");
}

const LARGE: &str = r#"
format = 1
name = "large"
title = { de = "Groß", en = "Large" }
summary = { de = "Schreibt viel.", en = "Writes a lot." }

[params.lines]
type = "integer"
default = 1
help = { de = "Zeilen", en = "Lines" }

[[resources]]
kind = "directory"
path = "/srv/large"

[[resources]]
kind = "file"
path = "/srv/large/file"
content = "{% for line in range(lines) %}{{ line }} is one of many lines of a large file that needs its room\n{% endfor %}"

[[resources]]
kind = "file"
path = "/srv/large/last"
content = "{{ lines }}\n"
"#;

#[test]
fn a_full_disk_is_named_and_after_making_room_the_next_apply_ends_well() {
    let stage = Stage::with(&["--disk-mb", "900"]);
    stage.template("large", LARGE);
    stage.service("large", "large", &[]);
    stage.run(&["apply", "large", "--yes"]).expect(0);
    let before = stage.on_host("cat /srv/large/file");
    stage
        .run(&["service", "edit", "large", "--set", "lines=5000"])
        .expect(0);
    stage.on_host("dd if=/dev/zero of=/fill bs=1M status=none 2>/dev/null; dd if=/dev/zero of=/fill2 bs=1k status=none 2>/dev/null; true");

    let full = stage.run(&["apply", "large", "--yes"]);
    one_error(
        &full,
        &[
            "web",
            "/srv/large/file",
            "disk of",
            "is full",
            "free some space and apply again",
        ],
    );
    assert_eq!(stage.newest_job("host.apply")["state"], "failed");
    assert_eq!(stage.on_host("cat /srv/large/file"), before);
    assert_eq!(
        stage.on_host("ls -A /srv/large"),
        "file\nlast",
        "something half-written lies there"
    );
    // To look at it still works.
    stage.run(&["plan", "large"]).expect(3);

    stage.on_host("rm -f /fill /fill2");
    stage.run(&["apply", "large", "--yes"]).expect(0);
    stage.run(&["plan", "large"]).expect(0);
    assert_eq!(
        stage.on_host("wc -l </srv/large/file; cat /srv/large/last"),
        "5000\n5000"
    );
}
