//! Nextcloud, the real thing. Its archive is in no package registry, so these tests need one by environment variable:
//! `ALLMENDE_TEST_NEXTCLOUD` names a folder with `nextcloud-34.0.1.tar.gz`, `nextcloud-34.0.2.tar.gz` (a copy of it with a
//! raised `version.php`) and `nextcloud-32.0.1.tar.gz`. Without it they say that they were not run.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, World};
use sha2::{Digest, Sha256};

const DOMAIN: &str = "cloud.kita-sonne.test";

/// Setup checks that a missing internet connection, an archive without some of its large files, or Debian 12's PHP explains;
/// see the template's README. What may stand in the log is in [`EXPLAINED_ERRORS`].
const EXPLAINED: [&str; 4] = [
    "InternetConnectivity",
    "CodeIntegrity",
    "LogErrors",
    "PhpOutdated",
];

/// How messages begin that a missing internet connection or an archive without some of its large files explains.
const EXPLAINED_ERRORS: [&str; 2] = [
    "Cannot connect to: https://",
    "Could not find resource core/js/common.js",
];

fn archives() -> Option<PathBuf> {
    let folder = std::env::var_os("ALLMENDE_TEST_NEXTCLOUD").map(PathBuf::from);
    if folder.is_none() {
        eprintln!("NOT RUN: the tests of Nextcloud need ALLMENDE_TEST_NEXTCLOUD, a folder with its archives");
    }
    folder
}

fn archive(folder: &std::path::Path, version: &str) -> String {
    let path = folder.join(format!("nextcloud-{version}.tar.gz"));
    assert!(path.is_file(), "{} is not there", path.display());
    format!("archive={}", path.display())
}

fn curl(host: &HostAccess, arguments: &[&str]) -> Finished {
    let resolve = format!("{DOMAIN}:443:{}", host.address);
    let mut command = Command::new("curl");
    command.args(["-sS", "--insecure", "--max-time", "300", "--resolve", &resolve]);
    Finished::of(command.args(arguments)).expect(0)
}

fn sha256(path: &std::path::Path) -> String {
    let bytes = std::fs::read(path).expect("read");
    Sha256::digest(&bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The names of setup checks with an error or warning.
fn complaints(host: &HostAccess) -> Vec<String> {
    let checks = host.run("occ-kita-sonne_cloud setupchecks --output=json");
    let start = checks.stdout.find('{').expect("JSON");
    let checks: serde_json::Value = serde_json::from_str(&checks.stdout[start..]).expect("JSON");
    let categories = checks.as_object().expect("categories").values();
    let mut complaints = Vec::new();
    for (class, check) in categories.flat_map(|category| category.as_object().expect("checks")) {
        if matches!(check["severity"].as_str(), Some("error" | "warning")) {
            complaints.push(class.rsplit('\\').next().unwrap_or_default().to_owned());
        }
    }
    complaints
}

/// What the log says of errors that nothing explains.
fn unexplained_errors(host: &HostAccess) -> Vec<String> {
    let log = host.run("cat /var/log/kita-sonne_cloud/nextcloud.log").expect(0);
    log.stdout
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .filter(|entry| entry["level"].as_u64() >= Some(3))
        .filter(|entry| {
            let message = entry["message"].as_str().unwrap_or_default();
            !EXPLAINED_ERRORS.iter().any(|begin| message.starts_with(begin))
        })
        .map(|entry| entry.to_string())
        .collect()
}

fn add_cloud(world: &World, archive: &str, version: &str) -> Finished {
    world.run(&[
        "service",
        "add",
        "cloud",
        "--org",
        "kita-sonne",
        "--host",
        "web1",
        "--template",
        "nextcloud",
        "--set",
        &format!("domain={DOMAIN}"),
        "--set",
        "tls=internal",
        "--set",
        &format!("version={version}"),
        "--set",
        archive,
    ])
}

/// The journey of the README, with a file that goes up and down.
fn journey(release: &str, explained: &[&str]) {
    let Some(folder) = archives() else { return };
    let (world, hosts) = World::with_hosts(1, release);
    let host = &hosts[0];
    world.care_for("web1", host);
    add_cloud(&world, &archive(&folder, "34.0.1"), "34.0.1").expect(0);
    world.run(&["plan", "cloud"]).expect(3);
    world.run(&["apply", "cloud", "--yes"]).expect(0);
    world
        .run(&["plan", "cloud"])
        .expect(0)
        .saying("Nothing to change");
    world
        .run(&["apply", "cloud", "--yes"])
        .expect(0)
        .saying("nothing to change");

    let url = format!("https://{DOMAIN}");
    let status = curl(host, &[&format!("{url}/status.php")]).json();
    assert_eq!(status["installed"], true);
    assert_eq!(status["versionstring"], "34.0.1");

    let secret = world
        .run(&["service", "secret", "cloud", "admin_password"])
        .expect(0);
    let password = secret.stdout.trim();
    let login = format!("admin:{password}");
    let file = world.data_dir().join("big");
    let blob: Vec<u8> = (0..300_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8)
        .collect();
    std::fs::write(&file, &blob).expect("written");
    drop(blob);
    let back = world.data_dir().join("back");
    for (name, further) in [("plain", None), ("chunked", Some("Transfer-Encoding: chunked"))] {
        let target = format!("{url}/remote.php/dav/files/admin/{name}");
        let mut up = vec![
            "-u",
            &login,
            "-T",
            file.to_str().expect("text"),
            "-w",
            "%{http_code}",
        ];
        up.extend(further.iter().flat_map(|header| ["-H", header]));
        up.push(&target);
        assert_eq!(curl(host, &up).stdout, "201", "{name}");
        curl(host, &["-u", &login, "-o", back.to_str().expect("text"), &target]);
        assert_eq!(sha256(&file), sha256(&back), "{name}");
    }
    for denied in [
        "/data/",
        "/config/config.php",
        "/.git",
        "/occ",
        "/lib/base.php",
        "/3rdparty/",
    ] {
        let code = curl(
            host,
            &["-o", "/dev/null", "-w", "%{http_code}", &format!("{url}{denied}")],
        )
        .stdout;
        assert_eq!(code, "404", "{denied}");
    }

    // The first round of background jobs began with the apply; without an internet connection some of them wait for theirs.
    let patience = Instant::now() + Duration::from_secs(300);
    while complaints(host).contains(&"CronInfo".to_owned()) && Instant::now() < patience {
        std::thread::sleep(Duration::from_secs(3));
    }
    let unexplained: Vec<String> = complaints(host)
        .into_iter()
        .filter(|check| !explained.contains(&check.as_str()))
        .collect();
    assert!(unexplained.is_empty(), "{unexplained:?}");
    let errors = unexplained_errors(host);
    assert!(errors.is_empty(), "{errors:?}");

    for job in world
        .run(&["job", "list", "--json"])
        .expect(0)
        .json()
        .as_array()
        .expect("jobs")
    {
        let shown = world
            .run(&["job", "show", &job["id"].to_string(), "--json"])
            .expect(0);
        assert!(!shown.stdout.contains(password), "job {}", job["id"]);
    }
    let database = std::fs::read(world.data_dir().join("allmende.db")).expect("read");
    assert!(
        !database
            .windows(password.len())
            .any(|window| window == password.as_bytes())
    );

    // The next version, by Nextcloud's own upgrade.
    let next = archive(&folder, "34.0.2");
    world
        .run(&[
            "service",
            "edit",
            "cloud",
            "--set",
            "version=34.0.2",
            "--set",
            &next,
        ])
        .expect(0);
    world.run(&["apply", "cloud", "--yes"]).expect(0);
    world.run(&["plan", "cloud"]).expect(0);
    let status = curl(host, &[&format!("{url}/status.php")]).json();
    assert_eq!(
        (
            &status["versionstring"],
            &status["maintenance"],
            &status["needsDbUpgrade"]
        ),
        (&"34.0.2".into(), &false.into(), &false.into())
    );
    world
        .run(&["service", "edit", "cloud", "--set", "version=34.0.1"])
        .expect(1)
        .saying("step back");
}

#[test]
fn nextcloud_comes_onto_debian_12_and_stays_as_it_is() {
    journey("12", &EXPLAINED);
}

#[test]
fn nextcloud_comes_onto_debian_13_and_stays_as_it_is() {
    journey("13", &EXPLAINED[..3]);
}

#[test]
fn a_major_version_is_not_skipped() {
    let Some(folder) = archives() else { return };
    let (world, hosts) = World::with_hosts(1, "12");
    world.care_for("web1", &hosts[0]);
    add_cloud(&world, &archive(&folder, "32.0.1"), "32.0.1").expect(0);
    world.run(&["apply", "cloud", "--yes"]).expect(0);
    world
        .run(&["service", "edit", "cloud", "--set", "version=34.0.1"])
        .expect(1)
        .saying("first to 33, then to 34.0.1");
    world.run(&["plan", "cloud"]).expect(0);
}

#[test]
fn nextcloud_35_is_refused_on_debian_12_with_the_reason() {
    let (world, hosts) = World::with_hosts(1, "12");
    world.care_for("web1", &hosts[0]);
    add_cloud(&world, "archive=https://example.org/none.tar.bz2", "35.0.1")
        .expect(1)
        .saying("Debian 13");
    assert_eq!(
        world.run(&["service", "list", "--json"]).expect(0).stdout.trim(),
        "[]"
    );
}
