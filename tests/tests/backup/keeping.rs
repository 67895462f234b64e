//! Copies, integrity, thinning out; and the sheet that brings everything back with restic alone.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use allmende_tests::Finished;

use super::stage::Stage;

#[test]
fn backups_are_copied_come_back_with_the_sheet_alone_and_are_kept_in_order() {
    let stage = Stage::new("12");
    let away = stage.disk.join("away");
    let folder = away.display().to_string();
    let add = ["target", "add", "away", "--disk", &folder, "--keep", "last=1"];
    stage.world.run(&add).expect(0);
    stage.back_up().expect(0);
    stage.back_up().expect(0);
    copies_are_made_once(&stage);
    let password = the_sheet_brings_everything_back(&stage, &away);
    what_allmende_did_not_put_there_is_told_and_stays(&stage, &password);
    what_the_rules_do_not_keep_goes(&stage, &away);
    damage_is_found_and_nothing_is_removed_then(&stage, &away);
    what_is_gone_is_told_and_not_made_anew(&stage, &away);
}

fn upkeep(stage: &Stage, verb: &str, target: &str, further: &[&str]) -> Finished {
    let words = ["backup", verb, "--target", target, "--yes"];
    stage.world.run(&[&words[..], further].concat())
}

/// The only repository of a target.
fn repository(target: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(target.join("kita-sonne"))
        .expect("there")
        .flatten();
    entries.next().expect("one repository").path()
}

fn snapshots(target: &Path) -> usize {
    let folder = repository(target).join("snapshots");
    std::fs::read_dir(folder).expect("there").count()
}

fn copies_are_made_once(stage: &Stage) {
    upkeep(stage, "copy", "away", &[])
        .expect(0)
        .saying("copied 6 snapshots");
    upkeep(stage, "copy", "away", &[])
        .expect(0)
        .saying("everything is there");
}

/// Follows the printed sheet to the letter on a host that lost everything; returns the password on it.
fn the_sheet_brings_everything_back(stage: &Stage, away: &Path) -> String {
    let sheet = stage
        .world
        .run(&["vault", "export", "kita-sonne", "--language", "en"])
        .expect(0)
        .stdout;
    let (before, commands) = sheet.split_once("## 1. Preparing").expect("a first chapter");
    let typed = |text: &str| -> Vec<String> {
        let lines = text.lines().filter_map(|line| line.strip_prefix("    "));
        lines.map(str::to_owned).collect()
    };
    let password = typed(before).pop().expect("a password");
    stage.on_host("rm -r /srv/archive /srv/annex; mariadb -e 'DROP DATABASE `kita-sonne_archive`'");
    carry(stage, away);
    let script = format!("set -e\n{}\n", typed(commands).join("\n"));
    stage.on_host(&format!("cat > /root/sheet <<'SHEET'\n{script}SHEET"));
    stage.host.run("bash -o pipefail /root/sheet").expect(0);
    let files = "cd /restored/srv && cat archive/b annex/a && stat -c '%a %U' archive/word";
    assert_eq!(stage.on_host(files).stdout, "plain\nannex\n600 root\n");
    let rows = "mariadb -BN kita-sonne_archive -e 'SELECT t FROM letters ORDER BY t'";
    assert_eq!(stage.on_host(rows).stdout, "1\n2\n");
    password
}

/// Carries a folder of this machine to the same place on the host, as somebody with the disk in hand would.
fn carry(stage: &Stage, folder: &Path) {
    let mut packed = Command::new("tar")
        .args(["--create", "--directory=/"])
        .arg(folder.strip_prefix("/").expect("absolute"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("tar starts");
    let unpacked = stage
        .host
        .command("tar --extract --directory=/")
        .stdin(packed.stdout.take().expect("piped"))
        .status();
    assert!(unpacked.expect("ssh starts").success() && packed.wait().expect("ended").success());
}

fn what_allmende_did_not_put_there_is_told_and_stays(stage: &Stage, password: &str) {
    let strange = Command::new("restic")
        .arg("-r")
        .arg(repository(&stage.target))
        .args(["--no-cache", "backup", "/etc/hostname"])
        .env("RESTIC_PASSWORD", password)
        .output()
        .expect("restic starts");
    assert!(strange.status.success(), "{strange:?}");
    upkeep(stage, "prune", "here", &[])
        .expect(1)
        .saying("1 snapshots in it were not made by Allmende");
    // The newer one of the day, and the strange one.
    assert_eq!(snapshots(&stage.target), 3 + 1);
}

fn what_the_rules_do_not_keep_goes(stage: &Stage, away: &Path) {
    upkeep(stage, "prune", "away", &["--dry-run"])
        .expect(0)
        .saying("backups 1 would be forgotten");
    assert_eq!(snapshots(away), 6);
    upkeep(stage, "prune", "away", &[])
        .expect(0)
        .saying("forgot backups 1");
    assert_eq!(snapshots(away), 3);
    upkeep(stage, "prune", "away", &[])
        .expect(0)
        .saying("all backups stay");
    // What was forgotten there is not brought back.
    upkeep(stage, "copy", "away", &[])
        .expect(0)
        .saying("everything is there");
}

fn damage_is_found_and_nothing_is_removed_then(stage: &Stage, away: &Path) {
    upkeep(stage, "check", "away", &["--all-data"])
        .expect(0)
        .saying("whole; all of its data was read");
    let folders = std::fs::read_dir(repository(away).join("data")).expect("there");
    let pack = folders
        .flatten()
        .flat_map(|folder| std::fs::read_dir(folder.path()).expect("there").flatten())
        .map(|pack| pack.path())
        .next()
        .expect("a pack");
    let mut bytes = std::fs::read(&pack).expect("read");
    bytes[10] ^= 1;
    std::fs::write(&pack, bytes).expect("written");
    upkeep(stage, "check", "away", &["--all-data"])
        .expect(1)
        .saying("is damaged");
    upkeep(stage, "prune", "away", &[])
        .expect(1)
        .saying("nothing is removed from it, because it is damaged");
}

fn what_is_gone_is_told_and_not_made_anew(stage: &Stage, away: &Path) {
    let gone = repository(away);
    std::fs::rename(&gone, away.join("elsewhere")).expect("moved");
    upkeep(stage, "copy", "away", &[]).expect(1);
    assert!(
        !gone.exists(),
        "an empty one in its place hides that backups are gone"
    );

    // restic itself finds nothing wrong with a repository whose snapshots somebody removed.
    let snapshots = repository(&stage.target).join("snapshots");
    for snapshot in std::fs::read_dir(&snapshots).expect("there").flatten() {
        std::fs::remove_file(snapshot.path()).expect("removed");
    }
    upkeep(stage, "check", "here", &["--all-data"])
        .expect(1)
        .saying("backup 2 is no longer in it");
}
