//! A world to test in: a data directory of its own, and practice hosts that go away with it.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::postgres::{Cluster, Database};
use crate::program::{Finished, program};

/// A data directory with a lab. Dropping it removes both.
///
/// With `ALLMENDE_TEST_DATABASE=postgres` its data are in PostgreSQL: the same tests hold there.
pub struct World {
    folder: TempDir,
    database: Option<Database>,
}

/// How to reach a practice host.
#[derive(Debug, Clone)]
pub struct HostAccess {
    /// `practice1`.
    pub name: String,
    /// Its address.
    pub address: String,
    /// `SHA256:…`.
    pub fingerprint: String,
    /// The private key that logs in as root.
    pub identity: PathBuf,
}

impl World {
    /// A world with an initialised data directory and no hosts.
    pub fn new() -> Self {
        Self::with_settings("")
    }

    /// The same, whose data are in a file of the data directory in any case: for tests that look into it.
    pub fn in_a_file() -> Self {
        let world = Self::unfurnished();
        world.run(&["init"]).expect(0);
        world
    }

    /// The same, with these settings from the beginning.
    pub fn with_settings(settings: &str) -> Self {
        let mut world = Self::unfurnished();
        if std::env::var("ALLMENDE_TEST_DATABASE").is_ok_and(|kind| kind == "postgres")
            && !settings.contains("database =")
        {
            world.database = Some(Cluster::of_this_process().database(None));
        }
        world.set(settings);
        world.run(&["init"]).expect(0);
        world
    }

    fn unfurnished() -> Self {
        // Not in /tmp, which is memory on many machines and too small for practice hosts.
        let folder = TempDir::with_prefix_in("allmende-test-", "/var/tmp").expect("a folder in /var/tmp");
        Self {
            folder,
            database: None,
        }
    }

    /// A second controller on the same database, set up as the documentation says: with the same key and the same settings.
    pub fn second_controller(&self) -> Self {
        let second = Self::unfurnished();
        for file in ["allmende.toml", "vault.key"] {
            std::fs::copy(self.data_dir().join(file), second.data_dir().join(file)).expect("copied");
        }
        second.run(&["init"]).expect(0).saying("already");
        second
    }

    /// Writes the settings anew.
    pub fn set(&self, settings: &str) {
        let mut settings = settings.to_owned();
        if let Some(database) = &self.database {
            settings = format!("database = {:?}\n{settings}", database.address());
        }
        if !settings.is_empty() {
            std::fs::write(self.data_dir().join("allmende.toml"), settings).expect("writes the settings");
        }
    }

    /// A world with practice hosts of this Debian release.
    pub fn with_hosts(count: u32, release: &str) -> (Self, Vec<HostAccess>) {
        Self::with_hosts_of(count, release, &[])
    }

    /// A world with practice hosts, with further arguments for `lab up`.
    pub fn with_hosts_of(count: u32, release: &str, further: &[&str]) -> (Self, Vec<HostAccess>) {
        let world = Self::new();
        let hosts = world.raise(count, release, further);
        (world, hosts)
    }

    /// Makes practice hosts, with further arguments for `lab up`.
    pub fn raise(&self, count: u32, release: &str, further: &[&str]) -> Vec<HostAccess> {
        let count = count.to_string();
        let mut arguments = vec!["lab", "up", "--yes", "--hosts", &count, "--release", release];
        arguments.extend(further);
        self.run(&arguments).expect(0);
        self.hosts()
    }

    /// The practice hosts as they are now.
    pub fn hosts(&self) -> Vec<HostAccess> {
        let list = self.run(&["lab", "list", "--json"]).expect(0).json();
        let text = |host: &Value, key: &str| host[key].as_str().unwrap_or_default().to_owned();
        list.as_array()
            .into_iter()
            .flatten()
            .map(|host| HostAccess {
                name: text(host, "name"),
                address: text(host, "address"),
                fingerprint: text(host, "fingerprint"),
                identity: text(host, "identity").into(),
            })
            .collect()
    }

    /// The data directory.
    pub fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Takes further folders of service templates into use, as a person would: in the settings.
    pub fn use_templates(&self, folders: &[&Path]) {
        let folders: Vec<String> = folders
            .iter()
            .map(|folder| format!("{:?}", folder.display().to_string()))
            .collect();
        self.set(&format!("templates = [{}]\n", folders.join(", ")));
    }

    /// The files of the data directory that hold this text, practice hosts left out.
    pub fn files_with(&self, text: &str) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut open = vec![self.folder.path().to_owned()];
        while let Some(folder) = open.pop() {
            for entry in std::fs::read_dir(&folder).expect("reads a folder").flatten() {
                let path = entry.path();
                if path.is_dir() {
                    if path != self.folder.path().join("lab") {
                        open.push(path);
                    }
                } else if let Ok(bytes) = std::fs::read(&path)
                    && bytes.windows(text.len()).any(|window| window == text.as_bytes())
                {
                    found.push(path);
                }
            }
        }
        found
    }

    /// The root certificate of the controller's authority, as a file.
    pub fn authority(&self) -> PathBuf {
        let path = self.data_dir().join("authority-of-the-test.pem");
        let exported = self.run(&["authority", "export"]).expect(0);
        std::fs::write(&path, exported.stdout).expect("writes the certificate");
        path
    }

    /// The program, ready to be given arguments and to be started.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(program());
        command
            .args(arguments)
            .env("ALLMENDE_DATA_DIR", self.folder.path())
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    /// Runs the program to its end.
    pub fn run(&self, arguments: &[&str]) -> Finished {
        Finished::of(&mut self.command(arguments))
    }

    /// A day-to-day help of a service.
    pub fn action(&self, service: &str, rest: &[&str]) -> Finished {
        let words: Vec<&str> = ["action", service].iter().chain(rest).copied().collect();
        self.run(&words)
    }

    /// Adds the organisation `kita-sonne` and takes a practice host into care as `name`.
    pub fn care_for(&self, name: &str, host: &HostAccess) {
        if self.run(&["org", "show", "kita-sonne"]).code != Some(0) {
            let title = "KiTa Sonne e.V.";
            self.run(&["org", "add", "kita-sonne", "--name", title, "--sector", "kita"])
                .expect(0);
        }
        let identity = host.identity.display().to_string();
        self.run(&[
            "host",
            "add",
            name,
            "--org",
            "kita-sonne",
            "--address",
            &host.address,
            "--identity",
            &identity,
            "--fingerprint",
            &host.fingerprint,
        ])
        .expect(0);
    }
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Also what a test began that did not come to its end.
        if self.folder.path().join("lab").exists() {
            let down = self.run(&["lab", "down"]);
            if down.code != Some(0) {
                eprintln!("the lab could not be taken down: {}", down.said());
            }
        }
    }
}

impl HostAccess {
    /// A command on the host, over ssh with the lab's own key.
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("ssh");
        command
            .args([
                "-o",
                "StrictHostKeyChecking=no",
                "-o",
                "UserKnownHostsFile=/dev/null",
            ])
            .args([
                "-o",
                "LogLevel=ERROR",
                "-o",
                "BatchMode=yes",
                "-o",
                "ConnectTimeout=10",
            ])
            .arg("-i")
            .arg(&self.identity)
            .arg(format!("root@{}", self.address))
            .arg(line);
        command
    }

    /// Runs a command on the host to its end.
    pub fn run(&self, line: &str) -> Finished {
        Finished::of(&mut self.command(line))
    }
}
