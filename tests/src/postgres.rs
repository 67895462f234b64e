//! PostgreSQL for tests: a private cluster for each process, a database for each test.
//!
//! The cluster listens on no port, only on a socket in a folder of its own, and lives no longer than the process that made it,
//! however that ends.

use std::fs;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// Waits for the end of its standard input, which is the end of the tests; then ends the server and tidies up. It does nothing
/// else, because it has to outlive a process that was killed.
const KEEPER: &str = r#"
folder=$1; shift
"$@" </dev/null &
server=$!
read -r _
kill -INT "$server"
wait "$server"
rm -rf "$folder"
"#;

/// How long the server may take to answer for the first time; slow machines are slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// The user as whom everybody comes, without a password: the socket lies in a folder of ours.
const USER: &str = "allmende";

/// The PostgreSQL of this process.
pub struct Cluster {
    folder: PathBuf,
    programs: PathBuf,
    /// Its standard input is what keeps the server alive.
    _keeper: Child,
}

/// A database that goes away with this value.
pub struct Database {
    /// What the database is called.
    name: String,
    cluster: &'static Cluster,
}

impl Cluster {
    /// The cluster of this process; the first call makes it.
    ///
    /// # Panics
    /// Without PostgreSQL, or when it does not start: no test is skipped silently.
    pub fn of_this_process() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(Self::start)
    }

    fn start() -> Self {
        let programs = programs();
        // Kept: whoever ends the server removes the folder, too. Short, for a socket's path may have 107 bytes.
        let folder = TempDir::with_prefix("allmende-pg-").expect("a folder").keep();
        if is_root() {
            let user = server_user();
            let status = Command::new("chown").arg(user).arg(&folder).status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "{} goes to {user}",
                folder.display()
            );
        }
        let data = folder.join("data");
        // A locale that sorts as people do: what must be sorted by bytes has to say so itself.
        let made = as_server_user(&programs.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C.UTF-8"])
            .args([
                "--locale-provider=icu",
                "--icu-locale=de",
                "--username",
                USER,
                "--pgdata",
            ])
            .arg(&data)
            .current_dir(&folder)
            .output()
            .expect("initdb runs");
        assert!(made.status.success(), "initdb: {}", said(&made));
        let server = as_server_user(&programs.join("postgres"));
        let log = fs::File::create(folder.join("log")).expect("a log");
        let mut keeper = Command::new("sh");
        keeper.args(["-c", KEEPER, "sh"]).arg(&folder);
        keeper.arg(server.get_program()).args(server.get_args());
        keeper.arg("-D").arg(&data).arg("-k").arg(&folder);
        // Nothing here has to survive a power cut.
        for setting in [
            "listen_addresses=",
            "max_connections=400",
            "fsync=off",
            "full_page_writes=off",
        ] {
            keeper.args(["-c", setting]);
        }
        let keeper = keeper
            .current_dir(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(log)
            // What ends the tests from a terminal ends the server through its keeper, and not before.
            .process_group(0)
            .spawn()
            .expect("a shell runs");
        let cluster = Self {
            folder,
            programs,
            _keeper: keeper,
        };
        cluster.wait();
        cluster
    }

    fn wait(&self) {
        let begun = Instant::now();
        loop {
            let answer = self
                .client("psql", "postgres")
                .args(["-c", "SELECT 1"])
                .output()
                .expect("psql runs");
            if answer.status.success() {
                return;
            }
            if begun.elapsed() > PATIENCE {
                let mut log = String::new();
                let _ = fs::File::open(self.folder.join("log"))
                    .and_then(|mut file| file.read_to_string(&mut log));
                panic!("PostgreSQL does not answer: {}\n{log}", said(&answer));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    /// A database of its own, empty or a copy of another to which nobody is connected.
    pub fn database(&'static self, template: Option<&Database>) -> Database {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        let name = format!("test{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let template = template.map_or("template0", |database| &database.name);
        self.tell(&format!("CREATE DATABASE {name} TEMPLATE {template}"));
        Database { name, cluster: self }
    }

    fn tell(&self, sql: &str) {
        let done = self
            .client("psql", "postgres")
            .args(["-c", sql])
            .output()
            .expect("psql runs");
        assert!(done.status.success(), "{sql}: {}", said(&done));
    }

    fn client(&self, program: &str, database: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command.args([
            "--no-psqlrc",
            "--quiet",
            "--tuples-only",
            "--no-align",
            "--set=ON_ERROR_STOP=1",
        ]);
        command
            .arg("--host")
            .arg(&self.folder)
            .args(["--username", USER, "--dbname", database]);
        command
    }
}

impl Database {
    /// How Allmende gets there.
    pub fn address(&self) -> String {
        let socket = self.cluster.folder.display();
        format!("postgres://{USER}@localhost/{}?host={socket}", self.name)
    }

    /// What the database answers, as psql prints it.
    ///
    /// # Panics
    /// When it refuses.
    pub fn ask(&self, sql: &str) -> String {
        let answer = self
            .cluster
            .client("psql", &self.name)
            .args(["-c", sql])
            .output()
            .expect("psql runs");
        assert!(answer.status.success(), "{sql}: {}", said(&answer));
        String::from_utf8_lossy(&answer.stdout).trim_end().to_owned()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        // The cluster goes away in any case.
        let _ = self
            .cluster
            .client("psql", "postgres")
            .args([
                "-c",
                &format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name),
            ])
            .output();
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Where PostgreSQL's programs are: Debian keeps them apart by version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    versions
        .filter_map(|entry| Some((entry.file_name().to_str()?.parse::<u32>().ok()?, entry.path().join("bin"))))
        .filter(|(_, programs)| programs.join("initdb").exists())
        .max()
        .map(|(_, programs)| programs)
        .expect("these tests need PostgreSQL, version 15 or newer; install Debian's package postgresql (./prerequisites test)")
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output().expect("id runs");
    id.stdout.starts_with(b"0\n")
}

/// The user as whom the server runs where the tests run as root: it refuses to be root.
fn server_user() -> &'static str {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    if passwd.lines().any(|line| line.starts_with("postgres:")) {
        "postgres"
    } else {
        "nobody"
    }
}

fn as_server_user(program: &Path) -> Command {
    if !is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args([
        "--reuid",
        server_user(),
        "--regid",
        server_group(),
        "--clear-groups",
        "--",
    ]);
    command.arg(program);
    command
}

fn server_group() -> &'static str {
    if server_user() == "postgres" {
        "postgres"
    } else {
        "nogroup"
    }
}
