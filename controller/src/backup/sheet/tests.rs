//! Sheets with everything on them.

use super::*;
use crate::model::{Location, Repository, Retention, Secret, Target};

fn target(name: &str, location: Location, organisations: &[&str]) -> Target {
    Target {
        name: name.parse().expect("a name"),
        location,
        place: (name == "disk1").then(|| "Keller".to_owned()),
        retention: Retention::USUAL,
        quota_bytes: None,
        monthly_cost: None,
        organisations: organisations
            .iter()
            .map(|name| name.parse().expect("a name"))
            .collect(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn on(target: &Target) -> SheetTarget {
    let repository = Repository {
        id: "3f9a2c1b00000000".to_owned(),
        target: target.name.clone(),
        organisation: "kita-sonne".parse().expect("a name"),
        service: "cloud".parse().expect("a name"),
        folder: "kita-sonne/cloud-3f9a2c1b".to_owned(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        size_bytes: None,
        counted_at: None,
        check: None,
        damaged: None,
        pruned_at: None,
    };
    SheetTarget::new(target, &repository, Some(&Secret::new("s3cr et".to_owned())))
}

fn s3() -> Location {
    Location::S3 {
        url: "https://s3.example.org/bucket/".to_owned(),
        access_key: "AK1".to_owned(),
        region: None,
    }
}

fn disk() -> Location {
    Location::Disk {
        folder: "/srv/backup".into(),
        mounted: false,
    }
}

fn sheet() -> Sheet {
    let source = |json: serde_json::Value| serde_json::from_value::<DumpSource>(json).expect("a dump");
    let postgres = source(serde_json::json!({ "kind": "postgres", "database": "kita-sonne_cloud" }));
    let mariadb = source(serde_json::json!({ "kind": "mariadb", "database": "kita-sonne_blog" }));
    let command = source(serde_json::json!({
        "kind": "command", "argv": ["x"], "load": ["tool", "import it"], "user": "kita"
    }));
    Sheet {
        organisation: "KiTa Sonne e.V.".to_owned(),
        day: "01.12.2026".to_owned(),
        password: "abcd-efgh-jkmn-pqrs-tuvw-xyza".to_owned(),
        services: vec![SheetService {
            name: "cloud".parse().expect("a name"),
            title: "Nextcloud".to_owned(),
            host: Some("web1".parse().expect("a name")),
            targets: vec![
                on(&target("disk1", disk(), &[])),
                on(&target("far", s3(), &["kita-sonne"])),
            ],
            paths: vec!["/srv/cloud".to_owned()],
            dumps: vec![
                SheetDump::new("database", Some(&postgres)),
                SheetDump::new("blog", Some(&mariadb)),
                SheetDump::new("accounts", Some(&command)),
                SheetDump::new("lost", None),
            ],
        }],
    }
}

/// What a person types.
fn typed(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("    "))
        .collect()
}

#[test]
fn both_languages_say_the_same_commands() {
    let [german, english] = [Language::De, Language::En].map(|language| sheet().text(language));
    let commands = typed(&german);
    for expected in [
        "export RESTIC_REPOSITORY=/srv/backup/kita-sonne/cloud-3f9a2c1b",
        "export AWS_SECRET_ACCESS_KEY='s3cr et'",
        "export RESTIC_REPOSITORY=s3:https://s3.example.org/bucket/kita-sonne/cloud-3f9a2c1b",
        "restic restore latest --host allmende --tag part:files --target /wiederhergestellt",
        "mariadb -e 'CREATE DATABASE `kita-sonne_blog`'",
        "restic dump --host allmende --tag part:dump:accounts latest /dump-accounts | runuser -u kita -- tool 'import it'",
        "restic dump --host allmende --tag part:dump:lost latest /dump-lost >lost.dump",
    ] {
        assert!(commands.contains(&expected), "{expected} is not in\n{german}");
    }
    let translated: Vec<String> = commands
        .iter()
        .map(|line| {
            line.replace("notfall-passwort", "emergency-password")
                .replace("/wiederhergestellt", "/restored")
        })
        .collect();
    assert_eq!(translated, typed(&english));
    assert!(!german.contains("\n\n\n"), "{german}");
}

#[test]
fn what_several_organisations_use_is_not_given_away_on_the_sheet_of_one() {
    let mut shared = sheet();
    shared.services[0].targets = vec![on(&target("far", s3(), &[]))];
    let text = shared.text(Language::De);
    assert!(!text.contains("s3cr et"), "{text}");
    assert!(text.contains("gehört mehreren Organisationen"), "{text}");
}

#[test]
fn an_organisation_without_backups_is_told_so() {
    let mut none = sheet();
    none.services.clear();
    assert!(
        none.text(Language::En)
            .contains("There are no backups of KiTa Sonne e.V. yet")
    );
}

#[test]
fn a_usual_sheet_has_two_pages_at_most_on_paper() {
    let text = sheet().text(Language::De);
    let pages = std::cell::Cell::new(0);
    let paper = pdf(&text, |_, of| {
        pages.set(of);
        String::new()
    });
    assert!(paper.starts_with(b"%PDF-"));
    assert!((1..=2).contains(&pages.get()), "{}", pages.get());
    if let Some(path) = std::env::var_os("ALLMENDE_SHOW_SHEET") {
        std::fs::write(path, pdf(&text, |page, of| format!("Seite {page} von {of}"))).expect("written");
    }
}
