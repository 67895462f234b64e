//! The inventory as text: written, taken over, and taken over once more.

use allmende_tests::World;

const INVENTORY: &str = r#"
format = 1

[organisations.kita-sonne]
title = "KiTa Sonne e.V."
sector = "kita"
place = "Kiel"
contacts = ["Anna Muster, Leitung, 0431 123456"]

[organisations.wg-nord]
title = "WG Nord"
sector = "flat-share"

[hosts.web1]
address = "192.0.2.10"
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2JuMVkhp1wF8kDzfZcyVpRPzJBmsxqrUCIn2PbJ0XR"
monthly_cost_cents = 450
seen_at = "2026-11-01T12:00:00Z"

[hosts.web1.settings]
timezone = "Europe/Vienna"

[hosts.web1.facts]
os = "debian"
release = "13"
codename = "trixie"
memory_mb = 4096

[services.kita-sonne.wiki]
host = "web1"
template = "dokuwiki"

[services.kita-sonne.wiki.parameters]
domain = "wiki.kita-sonne.test"

[services.wg-nord.wiki]
host = "web1"
template = "dokuwiki"

[services.wg-nord.wiki.parameters]
domain = "wiki.wg-nord.test"

[targets.usb]
place = "Regal im Büro"
keep = "daily=7,monthly=12"
created_at = "2026-11-01T12:00:00Z"

[targets.usb.location]
kind = "disk"
folder = "/nowhere/allmende"
mounted = true

[targets.nas]
keep = "all"
quota_bytes = 500000000000
monthly_cost_cents = 450
organisations = ["kita-sonne"]
created_at = "2026-11-02T12:00:00Z"

[targets.nas.location]
kind = "sftp"
user = "backup"
address = "192.0.2.11"
port = 22
host_key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2JuMVkhp1wF8kDzfZcyVpRPzJBmsxqrUCIn2PbJ0XR"
folder = "/srv/backups"
"#;

/// Writes a file beside the data of a world and says where.
fn file(world: &World, name: &str, text: &str) -> String {
    let path = world.data_dir().join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

#[test]
fn an_inventory_is_taken_over_once_and_written_as_it_was() {
    let world = World::new();
    let path = file(&world, "inventory.toml", INVENTORY);
    world
        .run(&["import", &path, "--dry-run"])
        .expect(0)
        .saying("organisation wg-nord: added")
        .saying("service wg-nord/wiki: added");
    assert_eq!(
        world.run(&["org", "list", "--json"]).expect(0).json(),
        serde_json::json!([])
    );
    world
        .run(&["import", &path, "--yes"])
        .expect(0)
        .saying("7 changes");
    world
        .run(&["import", &path, "--yes"])
        .expect(0)
        .saying("Nothing to change");
    let first = world.run(&["export"]).expect(0).stdout;
    let exported = file(&world, "exported.toml", &first);
    world
        .run(&["import", &exported, "--yes"])
        .expect(0)
        .saying("Nothing to change");

    // Written by this world, taken over by another one, written again: the same text.
    let other = World::new();
    other.run(&["import", &exported, "--yes"]).expect(0);
    assert_eq!(other.run(&["export"]).expect(0).stdout, first);

    // Names may repeat between organisations.
    world
        .run(&["service", "show", "wiki"])
        .expect(1)
        .saying("kita-sonne/wiki")
        .saying("wg-nord/wiki");
    let edited = first
        .replace("place = \"Kiel\"", "place = \"Preetz\"")
        .replace("daily=7", "daily=14")
        .replace("wiki.wg-nord.test", "seiten.wg-nord.test");
    let edited = file(&world, "edited.toml", &edited);
    world
        .run(&["import", &edited, "--yes"])
        .expect(0)
        .saying("organisation kita-sonne: place: Kiel → Preetz")
        .saying("target usb: keep: daily=7,monthly=12 → daily=14,monthly=12")
        .saying("service wg-nord/wiki: parameters.domain: wiki.wg-nord.test → seiten.wg-nord.test");
    let one = world.run(&["export", "--org", "wg-nord"]).expect(0);
    assert!(one.stdout.contains("seiten.wg-nord.test") && !one.stdout.contains("kita-sonne"));
    world.run(&["audit", "verify"]).expect(0);
}

#[test]
fn secrets_travel_only_when_asked_and_sealed() {
    let world = World::new();
    let path = file(&world, "inventory.toml", INVENTORY);
    world.run(&["import", &path, "--yes"]).expect(0);
    let secret = ["service", "secret", "kita-sonne/wiki", "admin_password"];
    let password = world.run(&secret).expect(0).stdout;
    assert!(!world.run(&["export"]).expect(0).stdout.contains("secrets"));

    let key = world.data_dir().join("export.key").display().to_string();
    let sealed = world.run(&["export", "--secrets-key", &key]).expect(0).stdout;
    assert!(sealed.contains("admin_password") && !sealed.contains(password.trim()));

    let other = World::new();
    let sealed = file(&other, "sealed.toml", &sealed);
    let wrong = other.data_dir().join("wrong.key").display().to_string();
    other.run(&["export", "--secrets-key", &wrong]).expect(0);
    other
        .run(&["import", &sealed, "--secrets-key", &wrong, "--yes"])
        .expect(1)
        .saying("does not open with this key");
    assert_eq!(
        other.run(&["org", "list", "--json"]).expect(0).json(),
        serde_json::json!([])
    );
    other
        .run(&["import", &sealed, "--secrets-key", &key, "--yes"])
        .expect(0);
    assert_eq!(other.run(&secret).expect(0).stdout, password);
    other
        .run(&["import", &sealed, "--secrets-key", &key, "--yes"])
        .expect(0)
        .saying("Nothing to change");
    // Neither the job nor the audit log keeps them, and whoever has no key gets fresh ones and is told.
    assert!(other.files_with(password.trim()).is_empty());
    let third = World::new();
    third
        .run(&["import", &sealed, "--yes"])
        .expect(0)
        .saying("The secrets in the file stay closed");
    assert_ne!(third.run(&secret).expect(0).stdout, password);
}

#[test]
fn an_inventory_that_makes_no_sense_changes_nothing() {
    let world = World::new();
    let path = file(&world, "inventory.toml", INVENTORY);
    world.run(&["import", &path, "--yes"]).expect(0);
    let before = world.run(&["export"]).expect(0).stdout;
    for (from, to, words) in [
        ("format = 1", "format = 2", "format 2"),
        ("sector = \"kita\"", "sector = \"zoo\"", "zoo"),
        ("place = \"Kiel\"", "town = \"Kiel\"", "unknown field `town`"),
        ("\"KiTa Sonne e.V.\"", "\"\"", "the title of kita-sonne"),
        (
            "[organisations.wg-nord]",
            "[organisations.\"WG Nord\"]",
            "cannot be a name",
        ),
        ("AAAAC3Nza", "AAAA", "host_key makes no sense"),
        (
            "PzJBmsxqrUCIn2PbJ0XR",
            "PzJBmsxqrUCIn2PbJ0XS",
            "its host key is another one",
        ),
        (
            "address = \"192.0.2.10\"",
            "address = \"192.0.2.10\"\norganisation = \"kita-sonne\"",
            "belongs to another organisation",
        ),
        (
            "address = \"192.0.2.10\"",
            "address = \"192.0.2.10\"\nport = 0",
            "port",
        ),
        ("timezone = \"Europe/Vienna\"", "timezone = \"Moon\"", "timezone"),
        (
            "timezone = \"Europe/Vienna\"",
            "colour = \"red\"",
            "hosts have no setting \"colour\"",
        ),
        ("template = \"dokuwiki\"", "template = \"nothing\"", "nothing"),
        (
            "template = \"dokuwiki\"",
            "template = \"base\"",
            "describes hosts",
        ),
        (
            "domain = \"wiki.kita-sonne.test\"",
            "domain = \"; rm -rf /\"",
            "domain",
        ),
        (
            "domain = \"wiki.kita-sonne.test\"",
            "domain = \"a.test\"\nadmin_password = \"Sonnenblume-17\"",
            "is a secret",
        ),
        ("host = \"web1\"", "host = \"web9\"", "web9"),
        ("[services.wg-nord.wiki", "[services.wg-sued.wiki", "wg-sued"),
    ] {
        assert!(INVENTORY.contains(from), "{from}");
        let bad = file(
            &world,
            "bad.toml",
            &INVENTORY.replace(from, to).replace(
                "[organisations.kita-sonne]",
                "[organisations.new]\ntitle = \"New\"\nsector = \"other\"\n[organisations.kita-sonne]",
            ),
        );
        let refused = world.run(&["import", &bad, "--yes"]).expect(1).saying(words);
        assert_eq!(refused.stderr.matches("Error:").count(), 1, "{}", refused.stderr);
        assert_eq!(world.run(&["export"]).expect(0).stdout, before, "{to}");
    }
    // The file itself is another one by now.
    assert!(world.files_with("Sonnenblume-17").is_empty());
}
