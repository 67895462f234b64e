//! One engine process: started with its password in a pipe, followed to its end, and ended when nobody wants it any more.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use serde::Deserialize;

use super::launch;
use crate::atomic::make_own_directory;
use crate::check::no_secret;
use crate::engine::Asker;
use crate::layout::Layout;
use crate::mask::Masker;
use crate::names::{self, Verdict};
use crate::process;
use crate::protocol::{EngineCall, EngineEnd, Event};

/// How long the engine may take to clear up after itself before it is killed.
const GRACE: Duration = Duration::from_secs(5);
/// How often it is looked whether anybody still wants the engine to run.
const LOOK: Duration = Duration::from_millis(200);
/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(1);
/// The longest line that is understood, in bytes.
const LINE: u64 = 1024 * 1024;
/// The longest error line that is kept, in characters.
const ERROR: usize = 2000;

/// An engine to be run, for somebody who may go away.
pub(crate) struct Engine<'a> {
    pub(crate) layout: &'a Layout,
    pub(crate) call: &'a EngineCall,
    /// What its progress is told as.
    pub(crate) part: &'a str,
    pub(crate) masker: &'a Masker,
    pub(crate) asker: &'a Arc<dyn Asker>,
}

/// What the engine is fed with. Dropping the pipe tells the engine that this was all.
pub(crate) struct Feed<'a> {
    pub(crate) stdin: ChildStdin,
    /// The engine ended, or is to end.
    over: &'a AtomicBool,
}

impl Feed<'_> {
    /// Whether feeding makes no sense any more.
    pub(crate) fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }
}

/// Whether a call makes sense; nothing is started.
pub(crate) fn check(call: &EngineCall, masker: &Masker) -> Verdict {
    names::argv(&call.argv)?;
    names::environment(&call.env)?;
    names::run(&call.bridge)?;
    no_secret(call.argv.iter().chain(call.env.values()), masker)?;
    if call.password.is_empty() || call.password.len() > launch::LONGEST || call.password.contains('\n') {
        return Err("a repository's password is one line".to_owned());
    }
    Ok(())
}

impl Engine<'_> {
    /// Runs it with further arguments and nothing on standard input.
    pub(crate) fn run(&self, arguments: &[String]) -> Result<EngineEnd, String> {
        self.run_fed(arguments, |_| Ok(())).map(|(end, ())| end)
    }

    /// Runs it with what `feed` gives it. When that fails the engine is killed before it could believe that its input has
    /// ended, so that it keeps nothing of it; the reason comes back.
    pub(crate) fn run_fed<T: Send>(
        &self,
        arguments: &[String],
        feed: impl FnOnce(&mut Feed<'_>) -> Result<T, String> + Send,
    ) -> Result<(EngineEnd, T), String> {
        let (mut end, fed, summary) = self.drive(arguments, feed, |stdout| self.listen(stdout))?;
        end.summary = summary;
        Ok((end, fed))
    }

    /// Runs it while `take` reads what it writes to standard output.
    pub(crate) fn run_read<T: Send>(
        &self,
        take: impl FnOnce(&mut ChildStdout) -> T + Send,
    ) -> Result<(EngineEnd, T), String> {
        let (end, (), taken) = self.drive(&[], |_| Ok(()), |mut stdout| take(&mut stdout))?;
        Ok((end, taken))
    }

    fn drive<T: Send, U: Send>(
        &self,
        arguments: &[String],
        feed: impl FnOnce(&mut Feed<'_>) -> Result<T, String> + Send,
        read: impl FnOnce(ChildStdout) -> U + Send,
    ) -> Result<(EngineEnd, T, U), String> {
        self.asker.event(Event::Bridge(self.call.bridge.clone()));
        let begun = Instant::now();
        let mut child = self.start(arguments)?;
        let pid = Pid::from_child(&child);
        let over = AtomicBool::new(false);
        let (out, errors, fed) = thread::scope(|scope| {
            let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
            let over = &over;
            let feeding = scope.spawn(move || {
                let mut feed_with = Feed {
                    stdin: stdin.ok_or("the engine has no input")?,
                    over,
                };
                let fed = self.enter(&mut feed_with).and_then(|()| feed(&mut feed_with));
                if fed.is_err() {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                fed
            });
            let out = scope.spawn(move || stdout.map(read));
            let errors =
                scope.spawn(move || stderr.map(|stderr| self.complaints(stderr)).unwrap_or_default());
            self.wait(pid, over);
            let broken = |_| "a thread of the agent broke off".to_owned();
            (out.join(), errors.join(), feeding.join().map_err(broken))
        });
        let status = child.wait().map_err(|error| error.to_string())?;
        let (errors, more_errors) = errors.unwrap_or_default();
        let end = EngineEnd {
            code: status.code(),
            summary: None,
            errors,
            more_errors,
            millis: u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        match (fed?, out) {
            (Ok(fed), Ok(Some(out))) => Ok((end, fed, out)),
            (Ok(_), _) => Err("what the engine said was lost".to_owned()),
            // What the engine itself complains about comes first: its end is often why it could not be fed.
            (Err(why), _) => Err(match end.errors.first() {
                Some(error) => format!("{why}; the engine says: {error}"),
                None => why,
            }),
        }
    }

    fn start(&self, arguments: &[String]) -> Result<Child, String> {
        let cache = self.layout.engine_cache();
        make_own_directory(&cache).map_err(|error| error.to_string())?;
        let [program, own @ ..] = self.call.argv.as_slice() else {
            return Err("the engine's call names no program".to_owned());
        };
        let found = process::find(program).ok_or_else(|| {
            format!(
                "the program {program} is not there: templates that require \"base\" bring it; else: apt install {program}"
            )
        })?;
        let mut command = Command::new("/proc/self/exe");
        command
            .arg("engine")
            .arg(OsString::from(std::process::id().to_string()))
            .arg(found)
            .args(own)
            .args(arguments)
            .current_dir("/")
            .env_clear()
            .env("PATH", process::PATH)
            .env("HOME", "/root")
            .env("LANG", "C.UTF-8")
            .env("RESTIC_CACHE_DIR", cache)
            .envs(&self.call.env)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command
            .spawn()
            .map_err(|error| format!("{program} could not be started: {error}"))
    }

    /// Hands over the password, which is what the engine's process reads first.
    fn enter(&self, feed: &mut Feed<'_>) -> Result<(), String> {
        let line = format!("{}\n", self.call.password);
        feed.stdin
            .write_all(line.as_bytes())
            .map_err(|error| format!("the engine did not take its password: {error}"))
    }

    /// Waits for the engine's end; ends it when nobody listens any more. It is left to be reaped, so that its process id stays
    /// its own.
    fn wait(&self, pid: Pid, over: &AtomicBool) {
        let Ok(ended) = pidfd_open(pid, PidfdFlags::empty()) else {
            over.store(true, Ordering::SeqCst);
            let _ = kill_process_group(pid, Signal::KILL);
            return;
        };
        let look = Timespec::try_from(LOOK).ok();
        let mut asked_to_end: Option<Instant> = None;
        loop {
            let mut asked = [PollFd::new(&ended, PollFlags::IN)];
            if poll(&mut asked, look.as_ref()).is_ok_and(|count| count > 0) {
                break;
            }
            match asked_to_end {
                None if self.asker.is_gone() => {
                    over.store(true, Ordering::SeqCst);
                    let _ = kill_process_group(pid, Signal::TERM);
                    asked_to_end = Some(Instant::now());
                }
                Some(at) if at.elapsed() >= GRACE => {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                _ => {}
            }
        }
        over.store(true, Ordering::SeqCst);
        // What it started and left behind.
        let _ = kill_process_group(pid, Signal::KILL);
    }

    /// Tells progress, and returns the summary.
    fn listen(&self, stdout: impl Read) -> Option<String> {
        let mut summary = None;
        let mut told: Option<Instant> = None;
        each_line(stdout, |line| match serde_json::from_str(&line) {
            Ok(Said::Summary {}) => summary = Some(self.masker.masked(line)),
            Ok(Said::Status(status)) if told.is_none_or(|at| at.elapsed() >= PROGRESS) => {
                told = Some(Instant::now());
                self.asker.event(status.event(self.part));
            }
            _ => {}
        });
        summary
    }

    /// The first lines of standard error, and how many more there were.
    fn complaints(&self, stderr: impl Read) -> (Vec<String>, u64) {
        let mut lines = Vec::new();
        let mut more = 0;
        each_line(stderr, |line| {
            if lines.len() < EngineEnd::LINES {
                let line = self.masker.masked(line);
                lines.push(line.chars().take(ERROR).collect());
            } else {
                more += 1;
            }
        });
        (lines, more)
    }
}

/// What the engine says on standard output, as far as it matters here.
#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Said {
    Status(Status),
    Summary {},
}

/// How far it is. A restore has words of its own for the same.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct Status {
    total_files: u64,
    #[serde(alias = "files_restored")]
    files_done: u64,
    total_bytes: u64,
    #[serde(alias = "bytes_restored")]
    bytes_done: u64,
}

impl Status {
    fn event(&self, part: &str) -> Event {
        Event::Progress {
            part: part.to_owned(),
            done_bytes: self.bytes_done,
            total_bytes: self.total_bytes,
            done_files: self.files_done,
            total_files: self.total_files,
        }
    }
}

/// Hands out lines until there are no more. One that is too long is left out.
fn each_line(from: impl Read, mut take: impl FnMut(String)) {
    let mut reader = BufReader::new(from);
    let mut line = Vec::new();
    let mut is_rest = false;
    loop {
        line.clear();
        match reader.by_ref().take(LINE).read_until(b'\n', &mut line) {
            Ok(0) => return,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
        let is_end = line.ends_with(b"\n");
        if !is_rest && (is_end || (line.len() as u64) < LINE) {
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            if !text.is_empty() {
                take(text);
            }
        }
        is_rest = !is_end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_whole_and_endless_ones_not_at_all() {
        let text = format!("one\n\n{}\ntwo", "x".repeat(3 * LINE as usize));
        let mut lines = Vec::new();
        each_line(text.as_bytes(), |line| lines.push(line));
        assert_eq!(lines, ["one", "two"]);
    }

    #[test]
    fn a_password_in_the_arguments_is_refused() {
        let call = |argv: &[&str], password: &str| EngineCall {
            argv: argv.iter().map(|&argument| argument.to_owned()).collect(),
            env: Default::default(),
            password: password.to_owned(),
            bridge: "job-1-0".to_owned(),
        };
        let check = |call: &EngineCall| check(call, &Masker::new(std::slice::from_ref(&call.password)));
        assert_eq!(check(&call(&["restic", "backup"], "correct-horse")), Ok(()));
        check(&call(&["restic", "--password=correct-horse"], "correct-horse")).expect_err("is in argv");
        check(&call(&["restic"], "correct\nhorse")).expect_err("are two lines");
        check(&call(&["restic"], "")).expect_err("is none");
        assert!(!format!("{:?}", call(&["restic"], "correct-horse")).contains("correct-horse"));
    }

    #[test]
    fn backups_and_restores_say_how_far_they_are_each_in_their_words() {
        for line in [
            r#"{"message_type":"status","percent_done":0.5,"total_files":4,"files_done":2,"total_bytes":100,"bytes_done":50}"#,
            r#"{"message_type":"status","total_files":4,"files_restored":2,"total_bytes":100,"bytes_restored":50}"#,
        ] {
            let Ok(Said::Status(status)) = serde_json::from_str(line) else {
                panic!("{line}");
            };
            assert_eq!(
                status.event("files"),
                Event::Progress {
                    part: "files".to_owned(),
                    done_bytes: 50,
                    total_bytes: 100,
                    done_files: 2,
                    total_files: 4,
                }
            );
        }
    }
}
