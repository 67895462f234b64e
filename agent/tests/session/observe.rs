use allmende_agent::observe::{Finding, Observations};
use allmende_agent::protocol::{Answer, RefusalKind};
use serde_json::{Value, json};

use crate::peer::{Host, Peer};

fn ask(peer: &mut Peer, questions: &[(&str, Value)]) -> Observations {
    let questions: Vec<Value> = questions
        .iter()
        .map(|(id, question)| json!({ "id": id, "question": question }))
        .collect();
    match peer.ask(json!({ "observe": { "questions": questions, "deadline": 20 } })) {
        Ok(Answer::Observations(observations)) => observations,
        other => panic!("{other:?}"),
    }
}

fn found(peer: &mut Peer, question: Value) -> Finding {
    let mut observations = ask(peer, &[("x", question)]);
    observations.found.remove(0).finding.expect("was found")
}

#[test]
fn many_questions_are_answered_at_once_each_with_its_own_error() {
    let host = Host::new();
    host.write("/proc/loadavg", "0.50 1.25 2.00 1/100 7\n");
    host.write("/proc/meminfo", "MemTotal: 1000 kB\nMemAvailable: 400 kB\n");
    let mut peer = host.session();
    let mut questions: Vec<(String, Value)> = (0..20)
        .map(|number| {
            let argv = json!(["sh", "-c", format!("echo {number}; exit {}", number % 3)]);
            (
                format!("c{number}"),
                json!({ "command": { "argv": argv, "user": "root", "timeout": 10 } }),
            )
        })
        .collect();
    questions.push(("load".to_owned(), json!({ "load": {} })));
    questions.push(("memory".to_owned(), json!({ "memory": {} })));
    questions.push(("disk".to_owned(), json!({ "file_systems": {} })));
    questions.push((
        "who".to_owned(),
        json!({ "command": { "argv": ["true"], "user": "nobody-here", "timeout": 10 } }),
    ));
    let asked: Vec<(&str, Value)> = questions
        .iter()
        .map(|(id, question)| (id.as_str(), question.clone()))
        .collect();
    let observations = ask(&mut peer, &asked);
    let ids: Vec<&str> = observations.found.iter().map(|one| one.id.as_str()).collect();
    assert_eq!(ids, asked.iter().map(|(id, _)| *id).collect::<Vec<_>>());
    for (number, one) in observations.found.iter().take(20).enumerate() {
        let Ok(Finding::Command(said)) = &one.finding else {
            panic!("{one:?}")
        };
        assert_eq!(said.text.trim(), number.to_string());
        assert_eq!(said.code, Some(number as i32 % 3));
    }
    let [load, memory, disk, who] = &observations.found[20..] else {
        panic!("{observations:?}")
    };
    assert!(matches!(&load.finding, Ok(Finding::Load(load)) if load.five == 125));
    assert!(matches!(&memory.finding, Ok(Finding::Memory(memory)) if memory.available == 400));
    assert!(
        disk.finding
            .as_ref()
            .is_err_and(|error| error.contains("/proc/self/mountinfo"))
    );
    assert!(
        who.finding
            .as_ref()
            .is_err_and(|error| error.contains("nobody-here"))
    );
    assert!(observations.began_ms <= observations.ended_ms && observations.began_ms > 1_600_000_000_000);
}

#[test]
fn a_program_that_takes_too_long_costs_only_its_own_answer() {
    let host = Host::new();
    host.write("/proc/loadavg", "0.50 1.25 2.00 1/100 7\n");
    let mut peer = host.session();
    let slow = json!({ "command": { "argv": ["sleep", "60"], "user": "root", "timeout": 1 } });
    let observations = ask(&mut peer, &[("slow", slow), ("load", json!({ "load": {} }))]);
    let [slow, load] = observations.found.as_slice() else {
        panic!("{observations:?}")
    };
    assert!(
        slow.finding
            .as_ref()
            .is_err_and(|error| error.contains("took longer than 1 seconds")),
        "{slow:?}"
    );
    assert!(load.finding.is_ok());
}

#[test]
fn what_makes_no_sense_is_not_looked_at() {
    let host = Host::new();
    let mut peer = host.session();
    let mut refused = |questions: Value, deadline: u64| {
        peer.refusal(json!({ "observe": { "questions": questions, "deadline": deadline } }))
            .kind
    };
    let load = json!({ "id": "a", "question": { "load": {} } });
    for (questions, deadline) in [
        (json!([load, load]), 10),
        (json!([load]), 0),
        (json!([load]), 601),
        (json!([{ "id": "", "question": { "load": {} } }]), 10),
        (
            json!([{ "id": "a", "question": { "phase_of_the_moon": {} } }]),
            10,
        ),
        (
            json!([{ "id": "a", "question": { "freshness": { "path": "../etc" } } }]),
            10,
        ),
        (
            json!([{ "id": "a", "question": { "unit": { "unit": "--now" } } }]),
            10,
        ),
        (
            json!([{ "id": "a", "question": { "command": { "argv": [], "user": "root", "timeout": 1 } } }]),
            10,
        ),
    ] {
        assert_eq!(
            refused(questions.clone(), deadline),
            RefusalKind::Invalid,
            "{questions}"
        );
    }
    let many: Vec<Value> = (0..257)
        .map(|n| json!({ "id": n.to_string(), "question": { "load": {} } }))
        .collect();
    assert_eq!(refused(json!(many), 10), RefusalKind::Invalid);
}

#[test]
fn only_what_is_public_of_a_certificate_file_leaves_the_host() {
    let host = Host::new();
    host.write(
        "/etc/tls.pem",
        "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n\
         -----BEGIN CERTIFICATE-----\nYWJj\n-----END CERTIFICATE-----\n",
    );
    let mut peer = host.session();
    let finding = found(&mut peer, json!({ "certificate": { "path": "/etc/tls.pem" } }));
    assert!(!format!("{finding:?}").contains("c2VjcmV0"));
    assert!(matches!(&finding, Finding::Certificates(found) if found.exists && found.pem.len() == 1));
    let missing = found(&mut peer, json!({ "certificate": { "path": "/etc/other.pem" } }));
    assert!(matches!(missing, Finding::Certificates(found) if !found.exists));
}

const STATUS: &str = "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.15-1~deb12u1\n\n\
     Package: vim\nStatus: hold ok installed\nArchitecture: amd64\nVersion: 2:9.0-1\n\n\
     Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n";

#[test]
fn security_updates_are_compared_again_only_when_something_changed_and_keep_their_age() {
    let host = Host::new();
    let lists = "/var/lib/apt/lists/deb_dists_bookworm-security_";
    host.write("/var/lib/dpkg/status", STATUS);
    host.write(
        &format!("{lists}InRelease"),
        "Label: Debian-Security\nSuite: oldstable-security\n",
    );
    host.write(
        "/var/lib/apt/lists/deb_dists_bookworm_InRelease",
        "Label: Debian\nSuite: oldstable\n",
    );
    host.write(
        "/var/lib/apt/lists/deb_dists_bookworm_main_binary-amd64_Packages",
        "Package: openssl\nArchitecture: amd64\nVersion: 9.9\n",
    );
    let packages = format!("{lists}main_binary-amd64_Packages");
    host.write(
        &packages,
        "Package: openssl\nArchitecture: amd64\nVersion: 3.0.17-1~deb12u2\n\nPackage: openssl\nArchitecture: arm64\n\
         Version: 4\n\nPackage: vim\nArchitecture: amd64\nVersion: 2:9.1-1\n\nPackage: gone\nArchitecture: amd64\nVersion: 2\n",
    );
    let mut peer = host.session();
    let mut look = || match found(&mut peer, json!({ "security_updates": {} })) {
        Finding::SecurityUpdates(updates) => updates,
        other => panic!("{other:?}"),
    };
    let first = look();
    let names: Vec<(&str, &str, bool)> = first
        .pending
        .iter()
        .map(|update| (update.name.as_str(), update.available.as_str(), update.held))
        .collect();
    assert_eq!(
        names,
        [("openssl", "3.0.17-1~deb12u2", false), ("vim", "2:9.1-1", true)]
    );
    assert_eq!((first.lists, first.count), (1, 2));

    // As if it had been seen long ago: nothing changed, so what is remembered is what is said.
    let cache = "/var/lib/allmende-agent/security-updates.json";
    let mut remembered: Value = serde_json::from_str(&host.read(cache)).expect("JSON");
    remembered["pending"][0]["since"] = json!(1000);
    host.write(cache, &remembered.to_string());
    assert_eq!(look().pending[0].since, 1000);
    // A newer fix of the same package is as old as the hole; one that was installed is gone.
    host.write(
        &packages,
        "Package: openssl\nArchitecture: amd64\nVersion: 3.0.18-1\n",
    );
    let later = look();
    assert_eq!(
        (
            later.count,
            later.pending[0].since,
            later.pending[0].available.as_str()
        ),
        (1, 1000, "3.0.18-1")
    );
    host.write(
        "/var/lib/dpkg/status",
        &STATUS.replace("3.0.15-1~deb12u1", "3.0.18-1"),
    );
    assert_eq!(look().count, 0);
}

#[test]
fn ports_are_told_with_who_listens() {
    let host = Host::new();
    let line = |address: &str, state: &str, inode: u64| {
        format!(
            "   0: {address} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000     0        0 {inode} 1\n"
        )
    };
    let tcp = ["00000000:0016", "0100007F:1538", "00000000:1F90"];
    let tcp: String = tcp
        .iter()
        .zip(1..)
        .map(|(address, inode)| line(address, "0A", inode))
        .collect();
    host.write(
        "/proc/net/tcp",
        &format!("header\n{tcp}{}", line("00000000:1F91", "01", 9)),
    );
    host.write(
        "/proc/net/udp",
        &format!(
            "{}{}",
            line("00000000:0035", "07", 4),
            line("00000000:C350", "07", 5)
        ),
    );
    host.write("/proc/sys/net/ipv4/ip_local_port_range", "32768\t60999\n");
    host.write("/proc/77/comm", "python3\n");
    host.write("/proc/77/cgroup", "0::/system.slice/demo.service\n");
    host.write("/proc/77/fd/x", "");
    std::os::unix::fs::symlink("socket:[3]", host.at("/proc/77/fd/3")).expect("links");
    let mut peer = host.session();
    let finding = found(
        &mut peer,
        json!({ "listening_ports": { "tcp": [22], "udp": [] } }),
    );
    let Finding::ListeningPorts(ports) = finding else {
        panic!("{finding:?}")
    };
    let shown: Vec<(u16, Option<&str>, Option<&str>)> = ports
        .open
        .iter()
        .map(|open| (open.port, open.program.as_deref(), open.unit.as_deref()))
        .collect();
    assert_eq!(
        shown,
        [(8080, Some("python3"), Some("demo.service")), (53, None, None)]
    );
}

#[test]
fn a_restart_is_wanted_by_packages_or_by_a_newer_kernel() {
    let host = Host::new();
    let mut peer = host.session();
    let mut look = || match found(&mut peer, json!({ "reboot": {} })) {
        Finding::Reboot(reboot) => reboot,
        other => panic!("{other:?}"),
    };
    assert_eq!(look().since, None);
    host.write("/proc/sys/kernel/osrelease", "6.1.0-28-amd64\n");
    host.write("/boot/vmlinuz-6.1.0-28-amd64", "");
    assert_eq!(look().since, None);
    host.write("/boot/vmlinuz-6.1.0-30-amd64", "");
    let reboot = look();
    assert!(reboot.since.is_some() && reboot.kernel.as_deref() == Some("6.1.0-30-amd64"));
    host.write("/run/systemd/container", "lxc");
    assert_eq!(look().since, None, "the kernel is not the container's");
    host.write("/run/reboot-required", "");
    host.write("/run/reboot-required.pkgs", "libc6\nlibc6\n");
    assert_eq!(look().packages, ["libc6"]);
}

#[test]
fn a_folder_is_as_fresh_as_its_newest_file() {
    let host = Host::new();
    host.write("/srv/backup/old/a", "");
    let mut peer = host.session();
    let mut look = |path: &str| match found(&mut peer, json!({ "freshness": { "path": path } })) {
        Finding::Freshness(freshness) => freshness.changed,
        other => panic!("{other:?}"),
    };
    let long_ago = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5000);
    let file = std::fs::File::options()
        .write(true)
        .open(host.at("/srv/backup/old/a"))
        .expect("opens");
    file.set_modified(long_ago).expect("sets");
    // The folders are new, the file in them is not.
    assert_eq!(look("/srv/backup"), Some(5000));
    host.write("/srv/backup/b", "");
    assert!(look("/srv/backup").is_some_and(|changed| changed > 5000));
    assert_eq!(look("/srv/none"), None);
}
