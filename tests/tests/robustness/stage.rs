//! Where the disturbances are played: a practice host in Allmende's care, a service made to be disturbed, and programs that
//! run in the background.

use std::cell::Cell;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, World};
use tempfile::TempDir;

/// How long anything that is waited for may take, unless the test says otherwise.
pub const SOON: Duration = Duration::from_secs(30);

/// The name of the host, as Allmende knows it.
pub const HOST: &str = "web";

/// Files, then a command that waits until it may go on, then a file again; and a handler that counts.
///
/// Each `round` is a new piece of work: everything is changed once, and a line is added to `ran` and `handled`.
const DISTURBED: &str = r#"
format = 1
name = "disturbed"
title = { de = "Gestört", en = "Disturbed" }
summary = { de = "Wird gestört.", en = "Is made to be disturbed." }

[params.round]
type = "name"
default = "first"
help = { de = "Durchgang", en = "Round" }

[params.wait_in_handler]
type = "boolean"
default = false
help = { de = "Ob der Handler wartet", en = "Whether the handler waits" }

[vars]
wait = "i=0; until [ -e /run/go-{{ round }} ]; do i=$((i+1)); [ $i -lt 1200 ] || exit 1; sleep 0.05; done"

[[resources]]
kind = "directory"
path = "/srv/disturbed"

[[resources]]
kind = "file"
path = "/srv/disturbed/before"
content = "{{ round }}\n"
notify = ["count"]

[[resources]]
id = "work"
kind = "command"
argv = ["sh", "-c", "echo {{ round }} >>/srv/disturbed/ran; {{ wait }}; touch /srv/disturbed/done-{{ round }}"]
creates = "/srv/disturbed/done-{{ round }}"

[[resources]]
kind = "file"
path = "/srv/disturbed/after"
content = "{{ round }}\n"

[[handlers]]
id = "count"
command = ["sh", "-c", "echo {{ round }} >>/srv/disturbed/handled; {{ wait if wait_in_handler else 'true' }}"]
"#;

/// A world with one practice host in Allmende's care as `web`, and folders of templates.
pub struct Stage {
    pub world: World,
    pub host: HostAccess,
    templates: TempDir,
    rounds: Cell<u32>,
}

impl Stage {
    /// A stage with the service `disturbed`.
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// The same, with further arguments for `lab up`.
    pub fn with(lab: &[&str]) -> Self {
        let (world, hosts) = World::with_hosts_of(1, "13", lab);
        let host = hosts.into_iter().next().expect("one host");
        world.care_for(HOST, &host);
        let stage = Self {
            world,
            host,
            templates: TempDir::new().expect("a folder"),
            rounds: Cell::new(0),
        };
        stage.template("disturbed", DISTURBED);
        stage.service("disturbed", "disturbed", &[]);
        stage
    }

    /// Writes a template.
    pub fn template(&self, name: &str, manifest: &str) -> PathBuf {
        let folder = self.templates.path().join(name);
        fs::create_dir_all(&folder).expect("made");
        fs::write(folder.join("service.toml"), manifest).expect("written");
        folder
    }

    /// Adds a service to the host.
    pub fn service(&self, name: &str, template: &str, settings: &[&str]) {
        let mut arguments = vec!["service", "add", name, "--org", "kita-sonne", "--host", HOST];
        arguments.extend(["--template", template]);
        arguments.extend(settings.iter().flat_map(|setting| ["--set", setting]));
        self.run(&arguments).expect(0);
    }

    /// The program with the stage's templates, as a person of this name would call it.
    pub fn command_of(&self, person: &str, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command
            .arg("--templates")
            .arg(self.templates.path())
            .env_remove("SUDO_USER")
            .env("LOGNAME", person);
        command
    }

    /// Runs the program to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish_within(Duration::from_secs(180))
    }

    /// Runs the program in the background.
    pub fn start(&self, arguments: &[&str]) -> Running {
        Running::start(self.command_of("anna", arguments))
    }

    /// Gives the service `disturbed` something new to do, and returns its name.
    pub fn new_round(&self) -> String {
        let number = self.rounds.get() + 1;
        self.rounds.set(number);
        let round = format!("round{number}");
        self.run(&["service", "edit", "disturbed", "--set", &format!("round={round}")])
            .expect(0);
        round
    }

    /// Begins an apply and waits until its command is in hand.
    pub fn apply_until_the_command_runs(&self) -> (Running, String) {
        let round = self.new_round();
        let apply = self.start(&["apply", "disturbed", "--yes"]);
        self.wait_until_the_command_runs(&round);
        (apply, round)
    }

    /// Waits until the command of a round is in hand.
    pub fn wait_until_the_command_runs(&self, round: &str) {
        self.wait_on_host(
            "the command to run",
            &format!("grep -qx {round} /srv/disturbed/ran"),
        );
    }

    /// Lets the command of a round, and its handler, go on.
    pub fn let_go(&self, round: &str) {
        self.on_host(&format!("touch /run/go-{round}"));
    }

    /// Applies once more; this must end well, and nothing may be left to do.
    #[track_caller]
    pub fn apply_ends_well(&self) -> Finished {
        let applied = self.run(&["apply", "disturbed", "--yes"]).expect(0);
        self.nothing_is_left();
        applied
    }

    /// A plan must find nothing to do.
    #[track_caller]
    pub fn nothing_is_left(&self) {
        self.run(&["plan", "disturbed"]).expect(0);
    }

    /// The round must be done: both files, the command and the handler, each once.
    #[track_caller]
    pub fn round_is_done_once(&self, round: &str) {
        for file in ["before", "after"] {
            assert_eq!(
                self.on_host(&format!("cat /srv/disturbed/{file}")),
                round,
                "{file}"
            );
        }
        for file in ["ran", "handled"] {
            let lines = self.on_host(&format!("grep -cx {round} /srv/disturbed/{file} || true"));
            assert_eq!(lines, "1", "lines in {file}");
        }
    }

    /// Runs a command on the host, which must end well; what it printed, without the last line end.
    #[track_caller]
    pub fn on_host(&self, line: &str) -> String {
        self.host.run(line).expect(0).stdout.trim_end().to_owned()
    }

    /// Waits until a command on the host ends well.
    #[track_caller]
    pub fn wait_on_host(&self, what: &str, line: &str) {
        wait_until(what, SOON, || self.host.run(line).code == Some(0));
    }

    /// Waits until the host can be reached (again).
    #[track_caller]
    pub fn wait_for_host(&self) {
        wait_until("the host to answer", Duration::from_secs(60), || {
            self.host.run("true").code == Some(0)
        });
    }

    /// Puts a file on the host.
    pub fn put(&self, path: &str, content: &[u8], mode: &str) {
        let octal: String = content.iter().map(|byte| format!("\\0{byte:03o}")).collect();
        self.on_host(&format!(
            "printf %b '{octal}' >{path}.new && chmod {mode} {path}.new && mv -f {path}.new {path}"
        ));
    }

    /// The state of the newest job of this kind.
    pub fn newest_job(&self, operation: &str) -> serde_json::Value {
        let jobs = self.run(&["job", "list", "--json"]).expect(0).json();
        jobs.as_array()
            .into_iter()
            .flatten()
            .find(|job| job["operation"] == operation)
            .unwrap_or_else(|| panic!("no job {operation} in {jobs}"))
            .clone()
    }

    /// The states of all jobs that applied something, newest first.
    pub fn states(&self) -> Vec<String> {
        let jobs = self.run(&["job", "list", "--json"]).expect(0).json();
        jobs.as_array()
            .into_iter()
            .flatten()
            .filter(|job| job["operation"] == "host.apply")
            .map(|job| job["state"].as_str().unwrap_or_default().to_owned())
            .collect()
    }

    /// Nothing half-written lies on the host: no temporary file beside what was written.
    #[track_caller]
    pub fn nothing_half_written(&self) {
        let strange = self.on_host(
            "ls -A /srv/disturbed | grep -vxE 'before|after|ran|handled|done-[a-z0-9]+' || true; \
             ls -A /usr/local/lib/allmende | grep -vx allmende-agent || true",
        );
        assert_eq!(strange, "", "files that should not be there");
    }
}

/// A program that runs in the background. It is killed if the test ends before it does.
pub struct Running {
    child: Child,
    line: String,
    outputs: TempDir,
}

impl Running {
    pub fn start(mut command: Command) -> Self {
        let outputs = TempDir::new().expect("a folder");
        let file = |name| File::create(outputs.path().join(name)).expect("a file");
        command
            .stdin(Stdio::null())
            .stdout(file("stdout"))
            .stderr(file("stderr"));
        let line = std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ");
        let child = command.spawn().unwrap_or_else(|error| panic!("{line}: {error}"));
        Self { child, line, outputs }
    }

    /// Ends it at once, as a power cut would.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        let status = self.child.wait().expect("ended");
        assert_eq!(
            status.signal(),
            Some(9),
            "it had ended before it was killed: {}",
            self.said()
        );
    }

    /// Ends it at once, unless it has ended by itself.
    pub fn kill_wherever_it_is(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// What Ctrl-C does.
    pub fn interrupt(&self) {
        let line = format!("kill -INT {}", self.child.id());
        Finished::of(Command::new("sh").args(["-c", &line])).expect(0);
    }

    /// What it said until now.
    pub fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.outputs.path().join(name)).unwrap_or_default();
        format!("{}\n{}", read("stdout"), read("stderr"))
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn finish_within(mut self, limit: Duration) -> Finished {
        let mut status = None;
        let began = Instant::now();
        while status.is_none() && began.elapsed() < limit {
            sleep(Duration::from_millis(20));
            status = self.child.try_wait().expect("asked");
        }
        let Some(status) = status else {
            panic!("{} still runs after {limit:?}:\n{}", self.line, self.said());
        };
        let read = |name: &str| fs::read_to_string(self.outputs.path().join(name)).expect("read");
        Finished {
            command: self.line.clone(),
            code: status.code(),
            stdout: read("stdout"),
            stderr: read("stderr"),
        }
    }

    /// Waits until it ends by itself.
    #[track_caller]
    pub fn finish(self) -> Finished {
        self.finish_within(SOON)
    }

    /// Waits until it has said something.
    #[track_caller]
    pub fn wait_until_it_says(&self, words: &str) {
        let began = Instant::now();
        while !self.said().contains(words) {
            assert!(
                began.elapsed() < SOON,
                "{} did not say {words:?} but:\n{}",
                self.line,
                self.said()
            );
            sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended in most tests.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until something holds, and fails the test if that takes too long.
#[track_caller]
pub fn wait_until(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < limit, "waited {limit:?} in vain for {what}");
        sleep(Duration::from_millis(50));
    }
}

/// The one error that a run ended with, which must say these words. What is said to a volunteer is one sentence or two, not a
/// heap of them, and no program's innards.
#[track_caller]
pub fn one_error(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.code, Some(1), "{}", finished.said());
    let errors: Vec<&str> = finished
        .stderr
        .lines()
        .filter(|line| line.starts_with("Error:"))
        .collect();
    let [error] = errors.as_slice() else {
        panic!("not one error but {}:\n{}", errors.len(), finished.said());
    };
    assert!(!finished.said().contains("panicked"), "{}", finished.said());
    for word in words {
        let (_, said) = finished.stderr.split_once(error).unwrap_or_default();
        let whole = format!("{error}{said}");
        assert!(whole.contains(word), "{word:?} is missing in: {whole}");
    }
}

/// Writes a file of this machine.
pub fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::write(path, content).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}
