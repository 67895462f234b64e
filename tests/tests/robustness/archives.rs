//! Archives that are not what they should be.

use std::path::{Path, PathBuf};
use std::process::Command;

use allmende_tests::Finished;
use tempfile::TempDir;

use crate::stage::{Stage, one_error, write};

const PACKED: &str = r#"
format = 1
name = "packed"
title = { de = "Gepackt", en = "Packed" }
summary = { de = "Aus einem Archiv.", en = "From an archive." }

[params.archive]
type = "source"
example = "/srv/packed.tar.gz"
help = { de = "Archiv", en = "Archive" }

[params.checksum]
type = "sha256"
optional = true
help = { de = "Prüfsumme", en = "Checksum" }

[[resources]]
kind = "archive"
path = "/srv/packed"
source = "{{ archive }}"
sha256 = "{{ checksum }}"
"#;

/// Packs the folder `tree` with further arguments for tar.
fn pack(folder: &Path, name: &str, arguments: &[&str]) -> PathBuf {
    let archive = folder.join(name);
    let mut tar = Command::new("tar");
    tar.arg("-C")
        .arg(folder)
        .arg("-czPf")
        .arg(&archive)
        .args(arguments)
        .arg("tree");
    Finished::of(&mut tar).expect(0);
    archive
}

#[test]
fn archives_with_another_checksum_or_with_ways_out_are_refused_and_nothing_is_unpacked() {
    let stage = Stage::new();
    stage.template("packed", PACKED);
    let folder = TempDir::new().expect("a folder");
    let tree = folder.path().join("tree");
    std::fs::create_dir(&tree).expect("made");
    write(&tree.join("page"), "content");
    let good = pack(folder.path(), "good.tar.gz", &[]);
    let climbing = pack(
        folder.path(),
        "climbing.tar.gz",
        &["--transform", "s,tree/page,../../etc/climbed,"],
    );
    let absolute = pack(
        folder.path(),
        "absolute.tar.gz",
        &["--transform", "s,tree/page,/etc/climbed,"],
    );
    std::os::unix::fs::symlink("/etc", tree.join("way")).expect("linked");
    write(&tree.join("climbed"), "content");
    // A link, and then a file through it.
    let through_a_link = pack(
        folder.path(),
        "through.tar.gz",
        &["--sort=name", "--transform", "s,tree/climbed,tree/way/climbed,"],
    );
    let cut = folder.path().join("cut.tar.gz");
    let whole = std::fs::read(&good).expect("read");
    write(&cut, &whole[..whole.len() / 2]);

    let archive = |path: &Path| format!("archive={}", path.display());
    let wrong = format!("checksum={}", "0".repeat(64));
    stage.service("packed", "packed", &[&archive(&good), &wrong]);
    for arguments in [&["plan", "packed"][..], &["apply", "packed", "--yes"]] {
        let refused = stage.run(arguments);
        one_error(
            &refused,
            &["good.tar.gz", "SHA-256", &"0".repeat(64), "Nothing was changed"],
        );
    }
    stage
        .run(&["service", "edit", "packed", "--unset", "checksum"])
        .expect(0);

    for (path, words) in [
        (&climbing, "leads out"),
        (&absolute, "refused"),
        (&through_a_link, "refused"),
        (&cut, "damaged"),
    ] {
        stage
            .run(&["service", "edit", "packed", "--set", &archive(path)])
            .expect(0);
        let refused = stage.run(&["apply", "packed", "--yes"]);
        one_error(&refused, &["archive /srv/packed", words, "nothing was changed"]);
        assert_eq!(
            stage.on_host("ls -A /srv; ls -d /etc/climbed 2>/dev/null || true"),
            "",
            "{}",
            path.display()
        );
    }
    stage
        .run(&["service", "edit", "packed", "--set", &archive(&good)])
        .expect(0);
    stage.run(&["apply", "packed", "--yes"]).expect(0);
    stage.run(&["plan", "packed"]).expect(0);
    assert_eq!(stage.on_host("cat /srv/packed/tree/page"), "content");
}

#[test]
fn an_archive_whose_upload_was_cut_goes_on_with_the_rest() {
    let stage = Stage::new();
    stage.template("packed", PACKED);
    let folder = TempDir::with_prefix_in("allmende-test-", "/var/tmp").expect("a folder");
    std::fs::create_dir(folder.path().join("tree")).expect("made");
    let mut random = Command::new("sh");
    random
        .args(["-c", "head -c 100M /dev/urandom >tree/large"])
        .current_dir(folder.path());
    Finished::of(&mut random).expect(0);
    let archive = pack(folder.path(), "large.tar.gz", &[]);
    let size = std::fs::metadata(&archive).expect("is there").len();
    stage.service("packed", "packed", &[&format!("archive={}", archive.display())]);

    // The agent is held in the middle, then the cable is pulled.
    let apply = stage.start(&["apply", "packed", "--yes"]);
    stage.on_host(
        "until [ \"$(stat -c %s /var/cache/allmende/blobs/*.part 2>/dev/null || echo 0)\" -gt 20000000 ]; do sleep 0.01; done
         pkill -STOP -x allmende-agent",
    );
    let host = stage.host.name.clone();
    stage.run(&["lab", "unplug", &host]).expect(0);
    one_error(&apply.finish(), &["web", "lost"]);
    stage.run(&["lab", "plug", &host]).expect(0);
    stage.wait_for_host();
    stage.on_host("pkill -KILL -x allmende-agent; while pgrep -x allmende-agent; do sleep 0.1; done");
    let number = |text: String| text.trim().parse::<u64>().expect("a number");
    let there = number(stage.on_host("stat -c %s /var/cache/allmende/blobs/*.part"));
    assert!((20_000_000..size).contains(&there), "{there} of {size}");

    let received = || number(stage.on_host("cat /sys/class/net/host0/statistics/rx_bytes"));
    let before = received();
    stage.run(&["apply", "packed", "--yes"]).expect(0);
    let sent = received() - before;
    // Packets and SSH add a little; what was there is not sent again.
    assert!(
        sent < (size - there) + size / 10,
        "{sent} bytes came, {} were missing of {size}",
        size - there
    );
    let sum = |text: &str| text.split_whitespace().next().map(str::to_owned);
    let mut local = Command::new("sha256sum");
    local.arg(folder.path().join("tree/large"));
    assert_eq!(
        sum(&stage.on_host("sha256sum /srv/packed/tree/large /srv/packed/large 2>/dev/null || true")),
        sum(&Finished::of(&mut local).expect(0).stdout)
    );
}
