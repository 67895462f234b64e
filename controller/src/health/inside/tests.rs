use allmende_agent::observe::{
    Certificates, FailedUnits, FileSystem, FileSystems, Finding, Freshness, ListeningPorts, Load, Memory,
    Observation, Observations, OpenPort, PackageUpdate, PendingUpdate, Reboot, Said, SecurityUpdates, Smart,
    TimeKeeping, Transport, Unit,
};
use jiff::Timestamp;
use proptest::prelude::*;

use super::*;

/// The host's clock, in seconds, when it began to look.
const NOW: u64 = 1_800_000_000;
const DAY: u64 = 86_400;

fn check(toml: &str) -> Check {
    let common = "id = \"x\"\ntitle = { de = \"\", en = \"\" }\nadvice = { de = \"\", en = \"\" }\n";
    toml::from_str(&format!("{common}{toml}")).unwrap_or_else(|error| panic!("{toml}: {error}"))
}

fn key() -> CheckKey {
    "web1:x".parse().expect("a key")
}

/// What a host answered whose clock is ahead by `ahead` milliseconds, with 20 ms there and 20 ms back.
fn observed(finding: Result<Finding, String>, ahead: i64) -> Observed {
    let clock = i64::try_from(NOW).expect("fits") * 1000;
    let milliseconds = |at: i64| Timestamp::from_millisecond(at).expect("a time");
    Observed {
        sent: milliseconds(clock - 20),
        received: milliseconds(clock + 500 + 20),
        observations: Observations {
            began_ms: u64::try_from(clock + ahead).expect("fits"),
            ended_ms: u64::try_from(clock + ahead + 500).expect("fits"),
            found: vec![Observation {
                id: "web1:x".to_owned(),
                finding,
            }],
        },
    }
}

fn answer_of(toml: &str, finding: Finding) -> Answer {
    judge(toml, &observed(Ok(finding), 0))
}

fn judge(toml: &str, observed: &Observed) -> Answer {
    let checks = [(key(), check(toml))];
    let mut answers = answers(&checks, observed, &Histories::new());
    assert_eq!(answers.len(), 1, "{toml}");
    answers.remove(0).1
}

/// Status and English sentence.
fn said(toml: &str, finding: Finding) -> (Status, String) {
    let answer = answer_of(toml, finding);
    assert!(!answer.sentence.de.starts_with("inside."), "{answer:?}");
    (answer.status, answer.sentence.en)
}

fn disk(place: &str, used_gb: u64, free_gb: u64) -> FileSystem {
    FileSystem {
        place: place.to_owned(),
        kind: "ext4".to_owned(),
        used: used_gb * 1_000_000_000,
        free: free_gb * 1_000_000_000,
        inodes_used: used_gb,
        inodes_free: free_gb,
    }
}

#[test]
fn the_fullest_disk_counts_unless_it_has_plenty() {
    let disks = |all: Vec<FileSystem>| Finding::FileSystems(FileSystems { all });
    let (status, sentence) = said(
        "kind = \"disk\"",
        disks(vec![disk("/", 10, 30), disk("/srv", 90, 10)]),
    );
    assert_eq!(status, Status::Warning);
    assert_eq!(sentence, "/srv is 90 % full, 10 GB are left.");
    assert_eq!(
        said("kind = \"disk\"", disks(vec![disk("/", 97, 3)])).0,
        Status::Critical
    );
    assert_eq!(
        said("kind = \"disk\"", disks(vec![disk("/", 9000, 1000)])).0,
        Status::Ok
    );
    assert_eq!(
        said(
            "kind = \"disk\"\nplenty_gb = 2000",
            disks(vec![disk("/", 9000, 1000)])
        )
        .0,
        Status::Warning
    );
    assert_eq!(said("kind = \"disk\"", disks(Vec::new())).0, Status::Unknown);
    assert_eq!(
        said("kind = \"inodes\"", disks(vec![disk("/", 96, 4)])).0,
        Status::Critical
    );
    assert_eq!(
        said("kind = \"inodes\"", disks(vec![disk("/", 0, 0)])).0,
        Status::Ok
    );
}

#[test]
fn a_disk_that_fills_up_says_on_which_day() {
    let now = i64::try_from(NOW).expect("fits");
    // Five percent a day, 70 now: full in six days.
    let history = (0..240).map(|hours: i64| Point {
        at: Timestamp::from_second(now - hours * 3600).expect("a time"),
        value: 70.0 - hours as f64 * 5.0 / 24.0,
    });
    let histories = Histories::from([(key(), history.collect())]);
    let finding = Finding::FileSystems(FileSystems {
        all: vec![disk("/", 70, 30)],
    });
    let checks = [(key(), check("kind = \"disk\""))];
    let answers = answers(&checks, &observed(Ok(finding), 0), &histories);
    let answer = &answers[0].1;
    assert_eq!(answer.status, Status::Warning, "{answer:?}");
    assert!(
        answer.sentence.en.contains("the disk will be full on 2027-01-2"),
        "{answer:?}"
    );
    assert!(answer.sentence.de.contains("ist die Platte am 2"), "{answer:?}");
}

#[test]
fn memory_swap_and_load_have_thresholds() {
    let memory = |available, swap_total, swap_free| {
        Finding::Memory(Memory {
            total: 4_000_000,
            available,
            swap_total,
            swap_free,
        })
    };
    assert_eq!(said("kind = \"memory\"", memory(2_000_000, 0, 0)).0, Status::Ok);
    assert_eq!(
        said("kind = \"memory\"", memory(300_000, 0, 0)).0,
        Status::Warning
    );
    assert_eq!(said("kind = \"memory\"", memory(9_000_000, 0, 0)).0, Status::Ok);
    assert_eq!(said("kind = \"swap\"", memory(1, 0, 0)).0, Status::Ok);
    assert_eq!(said("kind = \"swap\"", memory(1, 100, 2)).0, Status::Critical);
    let load = |five| {
        Finding::Load(Load {
            one: 0,
            five,
            fifteen: 0,
            processors: 2,
        })
    };
    assert_eq!(said("kind = \"load\"", load(590)).0, Status::Ok);
    let (status, sentence) = said("kind = \"load\"", load(601));
    assert_eq!(status, Status::Warning);
    assert!(
        sentence.contains("overloaded") && sentence.contains("6.0"),
        "{sentence}"
    );
}

#[test]
fn a_unit_says_why_it_does_not_run() {
    let unit = |change: &dyn Fn(&mut Unit)| {
        let mut unit = Unit {
            load: "loaded".to_owned(),
            active: "inactive".to_owned(),
            sub: "dead".to_owned(),
            result: "success".to_owned(),
            condition: true,
            ..Unit::default()
        };
        change(&mut unit);
        said("kind = \"unit\"\nunit = \"nginx.service\"", Finding::Unit(unit))
    };
    for (change, status, words) in [
        (
            (|unit| unit.active = "active".to_owned()) as fn(&mut Unit),
            Status::Ok,
            "is running",
        ),
        (|_| (), Status::Critical, "stopped it"),
        (|unit| unit.load = "masked".to_owned(), Status::Critical, "masked"),
        (
            |unit| unit.load = "not-found".to_owned(),
            Status::Critical,
            "There is no nginx.service",
        ),
        (
            |unit| unit.sub = "auto-restart".to_owned(),
            Status::Critical,
            "again and again",
        ),
        (|unit| unit.ended_well = true, Status::Ok, "did its work"),
        (
            |unit| unit.condition = false,
            Status::Warning,
            "something it needs",
        ),
        (
            |unit| {
                unit.active = "failed".to_owned();
                unit.result = "oom-kill".to_owned();
            },
            Status::Critical,
            "memory",
        ),
        (
            |unit| unit.active = "purple".to_owned(),
            Status::Unknown,
            "purple",
        ),
    ] {
        let (was, sentence) = unit(&change);
        assert_eq!(was, status, "{sentence}");
        assert!(sentence.contains(words), "{sentence}");
    }
    let failed = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let count = names.len() as u64;
        let finding = Finding::FailedUnits(FailedUnits { names, count });
        said("kind = \"failed_units\"\nignore = [\"old.service\"]", finding)
    };
    assert_eq!(failed(&["old.service"]).0, Status::Ok);
    assert_eq!(
        failed(&["old.service", "php.service"]).1,
        "One unit has failed: php.service."
    );
}

#[test]
fn security_updates_count_by_how_long_they_wait() {
    let updates = |lists, ages: &[u64]| {
        let pending = ages.iter().map(|age| PendingUpdate {
            name: "openssl".to_owned(),
            since: NOW - age * DAY,
            held: *age > 10,
            ..PendingUpdate::default()
        });
        let finding = SecurityUpdates {
            lists,
            pending: pending.collect(),
            count: ages.len() as u64,
        };
        said("kind = \"security_updates\"", Finding::SecurityUpdates(finding))
    };
    assert_eq!(updates(0, &[]).0, Status::Warning);
    assert_eq!(updates(1, &[]).0, Status::Ok);
    assert_eq!(updates(1, &[1]).0, Status::Ok);
    assert_eq!(updates(1, &[1, 4]).0, Status::Warning);
    let (status, sentence) = updates(1, &[20]);
    assert_eq!(status, Status::Critical);
    assert!(
        sentence.contains("20 days ago") && sentence.contains("Held back"),
        "{sentence}"
    );
}

#[test]
fn a_host_that_does_not_update_itself_is_found_out() {
    let update = |listed: Option<u64>, installed: Option<u64>, able: Option<u64>| {
        let at = |age: Option<u64>| age.map(|age| NOW - age * DAY);
        let finding = PackageUpdate {
            listed: at(listed),
            installed: at(installed),
            able: at(able),
        };
        said("kind = \"package_update\"", Finding::PackageUpdate(finding)).0
    };
    assert_eq!(update(None, None, None), Status::Warning);
    assert_eq!(update(Some(0), None, None), Status::Warning);
    assert_eq!(update(Some(0), Some(1), Some(99)), Status::Ok);
    assert_eq!(update(Some(0), None, Some(1)), Status::Ok, "it was just set up");
    assert_eq!(update(Some(0), None, Some(4)), Status::Warning);
    assert_eq!(update(Some(9), Some(1), Some(99)), Status::Critical);
    let reboot = |since: Option<u64>| {
        let finding = Reboot {
            since: since.map(|age| NOW - age * DAY),
            kernel: Some("6.1".to_owned()),
            ..Reboot::default()
        };
        said("kind = \"reboot_required\"", Finding::Reboot(finding))
    };
    assert_eq!(reboot(None).0, Status::Ok);
    assert_eq!(reboot(Some(1)).0, Status::Ok);
    assert!(reboot(Some(3)).1.contains("Linux 6.1") && reboot(Some(3)).0 == Status::Warning);
    assert_eq!(reboot(Some(31)).0, Status::Critical);
}

#[test]
fn the_clock_is_judged_beyond_what_the_way_may_have_cost() {
    let clock = |ahead, keeper: Option<&str>, container| {
        let keeping = TimeKeeping {
            keeper: keeper.map(str::to_owned),
            heard: None,
            container,
        };
        judge("kind = \"clock\"", &observed(Ok(Finding::Clock(keeping)), ahead))
    };
    let kept = Some("chrony.service");
    let right = clock(0, kept, false);
    assert_eq!(
        (right.status, right.figure.expect("a figure").value),
        (Status::Ok, 0.0)
    );
    assert_eq!(clock(2_010, kept, false).status, Status::Ok, "the way took 40 ms");
    assert_eq!(clock(2_030, kept, false).status, Status::Warning);
    let slow = clock(-90_000, kept, false);
    assert_eq!(
        (slow.status, slow.sentence.en.as_str()),
        (Status::Critical, "The clock is 90 seconds slow.")
    );
    assert_eq!(clock(0, None, false).status, Status::Warning);
    assert_eq!(clock(0, None, true).status, Status::Ok);
    assert!(clock(5_000, None, true).sentence.en.contains("container"));
}

#[test]
fn a_certificate_says_when_it_ends() {
    let ends_in = |days: i64| {
        let mut parameters =
            rcgen::CertificateParams::new(vec!["cloud.example".to_owned()]).expect("parameters");
        parameters
            .distinguished_name
            .push(rcgen::DnType::CommonName, "cloud.example");
        let day = i64::try_from(NOW / DAY).expect("fits") + days;
        let at = |day: i64| {
            let date = Timestamp::from_second(day * 86_400)
                .expect("a time")
                .to_zoned(jiff::tz::TimeZone::UTC);
            rcgen::date_time_ymd(
                i32::from(date.year()),
                date.month().unsigned_abs(),
                date.day().unsigned_abs(),
            )
        };
        parameters.not_before = at(day - 90);
        parameters.not_after = at(day);
        let key = rcgen::KeyPair::generate().expect("a key");
        let pem = parameters.self_signed(&key).expect("a certificate").pem();
        let finding = Certificates {
            exists: true,
            pem: vec![pem],
        };
        said(
            "kind = \"certificate\"\npath = \"/etc/x.pem\"",
            Finding::Certificates(finding),
        )
    };
    assert_eq!(ends_in(60).0, Status::Ok);
    assert_eq!(ends_in(15).0, Status::Warning);
    let (status, sentence) = ends_in(4);
    assert_eq!(status, Status::Critical);
    assert!(
        sentence.starts_with("The certificate for cloud.example in /etc/x.pem expires in"),
        "{sentence}"
    );
    assert!(ends_in(-5).1.contains("expired"));
    assert!(ends_in(200).1.contains("not valid yet"));
    let other = |exists, pem: &[&str]| {
        let pem = pem.iter().map(|pem| (*pem).to_owned()).collect();
        said(
            "kind = \"certificate\"\npath = \"/etc/x.pem\"",
            Finding::Certificates(Certificates { exists, pem }),
        )
        .0
    };
    assert_eq!(other(false, &[]), Status::Critical);
    assert_eq!(other(true, &[]), Status::Critical);
    assert_eq!(
        other(
            true,
            &["-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"]
        ),
        Status::Unknown
    );
}

#[test]
fn ports_files_programs_and_disks_are_told() {
    let open = OpenPort {
        transport: Transport::Tcp,
        port: 8080,
        program: Some("python3".to_owned()),
        unit: None,
    };
    let (status, sentence) = said(
        "kind = \"listening_ports\"",
        Finding::ListeningPorts(ListeningPorts {
            open: vec![open],
            count: 1,
        }),
    );
    assert_eq!(status, Status::Warning);
    assert!(sentence.contains("TCP 8080 (python3)"), "{sentence}");
    assert_eq!(
        said(
            "kind = \"listening_ports\"",
            Finding::ListeningPorts(ListeningPorts::default())
        )
        .0,
        Status::Ok
    );

    let fresh = |changed: Option<u64>, truncated| {
        let finding = Freshness {
            changed: changed.map(|age| NOW - age),
            truncated,
        };
        let toml = "kind = \"freshness\"\npath = \"/var/x\"\nwarning = \"1h\"\ncritical = \"1d\"";
        said(toml, Finding::Freshness(finding)).0
    };
    assert_eq!(fresh(None, false), Status::Critical);
    assert_eq!(fresh(Some(10), true), Status::Ok);
    assert_eq!(fresh(Some(3600), false), Status::Warning);
    assert_eq!(fresh(Some(2 * DAY), true), Status::Unknown);

    let program = |code, text: &str| {
        let finding = Said {
            code,
            text: text.to_owned(),
            tail: vec!["why\u{7}".to_owned()],
        };
        said("kind = \"command\"\nargv = [\"x\"]", Finding::Command(finding))
    };
    assert_eq!(
        program(Some(1), "12 mails wait | mails=12\nmore"),
        (Status::Warning, "12 mails wait".to_owned())
    );
    assert_eq!(program(Some(2), ""), (Status::Critical, "why".to_owned()));
    assert_eq!(program(None, "x").0, Status::Unknown);

    assert_eq!(
        said("kind = \"smart\"", Finding::Smart(Smart::default())).0,
        Status::Ok
    );
    let disk = |change: fn(&mut allmende_agent::observe::Disk)| {
        let mut disk = allmende_agent::observe::Disk {
            passed: Some(true),
            ..Default::default()
        };
        change(&mut disk);
        said(
            "kind = \"smart\"",
            Finding::Smart(Smart {
                disks: vec![disk],
                tool: true,
            }),
        )
        .0
    };
    assert_eq!(disk(|_| ()), Status::Ok);
    assert_eq!(disk(|disk| disk.passed = Some(false)), Status::Critical);
    assert_eq!(disk(|disk| disk.pending = Some(1)), Status::Warning);
    assert_eq!(disk(|disk| disk.worn = Some(95)), Status::Warning);
}

#[test]
fn what_was_not_seen_is_unknown_and_never_well() {
    let toml = "kind = \"memory\"";
    assert_eq!(
        judge(toml, &observed(Err("no such\nfile".to_owned()), 0)).status,
        Status::Unknown
    );
    let mut silent = observed(Err(String::new()), 0);
    silent.observations.found.clear();
    assert_eq!(judge(toml, &silent).status, Status::Unknown);
    assert_eq!(
        answer_of(toml, Finding::Smart(Smart::default())).status,
        Status::Unknown
    );
    let outside = [(key(), check("kind = \"tcp\"\nport = 22"))];
    assert!(answers(&outside, &silent, &Histories::new()).is_empty());
    assert!(questions(&outside, &OpenPorts::default()).questions.is_empty());
}

proptest! {
    /// A host may answer anything that can be parsed.
    #[test]
    fn figures_may_be_anything(numbers in proptest::collection::vec(prop_oneof![Just(u64::MAX), any::<u64>()], 8), name in ".{0,20}") {
        let n = |index: usize| numbers[index];
        let findings = [
            ("kind = \"disk\"", Finding::FileSystems(FileSystems { all: vec![FileSystem {
                place: name.clone(), kind: String::new(), used: n(0), free: n(1), inodes_used: n(2), inodes_free: n(3),
            }] })),
            ("kind = \"memory\"", Finding::Memory(Memory { total: n(0), available: n(1), swap_total: n(2), swap_free: n(3) })),
            ("kind = \"swap\"", Finding::Memory(Memory { total: n(0), available: n(1), swap_total: n(2), swap_free: n(3) })),
            ("kind = \"load\"", Finding::Load(Load { one: n(0), five: n(1), fifteen: n(2), processors: n(3) })),
            ("kind = \"reboot_required\"", Finding::Reboot(Reboot { since: Some(n(0)), packages: vec![name.clone()], kernel: None })),
            ("kind = \"package_update\"", Finding::PackageUpdate(PackageUpdate { listed: Some(n(0)), installed: Some(n(1)), able: None })),
            ("kind = \"failed_units\"", Finding::FailedUnits(FailedUnits { names: vec![name.clone()], count: n(0) })),
        ];
        for (toml, finding) in findings {
            let mut answered = observed(Ok(finding), 0);
            answered.observations.began_ms = n(6);
            answered.observations.ended_ms = n(7);
            let answer = judge(toml, &answered);
            prop_assert!(!answer.sentence.en.starts_with("inside."), "{answer:?}");
            prop_assert!(!answer.sentence.en.contains(char::is_control));
        }
    }
}
