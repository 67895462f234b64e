//! A service at rest, and what wakes it whatever happens: the backup itself, else a timer of the host's, else the next agent.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;
use std::time::Instant;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::steps;
use crate::AGENT_PATH;
use crate::atomic::write_own;
use crate::error::{Attempt, Error};
use crate::host::{Host, Intent};
use crate::layout::Layout;
use crate::lock::{Lock, Locked};
use crate::names;
use crate::process::Program;
use crate::protocol::Step;

/// A service that a run has brought to rest, or is about to.
pub(super) struct Rest<'a> {
    layout: &'a Layout,
    run: &'a str,
    since: Instant,
}

/// How a service was found when it was to be woken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Woken {
    /// At rest until now.
    Now,
    /// Awake: its time was up, and the host woke it by itself.
    Before,
}

/// What outlives the agent: how the service is woken. It holds no secret, for it is on disk.
#[derive(Serialize, Deserialize)]
struct Sleeper {
    steps: Vec<Step>,
}

impl<'a> Rest<'a> {
    /// Sees to it that the service is woken after `within` seconds at the latest. Nothing is brought to rest yet.
    pub(super) fn promise(
        layout: &'a Layout,
        run: &'a str,
        resume: &[Step],
        within: u64,
    ) -> Result<Rest<'a>, Error> {
        let path = path(layout, run);
        let sleeper = Sleeper {
            steps: resume.to_vec(),
        };
        let text = serde_json::to_vec(&sleeper)
            .map_err(io::Error::from)
            .attempt("writing", &path)?;
        write_own(&path, &text, 0o600, true)?;
        let since = Instant::now();
        let unit = unit(run);
        let timer = Program::new([
            "systemd-run",
            "--quiet",
            "--collect",
            &format!("--unit={unit}"),
            &format!("--on-active={within}"),
            "--timer-property=AccuracySec=1s",
            "--property=Restart=on-failure",
            "--property=RestartSec=60",
            AGENT_PATH,
            "resume",
            run,
        ])
        .quietly();
        if let Err(error) = timer {
            let _ = fs::remove_file(&path);
            return Err(error.into());
        }
        Ok(Rest { layout, run, since })
    }

    /// Wakes the service, and takes back the promise if that worked.
    pub(super) fn wake(self, host: &mut Host) -> (Result<Woken, Error>, u64) {
        let woken = wake(self.layout, self.run, host);
        (woken, self.since.elapsed().as_secs())
    }
}

/// `allmende-agent resume RUN`: wakes the service that a run has brought to rest, if it still is.
///
/// # Errors
/// A sentence for people: what came back from the steps.
pub fn resume(layout: &Layout, run: &str) -> Result<(), String> {
    names::run(run)?;
    wake_by_itself(layout, run).map_err(|error| error.to_string())
}

/// Wakes services whose runs are gone: an agent that was killed, or a host that was switched off.
pub(crate) fn wake_left(layout: &Layout) {
    let runs: Vec<String> = fs::read_dir(layout.rest())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
        .filter(|run| names::run(run).is_ok())
        .collect();
    for run in runs {
        if Lock::held(layout).is_some_and(|held| held.run == run) {
            continue;
        }
        // What cannot be woken is tried again by the timer and the next session; its checks say that it is down.
        let _ = wake_by_itself(layout, &run);
    }
}

fn wake_by_itself(layout: &Layout, run: &str) -> Result<(), Error> {
    // Another run may just have stopped the service; the timer and the next session try again.
    if let Some(held) = Lock::held(layout).filter(|held| held.run != run) {
        return Err(Error::obstacle(
            format!("{} changes the host", held.holder),
            "wait for its end",
        ));
    }
    let mut host = Host::new(layout.clone(), Intent::Apply, Box::new(|_| ()));
    wake(layout, run, &mut host).map(|_| ())
}

/// Runs every step, also after one failed; the first failure comes back.
pub(super) fn run_all(resume: &[Step], host: &mut Host) -> Result<(), Error> {
    let mut failure = None;
    for step in resume {
        if let Err(error) = steps::run(step, host) {
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

fn wake(layout: &Layout, run: &str, host: &mut Host) -> Result<Woken, Error> {
    let path = path(layout, run);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Woken::Before),
        Err(error) => return Err(error).attempt("opening", &path),
    };
    flock(&file, FlockOperation::LockExclusive).attempt("locking", &path)?;
    let _waking = Locked(file);
    // Whoever had the lock before may have done it.
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Woken::Before),
        Err(error) => return Err(error).attempt("reading", &path),
    };
    let sleeper: Sleeper = serde_json::from_slice(&text)
        .map_err(io::Error::from)
        .attempt("reading", &path)?;
    run_all(&sleeper.steps, host)?;
    // The promise goes last: killed before, somebody else keeps it.
    fs::remove_file(&path).attempt("removing", &path)?;
    let timer = format!("{}.timer", unit(run));
    // After a restart of the host there is none any more; one that stays finds nothing to do.
    let _ = Program::new(["systemctl", "stop", "--quiet", &timer]).quietly();
    Ok(Woken::Now)
}

fn path(layout: &Layout, run: &str) -> PathBuf {
    layout.rest().join(format!("{run}.json"))
}

fn unit(run: &str) -> String {
    format!("allmende-resume-{run}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asleep(run: &str, argv: &[&str]) -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        fs::create_dir_all(layout.at("/etc")).expect("makes");
        fs::write(layout.at("/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").expect("writes");
        fs::write(layout.at("/etc/group"), "root:x:0:\n").expect("writes");
        let step = Step {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            user: "root".to_owned(),
            timeout: 10,
            stdin: None,
            env: Default::default(),
        };
        let sleeper = Sleeper { steps: vec![step] };
        let text = serde_json::to_vec(&sleeper).expect("writes");
        write_own(&path(&layout, run), &text, 0o600, false).expect("writes");
        (root, layout)
    }

    #[test]
    fn a_service_is_woken_once() {
        let (root, layout) = asleep("job-1", &["true"]);
        let mark = root.path().join("awake").display().to_string();
        let (_other, layout_of_mark) = asleep("job-2", &["mkdir", &mark]);
        resume(&layout_of_mark, "job-2").expect("wakes");
        assert!(root.path().join("awake").is_dir());
        resume(&layout_of_mark, "job-2").expect("is awake already");
        wake_left(&layout);
        assert_eq!(fs::read_dir(layout.rest()).expect("reads").count(), 0);
    }

    #[test]
    fn a_service_that_cannot_be_woken_is_not_forgotten() {
        let (_root, layout) = asleep("job-1", &["false"]);
        let said = resume(&layout, "job-1").expect_err("fails");
        assert!(said.contains("`false` ended with code 1"), "{said}");
        assert!(path(&layout, "job-1").exists());
        assert!(resume(&layout, "../x").is_err());
    }

    #[test]
    fn a_run_under_way_wakes_its_service_itself() {
        let (root, layout) = asleep("job-1", &["true"]);
        fs::create_dir(root.path().join("run")).expect("makes");
        let lock = Lock::take(&layout, "job-1", "anna").expect("is free");
        wake_left(&layout);
        assert!(path(&layout, "job-1").exists());
        drop(lock);
        wake_left(&layout);
        assert!(!path(&layout, "job-1").exists());
    }
}
