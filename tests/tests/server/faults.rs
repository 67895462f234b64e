//! From a fault to the message that it is over: one incident for each, one alert, and nothing of what follows from it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use allmende_tests::{HostAccess, Letterbox, World};

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
names = ["openssl", "python3"]

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
kind = "firewall"
name = "pulse"
tcp = [8099]

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
"#;

/// A fault as people should learn of it: the check that gets an incident, its title, and what it says.
type Fault = (&'static str, &'static str, &'static str);

/// A watched host with the service `pulse`, a server, and somebody who is told.
struct Watch {
    world: World,
    host: HostAccess,
    letterbox: Letterbox,
    server: Background,
    _templates: tempfile::TempDir,
}

impl Watch {
    /// With further lines in the settings.
    fn begin(further: &str) -> Self {
        let templates = tempfile::TempDir::new().expect("a folder");
        let folder = templates.path().join("pulse");
        std::fs::create_dir(&folder).expect("made");
        std::fs::write(folder.join("service.toml"), PULSE).expect("written");
        let settings = format!(
            "templates = [{:?}]\nlisten = \"127.0.0.1:0\"\n{further}",
            templates.path().display().to_string()
        );
        let world = World::with_settings(&settings);
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
        let server = Background::serve(&mut world.command(&["serve"]), &world);
        Self {
            world,
            host,
            letterbox,
            server,
            _templates: templates,
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
    watch.until("all checks of the service are good", || checks("ok") == 4);
    assert_eq!(watch.open(), BTreeSet::new());

    // Three faults at once, none of which explains another; the page's, which the service explains, is told of nobody.
    watch
        .host
        .run("mount -t tmpfs -o size=16m none /srv/pulse && head -c 16M /dev/zero > /srv/pulse/fill; cp /root/short.pem /root/pulse.pem && systemctl stop pulse.service")
        .expect(0);
    let faults = [
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
    ];
    watch.fault(&faults, || {
        assert_eq!(checks("ok"), 0, "the page is watched all the same");
        watch
            .host
            .run("umount -l /srv/pulse && cp /root/good.pem /root/pulse.pem && systemctl start pulse.service")
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
