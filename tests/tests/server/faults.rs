//! From a fault to the message that it is over: one incident for each, one alert, and nothing of what follows from it.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, Letterbox, World};

use super::running::Background;

/// How long an incident and its message may take: a host's contact is asked once a minute and has three attempts, and what comes
/// within a minute becomes one message.
const PATIENCE: Duration = Duration::from_secs(420);

const PULSE: &str = r#"
format = 1
name = "pulse"
title = { de = "Puls", en = "Pulse" }
summary = { de = "Eine kleine Webseite, die oft gefragt wird.", en = "A small page that is asked often." }
requires = ["base"]

[[resources]]
kind = "package"
names = ["dnsmasq-base", "openssl", "python3"]

[[resources]]
kind = "directory"
path = "/srv/pulse"

[[resources]]
kind = "command"
argv = ["sh", "-c", "openssl req -x509 -newkey rsa:2048 -nodes -keyout /root/pulse.key -subj /CN=pulse.test -days 300 -out /root/good.pem && openssl req -x509 -key /root/pulse.key -subj /CN=pulse.test -days 1 -out /root/short.pem && cp /root/good.pem /root/pulse.pem"]
creates = "/root/pulse.pem"

[[resources]]
kind = "file"
path = "/etc/systemd/system/pulse.service"
content = """
[Service]
ExecStart=/usr/bin/python3 -m http.server --directory /srv/pulse 8099
[Install]
WantedBy=multi-user.target
"""

[[resources]]
kind = "unit"
name = "pulse.service"
enabled = true
running = true

[[resources]]
kind = "command"
argv = ["sh", "-c", "echo 192.0.2.80 www.kita-sonne.test > /root/names"]
creates = "/root/names"

[[resources]]
kind = "file"
path = "/etc/systemd/system/names.service"
content = """
[Service]
ExecStart=/usr/sbin/dnsmasq --keep-in-foreground --conf-file=/dev/null --pid-file= --user=root --no-resolv --no-hosts --local=/test/ --addn-hosts=/root/names
[Install]
WantedBy=multi-user.target
"""

[[resources]]
kind = "unit"
name = "names.service"
enabled = true
running = true

[[resources]]
kind = "firewall"
name = "pulse"
tcp = [53, 8099]
udp = [53]

[[checks]]
id = "process"
kind = "unit"
title = { de = "Der Dienst läuft", en = "The service runs" }
advice = { de = "Starten.", en = "Start it." }
every = "5s"
unit = "pulse.service"

[[checks]]
id = "page"
kind = "http"
title = { de = "Die Seite antwortet", en = "The page answers" }
advice = { de = "Ansehen.", en = "Look at it." }
every = "5s"
needs = ["process"]
url = "http://pulse.kita-sonne.test:8099/"

[[checks]]
id = "room"
kind = "disk"
title = { de = "Es ist Platz", en = "There is room" }
advice = { de = "Aufräumen.", en = "Clean up." }
every = "5s"
path = "/srv/pulse"

[[checks]]
id = "paper"
kind = "certificate"
title = { de = "Das Zertifikat ist gut", en = "The certificate is good" }
advice = { de = "Erneuern.", en = "Renew it." }
every = "5s"
path = "/root/pulse.pem"

[[checks]]
id = "name"
kind = "dns"
title = { de = "Der Name steht im DNS", en = "The name is in the DNS" }
advice = { de = "Berichtigen.", en = "Correct it." }
every = "5s"
name = "www.kita-sonne.test"
record = "a"
values = ["192.0.2.80"]
"#;

/// The program's own template `base`, which asks for the clock as often as the others are asked.
fn base(folder: &Path) {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).join("../templates/services/base");
    Finished::of(Command::new("cp").arg("-r").arg(own).arg(folder)).expect(0);
    let file = folder.join("base/service.toml");
    let text = std::fs::read_to_string(&file).expect("read");
    let (before, clock) = text.split_once("id = \"clock\"").expect("it asks for the clock");
    let clock = clock.replacen("every = \"1h\"", "every = \"5s\"", 1);
    std::fs::write(&file, format!("{before}id = \"clock\"{clock}")).expect("written");
}

/// The server in surroundings of its own: it asks the host for names, and its clock is off by as much as the file `clock` says.
fn server(world: &World, host: &HostAccess, surroundings: &Path) -> Command {
    let resolver = surroundings.join("resolv.conf");
    std::fs::write(&resolver, format!("nameserver {}\n", host.address)).expect("written");
    let serve = world.command(&["serve"]);
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "slave", "sh", "-c"])
        .arg("mount --bind \"$0\" /etc/resolv.conf && exec env LD_PRELOAD=\"$LIBRARY\" \"$@\"")
        .arg(resolver)
        .arg(serve.get_program())
        .args(serve.get_args())
        .envs(serve.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .env_remove("SSH_AUTH_SOCK")
        .env(
            "LIBRARY",
            format!(
                "/usr/lib/{}-linux-gnu/faketime/libfaketimeMT.so.1",
                std::env::consts::ARCH
            ),
        )
        .env("FAKETIME_TIMESTAMP_FILE", surroundings.join("clock"))
        .env("FAKETIME_CACHE_DURATION", "1")
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1")
        .env("NO_FAKE_STAT", "1");
    command
}

/// Moves the server's clock; practice hosts share that of this machine.
fn move_clock(surroundings: &Path, seconds: i64) {
    std::fs::write(surroundings.join("clock"), format!("{seconds:+}")).expect("written");
}

/// A fault as people should learn of it: the check that gets an incident, its title, and what it says.
type Fault = (&'static str, &'static str, &'static str);

/// A watched host with the service `pulse`, a server, and somebody who is told.
struct Watch {
    world: World,
    host: HostAccess,
    letterbox: Letterbox,
    server: Background,
    /// What is the test's own: templates, and the server's clock.
    folder: tempfile::TempDir,
}

impl Watch {
    /// With further lines in the settings.
    fn begin(further: &str) -> Self {
        let folder = tempfile::TempDir::new().expect("a folder");
        let templates = folder.path().join("templates");
        let pulse = templates.join("pulse");
        std::fs::create_dir_all(&pulse).expect("made");
        std::fs::write(pulse.join("service.toml"), PULSE).expect("written");
        base(&templates);
        let settings = format!(
            "templates = [{:?}]\nlisten = \"127.0.0.1:0\"\n{further}",
            templates.display().to_string()
        );
        // With its data in PostgreSQL, a server whose clock is off writes nothing.
        let world = World::in_a_file();
        world.set(&settings);
        let host = world.raise(1, "13", &[]).remove(0);
        world.care_for("web1", &host);
        let add = ["service", "add", "pulse", "--org", "kita-sonne", "--host", "web1"];
        world
            .run(&[add.as_slice(), &["--template", "pulse"]].concat())
            .expect(0);
        world.run(&["apply", "pulse", "--yes"]).expect(0);
        let letterbox = Letterbox::open();
        let channel = [
            "notify",
            "channel",
            "add",
            "webhook",
            "--url",
            letterbox.address(),
        ];
        world.run(&channel).expect(0);
        world
            .run(&["notify", "person", "add", "anna", "--name", "Anna Muster"])
            .expect(0);
        world
            .run(&["notify", "rule", "add", "--person", "anna", "--org", "kita-sonne"])
            .expect(0);
        move_clock(folder.path(), 0);
        Self {
            server: Background::serve(&mut server(&world, &host, folder.path()), &world),
            world,
            host,
            letterbox,
            folder,
        }
    }

    /// The checks that have an open incident. How busy a practice host is, and how far behind the server, depends on the machine
    /// that runs the tests.
    fn open(&self) -> BTreeSet<String> {
        let list = self.world.run(&["incident", "list", "--json"]);
        let incidents = list.json();
        let keys = incidents.as_array().into_iter().flatten();
        keys.filter_map(|incident| incident["key"].as_str())
            .filter(|key| *key != "web1:load" && !key.starts_with("allmende:"))
            .map(str::to_owned)
            .collect()
    }

    /// Waits until something holds.
    #[track_caller]
    fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let since = Instant::now();
        while !holds() {
            assert!(
                since.elapsed() < PATIENCE,
                "in vain: {what}\nopen: {:?}\ntold: {:?}\nserver: {}",
                self.open(),
                self.letterbox.told(),
                self.server.said()
            );
            std::thread::sleep(Duration::from_secs(1));
        }
    }

    /// These checks get an incident each, and nothing else does; somebody is told of each once. Then `mend` mends it, and
    /// somebody is told once that it is over. Each incident tells its story in order.
    #[track_caller]
    fn fault(&self, faults: &[Fault], mend: impl FnOnce()) {
        let before = self.letterbox.told().len();
        let told = |kind: &str| {
            let mut told: Vec<String> = self.letterbox.told()[before..]
                .iter()
                .filter(|(title, of)| of == kind && title != "The server is not overloaded")
                .map(|(title, _)| title.clone())
                .collect();
            told.sort();
            told
        };
        let mut titles: Vec<String> = faults.iter().map(|(_, title, _)| title.to_string()).collect();
        titles.sort();
        let expected: BTreeSet<String> = faults.iter().map(|(key, ..)| key.to_string()).collect();
        self.until(&format!("{expected:?} have incidents"), || {
            let open = self.open();
            assert!(open.is_subset(&expected), "{open:?} instead of {expected:?}");
            open == expected
        });
        self.until("somebody is told", || told("opened").len() >= titles.len());
        mend();
        self.until("all is well again", || self.open().is_empty());
        self.until("somebody is told so", || told("recovered").len() >= titles.len());
        assert_eq!(told("opened"), titles);
        assert_eq!(told("recovered"), titles);
        assert_eq!(told("worsened"), Vec::<String>::new());
        for (key, _, words) in faults {
            self.told_in_order(key, words);
        }
    }

    /// The newest incident of a check has a timeline from the first bad answer to the message that it is over.
    #[track_caller]
    fn told_in_order(&self, key: &str, words: &str) {
        let list = ["incident", "list", "--all", "--json"];
        let incidents = self.world.run(&list).expect(0).json();
        let incidents = incidents.as_array().into_iter().flatten();
        let newest = incidents
            .filter(|incident| incident["key"] == key)
            .max_by_key(|incident| incident["id"].as_i64())
            .expect("it is there");
        let show = ["incident", "show", &newest["id"].to_string(), "--json"];
        let timeline = self.world.run(&show).expect(0).json()["timeline"].clone();
        let events = timeline.as_array().expect("events");
        let kinds: Vec<&str> = events
            .iter()
            .filter_map(|event| event["kind"].as_str())
            .filter(|kind| *kind != "job")
            .collect();
        assert_eq!(
            kinds,
            ["first_bad", "opened", "told", "recovered", "told"],
            "{timeline}"
        );
        let opened = &events
            .iter()
            .find(|event| event["kind"] == "opened")
            .expect("it is there")["sentence"];
        assert!(
            opened["en"].as_str().is_some_and(|said| said.contains(words)),
            "{opened}"
        );
        assert!(
            opened["de"].as_str().is_some_and(|said| !said.is_empty()),
            "{opened}"
        );
    }
}

#[test]
fn of_each_fault_people_hear_once_and_of_its_end_once_and_nothing_of_what_follows_from_it() {
    let watch = Watch::begin("");
    let checks = |wanted: &str| {
        let list = watch.world.run(&["check", "list", "--json"]).json();
        let checks = list.as_array().cloned().unwrap_or_default();
        checks
            .iter()
            .filter(|check| {
                check["key"]
                    .as_str()
                    .is_some_and(|key| key.starts_with("kita-sonne/pulse:"))
            })
            .filter(|check| check["state"]["status"] == wanted)
            .count()
    };
    watch.until("all checks of the service are good", || checks("ok") == 5);
    assert_eq!(watch.open(), BTreeSet::new());

    // Five faults at once, none of which explains another; the page's, which the service explains, is told of nobody. The clock
    // goes back, so that of what happens from then on nothing comes before what was before.
    move_clock(watch.folder.path(), -45);
    watch
        .host
        .run("mount -t tmpfs -o size=16m none /srv/pulse && head -c 16M /dev/zero > /srv/pulse/fill; cp /root/short.pem /root/pulse.pem && echo 192.0.2.66 www.kita-sonne.test > /root/names && systemctl kill -s HUP names.service && systemctl stop pulse.service")
        .expect(0);
    let faults = [
        (
            "kita-sonne/pulse:name",
            "The name is in the DNS",
            "www.kita-sonne.test (A) has 192.0.2.66, expected is 192.0.2.80",
        ),
        ("kita-sonne/pulse:paper", "The certificate is good", "expires in"),
        (
            "kita-sonne/pulse:process",
            "The service runs",
            "pulse.service is not running: somebody or something stopped it",
        ),
        (
            "kita-sonne/pulse:room",
            "There is room",
            "/srv/pulse is 100 % full",
        ),
        ("web1:clock", "The clock is right", "The clock is 45 seconds fast"),
    ];
    watch.fault(&faults, || {
        assert_eq!(checks("ok"), 0, "the page is watched all the same");
        move_clock(watch.folder.path(), 0);
        watch
            .host
            .run("umount -l /srv/pulse && cp /root/good.pem /root/pulse.pem && echo 192.0.2.80 www.kita-sonne.test > /root/names && systemctl kill -s HUP names.service && systemctl start pulse.service")
            .expect(0);
    });

    // A host whose cable was pulled, and one that was switched off.
    for (away, back) in [("unplug", "plug"), ("stop", "start")] {
        watch.world.run(&["lab", away, &watch.host.name]).expect(0);
        let fault = ("web1:contact", "The host can be reached over SSH", "web1 (");
        watch.fault(&[fault], || {
            watch.world.run(&["lab", back, &watch.host.name]).expect(0);
        });
    }
}

#[test]
fn of_a_file_that_somebody_changed_by_hand_people_hear_once_until_it_is_as_it_was() {
    let watch = Watch::begin("drift_minutes = 1\n");
    watch
        .host
        .run("echo '# by hand' >> /etc/systemd/system/pulse.service && systemctl daemon-reload")
        .expect(0);
    let fault = (
        "web1:drift",
        "As it was set up",
        "/etc/systemd/system/pulse.service",
    );
    watch.fault(&[fault], || {
        let list = watch.world.run(&["incident", "list"]);
        let number = list.stdout.lines().find(|line| line.contains("web1:drift"));
        let number = number
            .and_then(|line| line.split_whitespace().next())
            .expect("a number");
        watch
            .world
            .run(&["incident", "show", number])
            .expect(0)
            .saying("/etc/systemd/system/pulse.service");
        watch.world.run(&["apply", "pulse", "--yes"]).expect(0);
    });
}
