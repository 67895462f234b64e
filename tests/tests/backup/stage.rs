//! A host with services that can be backed up, and a target on this machine.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, World};

/// A service with everything that a backup can be asked for: a rest, a database, a program's dump, files.
const ARCHIVE: &str = r#"
format = 1
name = "archive"
requires = ["base"]
title = { de = "Archiv", en = "Archive" }
summary = { de = "Ein Archiv.", en = "An archive." }

[params.word]
type = "secret"
help = { de = "Wort", en = "Word" }

[[resources]]
kind = "package"
names = ["mariadb-server"]

[[resources]]
kind = "mariadb_user"
name = "{{ service.instance }}"

[[resources]]
kind = "mariadb_database"
name = "{{ service.instance }}"
owner = "{{ service.instance }}"

[[resources]]
kind = "directory"
path = "/srv/archive"

[[resources]]
kind = "file"
path = "/srv/archive/word"
content = "{{ word }}\n"
owner = "root"
group = "root"
mode = "0600"

[backup]
paths = ["/srv/archive", "/srv/annex"]
exclude = ["/srv/archive/cache"]

[[backup.quiesce]]
argv = ["touch", "/run/archive-at-rest"]

[[backup.resume]]
argv = ["rm", "-f", "/run/archive-at-rest"]

[[backup.dumps]]
id = "database"
kind = "mariadb"
database = "{{ service.instance }}"

[[backup.dumps]]
id = "members"
kind = "command"
argv = ["sh", "/srv/members"]
load = ["cat"]
minimum_bytes = 10

[[verify.counts]]
dump = "database"
query = "SELECT count(*) FROM letters"

[[verify.files]]
path = "/srv/archive"
minimum = 2
"#;

/// What everything plays on.
pub struct Stage {
    pub world: World,
    pub host: HostAccess,
    /// A file system of its own: how full this machine's disk is decides nothing here.
    pub disk: PathBuf,
    /// The first target, on it.
    pub target: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.disk).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} could not be unmounted", self.disk.display());
        }
    }
}

fn mount_a_disk(folder: &Path) {
    std::fs::create_dir(folder).expect("made");
    let mounted = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=512m,mode=0700", "tmpfs"])
        .arg(folder)
        .status();
    assert!(mounted.expect("mount starts").success());
}

impl Stage {
    /// A host with the archive, never backed up so far.
    pub fn new(release: &str) -> Self {
        let (world, hosts) = World::with_hosts(1, release);
        let host = hosts.into_iter().next().expect("one host was asked for");
        let templates = world.data_dir().join("templates");
        std::fs::create_dir_all(templates.join("archive")).expect("made");
        std::fs::write(templates.join("archive/service.toml"), ARCHIVE).expect("written");
        world.use_templates(&[&templates]);
        world.care_for("web1", &host);
        let add = [
            "service",
            "add",
            "archive",
            "--org",
            "kita-sonne",
            "--host",
            "web1",
        ];
        world
            .run(&[&add[..], &["--template", "archive"]].concat())
            .expect(0);
        world.run(&["apply", "--host", "web1", "--yes"]).expect(0);
        let disk = world.data_dir().join("disk");
        mount_a_disk(&disk);
        let target = disk.join("here");
        let folder = target.display().to_string();
        world.run(&["target", "add", "here", "--disk", &folder]).expect(0);
        let stage = Self {
            world,
            host,
            disk,
            target,
        };
        stage.on_host("mkdir -p /srv/annex && echo annex > /srv/annex/a && echo plain > /srv/archive/b");
        stage.on_host("mariadb kita-sonne_archive -e 'CREATE TABLE letters (t TEXT); INSERT INTO letters VALUES (1), (2)'");
        stage.members("echo 'anna,ben,clara,dora'");
        stage
    }

    pub fn on_host(&self, line: &str) -> Finished {
        self.host.run(line).expect(0)
    }

    /// What the program prints whose dump is kept.
    pub fn members(&self, script: &str) {
        self.on_host(&format!("cat > /srv/members <<'END'\n{script}\nEND"));
    }

    pub fn back_up(&self) -> Finished {
        self.world.run(&["backup", "run", "archive"])
    }

    /// The folder of the archive's repository.
    pub fn repository(&self) -> PathBuf {
        let folder = self.target.join("kita-sonne");
        let mut entries = std::fs::read_dir(&folder).expect("there").flatten();
        entries.next().expect("one repository").path()
    }

    /// How many files a folder of the repository holds.
    pub fn count(&self, kind: &str) -> usize {
        std::fs::read_dir(self.repository().join(kind))
            .expect("there")
            .count()
    }

    /// Nothing of a backup goes on, and the service is awake. What was cut off may take a moment.
    #[track_caller]
    pub fn is_quiet(&self) {
        let busy = "pgrep -x restic || ls /run/archive-at-rest /run/allmende-agent/bridges/* 2>/dev/null";
        until(Duration::from_secs(40), || {
            self.host.run(busy).stdout.trim().is_empty()
        });
    }
}

/// Waits for something, not for ever.
#[track_caller]
pub fn until(limit: Duration, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < limit, "it took longer than {limit:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}
