//! A server that runs on a world's data, and a service whose apply waits until it is told to go on.

use std::fs::{self, File};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use allmende_tests::{Finished, HostAccess, World};

/// How long anything that is waited for may take.
pub const SOON: Duration = Duration::from_secs(60);

const WAITING: &str = r#"
format = 1
name = "waiting"
title = { de = "Wartet", en = "Waiting" }
summary = { de = "Wartet auf eine Datei.", en = "Waits for a file." }

[params.round]
type = "name"
default = "first"
help = { de = "Durchgang", en = "Round" }

[[resources]]
kind = "command"
argv = ["sh", "-c", "echo {{ round }} >>/root/ran; i=0; until [ -e /run/go-{{ round }} ]; do i=$((i+1)); [ $i -lt 1200 ] || exit 1; sleep 0.05; done; touch /root/done-{{ round }}"]
creates = "/root/done-{{ round }}"
"#;

/// A world whose host has the service `waiting`, known to servers as well.
pub struct Stage {
    pub world: World,
    pub host: HostAccess,
    _templates: tempfile::TempDir,
}

impl Stage {
    pub fn new() -> Self {
        Self::with_settings("")
    }

    /// With further lines in the settings.
    pub fn with_settings(further: &str) -> Self {
        let templates = tempfile::TempDir::new().expect("a folder");
        let folder = templates.path().join("waiting");
        fs::create_dir(&folder).expect("made");
        fs::write(folder.join("service.toml"), WAITING).expect("written");
        let settings = format!(
            "templates = [{:?}]\nlisten = \"127.0.0.1:0\"\n{further}",
            templates.path().display().to_string()
        );
        let world = World::with_settings(&settings);
        let host = world.raise(1, "13", &[]).remove(0);
        world.care_for("web1", &host);
        let add = [
            "service",
            "add",
            "waiting",
            "--org",
            "kita-sonne",
            "--host",
            "web1",
        ];
        world
            .run(&[add.as_slice(), &["--template", "waiting"]].concat())
            .expect(0);
        // Once through, so that later only the waiting is left to do.
        host.run("touch /run/go-first").expect(0);
        world.run(&["apply", "waiting", "--yes"]).expect(0);
        Self {
            world,
            host,
            _templates: templates,
        }
    }

    /// Wishes for another round of waiting.
    pub fn round(&self, name: &str) {
        let round = format!("round={name}");
        self.world
            .run(&["service", "edit", "waiting", "--set", &round])
            .expect(0);
    }

    /// Waits until the round's work has begun on the host.
    pub fn begun(&self, round: &str) {
        let line = format!("grep -qx {round} /root/ran");
        until(&format!("round {round} begins"), || {
            self.host.run(&line).code == Some(0)
        });
    }

    /// Lets the round go on.
    pub fn go(&self, round: &str) {
        self.host.run(&format!("touch /run/go-{round}")).expect(0);
    }

    /// How often the round's work was begun.
    pub fn times(&self, round: &str) -> usize {
        let ran = self.host.run("cat /root/ran").expect(0).stdout;
        ran.lines().filter(|line| *line == round).count()
    }

    /// Begins an apply and looks on.
    pub fn apply(&self) -> Background {
        Background::start(
            &mut self.world.command(&["apply", "waiting", "--yes"]),
            "apply",
            &self.world,
        )
    }

    /// The newest job.
    pub fn newest_job(&self) -> serde_json::Value {
        self.world.run(&["job", "list", "--json"]).expect(0).json()[0].clone()
    }

    /// Waits until the newest job is in this state.
    pub fn newest_job_is(&self, state: &str) {
        until(&format!("the newest job is {state}"), || {
            self.newest_job()["state"] == state
        });
    }

    /// Starts a server, and waits until work can be handed to it.
    pub fn serve(&self) -> Background {
        Background::serve(&mut self.world.command(&["serve"]), &self.world)
    }
}

/// A program in the background; dropping it kills it.
pub struct Background {
    child: Child,
    output: std::path::PathBuf,
}

impl Background {
    pub fn start(command: &mut Command, name: &str, world: &World) -> Self {
        let output = world.data_dir().join(format!("{name}-{}.txt", next_number()));
        let file = File::create(&output).expect("made");
        let child = command
            .stdin(Stdio::null())
            .stdout(file.try_clone().expect("cloned"))
            .stderr(file)
            .spawn()
            .expect("starts");
        Self { child, output }
    }

    /// Starts a server, and waits until work can be handed to it.
    pub fn serve(command: &mut Command, world: &World) -> Self {
        let server = Self::start(command, "serve", world);
        until("the server runs", || server.said().contains("serving "));
        sleep(Duration::from_millis(200));
        server
    }

    /// What it has said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.output).unwrap_or_default()
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Sends it a signal.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        Finished::of(Command::new("kill").args(["-s", name, &pid])).expect(0);
    }

    /// Waits for its end; its exit code.
    pub fn ends(&mut self) -> Option<i32> {
        let since = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("asked") {
                return status.code();
            }
            assert!(
                since.elapsed() < SOON,
                "it does not end, but says: {}",
                self.said()
            );
            sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A number that no other file of this process has.
fn next_number() -> u32 {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(1);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Waits until something holds.
#[track_caller]
pub fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < SOON, "in vain: {what}");
        sleep(Duration::from_millis(100));
    }
}
