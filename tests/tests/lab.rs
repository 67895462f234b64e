//! Practice hosts: what they can do, and that nothing of them is left.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, World};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// Everything on this machine that belongs to a world's lab: processes, interfaces, tables, mounts, folders.
struct Traces {
    processes: Vec<String>,
    interfaces: Vec<String>,
    tables: Vec<String>,
    mounts: Vec<String>,
    files: Vec<String>,
}

impl Traces {
    fn of(world: &World) -> Self {
        let folder = world.data_dir().join("lab");
        let place = folder.display().to_string();
        // A lab is told from others by an id that comes from its folder.
        let hash = Sha256::digest(place.as_bytes());
        let id: String = hash.iter().take(3).map(|byte| format!("{byte:02x}")).collect();
        let read =
            |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).replace('\0', " ");
        let entries = |path: &str| fs::read_dir(path).into_iter().flatten().flatten();
        let processes = entries("/proc").filter_map(|entry| {
            let command = read(&entry.path().join("cmdline"));
            let group = read(&entry.path().join("cgroup"));
            let stat = read(&entry.path().join("stat"));
            // What has ended may still wait for the first process to take note of it.
            let ended = stat
                .rsplit_once(") ")
                .is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
            (!ended && (command.contains(&place) || group.contains(&id))).then_some(command)
        });
        let interfaces =
            entries("/sys/class/net").map(|entry| entry.file_name().to_string_lossy().into_owned());
        let tables = Finished::of(Command::new("nft").args(["list", "tables"]))
            .expect(0)
            .stdout;
        let mounts = read(Path::new("/proc/self/mountinfo"));
        let mut find = Command::new("find");
        find.args(["/run", "/tmp", "/sys/fs/cgroup", "/var/lib/machines"])
            .args(["-name", &format!("*{id}*"), "-prune", "-print"]);
        let mut files: Vec<String> = Finished::of(&mut find)
            .stdout
            .lines()
            .map(str::to_owned)
            .collect();
        if folder.exists() {
            files.push(place.clone());
        }
        let with = |text: &str, what: &str| {
            let lines = text.lines().filter(|line| line.contains(what));
            lines.map(str::to_owned).collect::<Vec<_>>()
        };
        Self {
            processes: processes.collect(),
            interfaces: interfaces.filter(|name| name.contains(&id)).collect(),
            tables: with(&tables, &id),
            mounts: with(&mounts, &place),
            files,
        }
    }

    fn all(&self) -> Vec<&Vec<String>> {
        vec![
            &self.processes,
            &self.interfaces,
            &self.tables,
            &self.mounts,
            &self.files,
        ]
    }

    /// Fails the test unless nothing is left.
    #[track_caller]
    fn expect_none(&self, when: &str) {
        let left: Vec<&String> = self.all().into_iter().flatten().collect();
        assert!(left.is_empty(), "{when}, this is left: {left:#?}");
    }
}

/// Waits until something holds.
#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    let begin = Instant::now();
    while !holds() {
        assert!(
            begin.elapsed() < Duration::from_secs(60),
            "{what}: not within a minute"
        );
        sleep(Duration::from_millis(200));
    }
}

fn state(world: &World, name: &str) -> String {
    let list = world.run(&["lab", "list", "--json"]).expect(0).json();
    let host = list
        .as_array()
        .into_iter()
        .flatten()
        .find(|host| host["name"] == name)
        .unwrap_or_else(|| panic!("{name} is not in {list}"));
    host["state"].as_str().unwrap_or_default().to_owned()
}

fn boot_id(host: &HostAccess) -> String {
    host.run("cat /proc/sys/kernel/random/boot_id; systemctl show -p UserspaceTimestampMonotonic")
        .stdout
}

#[test]
fn practice_hosts_do_what_servers_do_and_leave_nothing() {
    let world = World::new();
    world
        .run(&["lab", "list"])
        .expect(0)
        .saying("There are no practice hosts. Make one with: allmende lab up");
    Traces::of(&world).expect_none("before the first host");
    world
        .run(&["lab", "up", "--yes", "--hosts", "1", "--release", "12"])
        .expect(0);
    world
        .run(&["lab", "up", "--yes", "--hosts", "2", "--release", "13"])
        .expect(0)
        .saying("practice1")
        .saying("Debian 12")
        .saying("practice2")
        .saying("Debian 13")
        .saying("Log in with: ssh -i");
    let traces = Traces::of(&world);
    for (number, kind) in traces.all().into_iter().enumerate() {
        assert!(
            !kind.is_empty(),
            "a lab that is up shows nothing of kind {number}"
        );
    }
    let hosts = world.hosts();
    let [first, second] = hosts.as_slice() else {
        panic!("not two hosts: {hosts:?}");
    };
    for (host, release) in [(first, "12"), (second, "13")] {
        host.run(". /etc/os-release; echo $VERSION_ID")
            .expect(0)
            .saying(release);
        host.run("systemctl is-system-running").saying("running");
    }

    // Up again is no news.
    let before = (boot_id(first), boot_id(second));
    world.run(&["lab", "up", "--yes", "--hosts", "2"]).expect(0);
    assert_eq!(before, (boot_id(first), boot_id(second)));

    // Hosts know each other by name, and reach the package sources.
    for (host, other) in [(first, "practice2"), (second, "practice1")] {
        for name in [other.to_owned(), format!("{other}.practice.test")] {
            host.run(&format!("timeout 10 bash -c ': < /dev/tcp/{name}/22'"))
                .expect(0);
        }
        host.run("apt-get -q update && apt-get -qy install --no-install-recommends tree && tree --version")
            .expect(0);
    }
    let stranger = world.run(&["lab", "reset", "practice7"]).expect(1);
    stranger.saying("no practice host \"practice7\"; there are: practice1, practice2");

    reboots(&world, first);
    power_and_cables(&world, second);
    resets(&world, first);

    world
        .run(&["org", "add", "wg", "--name", "WG", "--sector", "flat-share"])
        .expect(0);
    world
        .run(&["lab", "down", "--dry-run"])
        .expect(0)
        .saying("would be removed: practice1, practice2");
    world
        .run(&["lab", "down", "--yes"])
        .expect(0)
        .saying("All practice hosts are gone.");
    Traces::of(&world).expect_none("after down");
    world.run(&["lab", "down"]).expect(0);
    Traces::of(&world).expect_none("after a second down");
    world.run(&["org", "show", "wg"]).expect(0);
}

fn reboots(world: &World, host: &HostAccess) {
    host.run("echo kept > /root/kept").expect(0);
    let before = boot_id(host);
    // From inside, as an update would.
    host.run("systemctl reboot");
    soon("the host comes back", || {
        let now = boot_id(host);
        !now.is_empty() && now != before
    });
    soon("the host is running", || state(world, &host.name) == "running");
    let before = boot_id(host);
    world.run(&["lab", "reboot", &host.name]).expect(0);
    assert_ne!(boot_id(host), before);
    host.run("cat /root/kept").expect(0).saying("kept");
    host.run("ip -brief address").expect(0).saying(&host.address);
}

fn power_and_cables(world: &World, host: &HostAccess) {
    let name = host.name.as_str();
    world.run(&["lab", "stop", name]).expect(0);
    assert_eq!(state(world, name), "stopped");
    world.run(&["lab", "list"]).expect(0).saying("stopped");
    world
        .run(&["lab", "reboot", name])
        .expect(1)
        .saying(&format!("lab start {name}"));
    world.run(&["lab", "start", name]).expect(0);
    assert_eq!(state(world, name), "running");
    world.run(&["lab", "kill", name]).expect(0);
    assert_eq!(state(world, name), "stopped");
    // Up starts what is off.
    world.run(&["lab", "up", "--yes", "--hosts", "2"]).expect(0);
    assert_eq!(state(world, name), "running");
    world.run(&["lab", "unplug", name]).expect(0);
    assert_eq!(state(world, name), "booting");
    world.run(&["lab", "plug", name]).expect(0);
    soon("the host answers again", || state(world, name) == "running");
    host.run("true").expect(0);
}

fn resets(world: &World, host: &HostAccess) {
    let fingerprint = |world: &World| {
        let hosts = world.hosts();
        let same = hosts.iter().find(|other| other.name == host.name);
        same.map(|host| host.fingerprint.clone()).unwrap_or_default()
    };
    host.run("test -e /root/kept && dpkg -s tree").expect(0);
    world.run(&["lab", "reset", &host.name]).expect(0);
    host.run("test ! -e /root/kept && ! dpkg -s tree").expect(0);
    assert_eq!(fingerprint(world), host.fingerprint);
    world.run(&["lab", "reset", &host.name, "--new-keys"]).expect(0);
    assert_ne!(fingerprint(world), host.fingerprint);
    host.run("true").expect(0);
}

#[test]
fn two_labs_live_side_by_side() {
    let (one, other) = (World::new(), World::new());
    let up = ["lab", "up", "--yes", "--hosts", "2", "--release", "13"];
    let mut beside = one.command(&up).stdout(Stdio::null()).spawn().expect("it starts");
    other.run(&up).expect(0);
    assert!(beside.wait().expect("it ends").success());
    let (ones, others) = (one.hosts(), other.hosts());
    for host in ones.iter().chain(&others) {
        host.run("hostname").expect(0).saying(&host.name);
    }
    let networks = |hosts: &[HostAccess]| {
        let network = |host: &HostAccess| {
            host.address
                .rsplit_once('.')
                .map(|(network, _)| network.to_owned())
        };
        hosts
            .iter()
            .filter_map(network)
            .collect::<std::collections::BTreeSet<_>>()
    };
    assert!(
        networks(&ones).is_disjoint(&networks(&others)),
        "{ones:?} {others:?}"
    );
    let key = ones[0].identity.display().to_string();
    assert_ne!(key, others[0].identity.display().to_string());
    let intruder = HostAccess {
        identity: ones[0].identity.clone(),
        ..others[0].clone()
    };
    assert_ne!(
        intruder.run("true").code,
        Some(0),
        "one lab's key opens the other's hosts"
    );

    one.run(&["lab", "down"]).expect(0);
    Traces::of(&one).expect_none("after down");
    for host in &others {
        host.run("timeout 10 bash -c ': < /dev/tcp/practice1/22' && apt-get -q update")
            .expect(0);
    }
    one.run(&["lab", "list"]).expect(0).saying("no practice hosts");
    other.run(&["lab", "down"]).expect(0);
    Traces::of(&other).expect_none("after the other's down");
}

#[test]
fn a_lab_that_was_killed_while_it_was_made_is_finished_or_removed() {
    let world = World::new();
    let up = ["lab", "up", "--yes", "--hosts", "2", "--release", "13"];
    for milliseconds in [20, 100, 250, 500, 900, 1300, 1800, 2500] {
        let when = format!("killed after {milliseconds} ms");
        let begin = || {
            let mut making = world
                .command(&up)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("it starts");
            sleep(Duration::from_millis(milliseconds));
            making.kill().expect("it is killed");
            making.wait().expect("it ends");
        };
        begin();
        world.run(&["lab", "list"]).expect(0);
        world.run(&["lab", "down"]).expect(0);
        Traces::of(&world).expect_none(&when);
    }
    // And going on after it ends as if nothing had happened.
    for milliseconds in [250, 1000] {
        let mut making = world
            .command(&up)
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .expect("it starts");
        sleep(Duration::from_millis(milliseconds));
        // While one command works, another one is told so.
        world
            .run(&["lab", "down"])
            .expect(1)
            .saying("another command is working on this lab");
        making.kill().expect("it is killed");
        making.wait().expect("it ends");
        world.run(&up).expect(0);
        for host in world.hosts() {
            host.run("systemctl is-system-running").saying("running");
        }
        world.run(&["lab", "down"]).expect(0);
        Traces::of(&world).expect_none("after it was finished");
    }
}

#[test]
fn a_lab_that_cannot_be_is_refused_and_disks_and_keys_are_as_asked_for() {
    let world = World::new();
    let folder = TempDir::new().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    fs::write(path("nonsense"), "no key\n").expect("writes a file");
    for (bad, code, words) in [
        (&["--hosts", "0"][..], 1, "a lab has 1 to 200 hosts, not 0"),
        (&["--hosts", "201"], 1, "a lab has 1 to 200 hosts, not 201"),
        (&["--hosts", "-1"], 2, "-1"),
        (&["--release", "7"], 2, "practice hosts can have Debian"),
        (&["--disk-mb", "1"], 1, "at least 16 MB"),
        (
            &["--authorized-key", &path("nonsense")],
            1,
            "not one line in OpenSSH's notation",
        ),
        (&["--authorized-key", &path("nowhere")], 1, "No such file"),
    ] {
        world
            .run(&[&["lab", "up", "--yes"], bad].concat())
            .expect(code)
            .saying(words);
    }
    let strange = path("a,b");
    world
        .run(&["--data-dir", &strange, "lab", "up", "--yes"])
        .expect(1)
        .saying("choose another data directory");
    Traces::of(&world).expect_none("after refusals");

    Finished::of(Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", &path("own")]))
        .expect(0);
    let own = path("own.pub");
    world
        .run(&["lab", "up", "--yes", "--disk-mb", "300", "--authorized-key", &own])
        .expect(0);
    let hosts = world.hosts();
    let host = HostAccess {
        identity: path("own").into(),
        ..hosts[0].clone()
    };
    host.run("true").expect(0);
    host.run("dd if=/dev/zero of=/root/large bs=1M count=400 status=none")
        .expect(1)
        .saying("No space left on device");
    world.run(&["lab", "down"]).expect(0);
    Traces::of(&world).expect_none("after down");
}
