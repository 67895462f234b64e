//! Programs that the agent starts: an argument list, never a shell line; a clean environment; an end in time.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use crate::host::Account;

const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Standard output that is kept at most, in bytes.
const KEPT: usize = 4 * 1024 * 1024;
/// Last lines that an error quotes.
const TAIL: usize = 15;
/// The longest line that is passed on, in bytes.
const LINE: usize = 1000;
/// How long a program may take to end after it has been asked to.
const GRACE: Duration = Duration::from_secs(10);

/// A program to run, with all that belongs to it. Building it starts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) argv: Vec<String>,
    user: Option<Account>,
    cwd: PathBuf,
    env: Vec<(String, String)>,
    stdin: Option<Vec<u8>>,
    timeout: Duration,
}

/// How a program ended.
#[derive(Debug)]
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: Vec<u8>,
    pub(crate) tail: Vec<String>,
    shown: String,
}

/// Why a program did not do what it was started for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProcessError {
    #[error("the program {program} is not there: install what provides it first")]
    NotThere { program: String },
    #[error("`{shown}` could not be started: {source}")]
    Start { shown: String, source: io::Error },
    #[error("`{shown}` {how}{}", quoted(.tail))]
    Failed {
        shown: String,
        how: String,
        code: Option<i32>,
        tail: Vec<String>,
    },
    #[error("`{shown}` took longer than {seconds} seconds and was ended{}", quoted(.tail))]
    TimedOut {
        shown: String,
        seconds: u64,
        tail: Vec<String>,
    },
}

impl ProcessError {
    /// Whether the program's last lines contain `text`.
    pub(crate) fn says(&self, text: &str) -> bool {
        match self {
            ProcessError::Failed { tail, .. } | ProcessError::TimedOut { tail, .. } => {
                tail.iter().any(|line| line.contains(text))
            }
            _ => false,
        }
    }

    /// The exit code of a program that failed.
    pub(crate) fn code(&self) -> Option<i32> {
        match self {
            ProcessError::Failed { code, .. } => *code,
            _ => None,
        }
    }
}

fn quoted(tail: &[String]) -> String {
    match tail {
        [] => " without a word".to_owned(),
        [line] => format!(": {line}"),
        lines => format!(":\n  {}", lines.join("\n  ")),
    }
}

impl Program {
    /// A program with its arguments, run as root in `/` for at most ten minutes.
    pub(crate) fn new<A: Into<String>>(argv: impl IntoIterator<Item = A>) -> Program {
        Program {
            argv: argv.into_iter().map(Into::into).collect(),
            user: None,
            cwd: PathBuf::from("/"),
            env: Vec::new(),
            stdin: None,
            timeout: Duration::from_secs(600),
        }
    }

    pub(crate) fn arg(mut self, argument: impl Into<String>) -> Program {
        self.argv.push(argument.into());
        self
    }

    pub(crate) fn args<A: Into<String>>(mut self, arguments: impl IntoIterator<Item = A>) -> Program {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// The Unix user that runs it; root stays root.
    pub(crate) fn user(mut self, account: &Account) -> Program {
        self.user = (account.name != "root").then(|| account.clone());
        self
    }

    pub(crate) fn cwd(mut self, cwd: impl Into<PathBuf>) -> Program {
        self.cwd = cwd.into();
        self
    }

    pub(crate) fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Program {
        self.env.push((name.into(), value.into()));
        self
    }

    pub(crate) fn stdin(mut self, text: impl Into<Vec<u8>>) -> Program {
        self.stdin = Some(text.into());
        self
    }

    pub(crate) fn timeout(mut self, timeout: Duration) -> Program {
        self.timeout = timeout;
        self
    }

    /// The command line for people.
    pub(crate) fn shown(&self) -> String {
        let mut shown = self.argv.join(" ");
        if let Some((end, _)) = shown.char_indices().nth(200) {
            shown.truncate(end);
            shown.push('…');
        }
        shown.replace(['\n', '\r'], " ")
    }

    /// Runs it to its end and wants success.
    pub(crate) fn succeed(&self, say: &mut dyn FnMut(&str)) -> Result<Finished, ProcessError> {
        self.run(say)?.success()
    }

    /// [`Program::succeed`] for programs whose lines interest nobody.
    pub(crate) fn quietly(&self) -> Result<Finished, ProcessError> {
        self.succeed(&mut |_| ())
    }

    /// Runs it to its end, whatever that is; each line it prints goes to `say`.
    pub(crate) fn run(&self, say: &mut dyn FnMut(&str)) -> Result<Finished, ProcessError> {
        let mut child = self.spawn()?;
        let failed = |source| ProcessError::Start {
            shown: self.shown(),
            source,
        };
        let followed = Follower::new(self, &mut child).and_then(|mut follower| {
            let status = follower.to_the_end(self, &mut child, say)?;
            Ok((status, follower))
        });
        let (status, follower) = match followed {
            Ok(both) => both,
            Err(source) => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(source));
            }
        };
        if follower.timed_out {
            return Err(ProcessError::TimedOut {
                shown: self.shown(),
                seconds: self.timeout.as_secs(),
                tail: follower.tail.into(),
            });
        }
        Ok(Finished {
            status,
            stdout: follower.kept,
            tail: follower.tail.into(),
            shown: self.shown(),
        })
    }

    fn spawn(&self) -> Result<Child, ProcessError> {
        let program = self.argv.first().map_or("", String::as_str);
        let Some(found) = find(program) else {
            return Err(ProcessError::NotThere {
                program: program.to_owned(),
            });
        };
        let (mut command, name, home) = match &self.user {
            None => (Command::new(found), "root", Path::new("/root")),
            Some(Account { name, gid, home, .. }) => {
                // Not runuser: it would open a PAM session, with its log lines, for each guard that is asked.
                let mut command = Command::new("setpriv");
                command
                    .args([
                        "--reuid",
                        name,
                        "--regid",
                        &gid.to_string(),
                        "--init-groups",
                        "--",
                    ])
                    .arg(found);
                (command, name.as_str(), Path::new(home))
            }
        };
        command
            .args(self.argv.get(1..).unwrap_or_default())
            .current_dir(&self.cwd)
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", home)
            .env("USER", name)
            .env("LOGNAME", name)
            .env("LANG", "C.UTF-8")
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(if self.stdin.is_some() {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        command.spawn().map_err(|source| ProcessError::Start {
            shown: self.shown(),
            source,
        })
    }
}

/// Where a program is: an absolute path as it is, a name by the search path.
fn find(program: &str) -> Option<PathBuf> {
    if program.is_empty() {
        return None;
    }
    if program.contains('/') {
        return Path::new(program).exists().then(|| PathBuf::from(program));
    }
    PATH.split(':')
        .map(|folder| Path::new(folder).join(program))
        .find(|path| path.is_file())
}

/// Whether a program can be started.
pub(crate) fn is_there(program: &str) -> bool {
    find(program).is_some()
}

impl Finished {
    /// An error unless the program ended with 0.
    pub(crate) fn success(self) -> Result<Finished, ProcessError> {
        if self.status.success() {
            return Ok(self);
        }
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("ended with code {code}"),
            (None, Some(signal)) => format!("was killed by signal {signal}"),
            (None, None) => "failed".to_owned(),
        };
        Err(ProcessError::Failed {
            shown: self.shown,
            how,
            code: self.status.code(),
            tail: self.tail,
        })
    }

    /// Standard output as text.
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
}

/// Feeds and drains a program until it ends.
struct Follower {
    stdin: Option<(std::process::ChildStdin, Vec<u8>, usize)>,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
    lines: [Lines; 2],
    kept: Vec<u8>,
    tail: VecDeque<String>,
    timed_out: bool,
}

impl Follower {
    fn new(program: &Program, child: &mut Child) -> io::Result<Follower> {
        let stdin = child
            .stdin
            .take()
            .map(|pipe| (pipe, program.stdin.clone().unwrap_or_default(), 0));
        let follower = Follower {
            stdin,
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            lines: Default::default(),
            kept: Vec::new(),
            tail: VecDeque::new(),
            timed_out: false,
        };
        if let Some((pipe, ..)) = &follower.stdin {
            do_not_block(pipe)?;
        }
        if let Some(pipe) = &follower.stdout {
            do_not_block(pipe)?;
        }
        if let Some(pipe) = &follower.stderr {
            do_not_block(pipe)?;
        }
        Ok(follower)
    }

    fn to_the_end(
        &mut self,
        program: &Program,
        child: &mut Child,
        say: &mut dyn FnMut(&str),
    ) -> io::Result<ExitStatus> {
        let pid = Pid::from_child(child);
        let ended = pidfd_open(pid, PidfdFlags::empty()).ok();
        let mut deadline = Instant::now() + program.timeout;
        loop {
            let mut left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let signal = if self.timed_out {
                    Signal::KILL
                } else {
                    Signal::TERM
                };
                let _ = kill_process_group(pid, signal);
                self.timed_out = true;
                deadline = Instant::now() + GRACE;
                left = GRACE;
            }
            if ended.is_none() {
                left = left.min(Duration::from_millis(20));
            }
            {
                let mut asked = Vec::with_capacity(4);
                if let Some((pipe, ..)) = &self.stdin {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::OUT));
                }
                if let Some(pipe) = &self.stdout {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
                if let Some(pipe) = &self.stderr {
                    asked.push(PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN));
                }
                if let Some(ended) = &ended {
                    asked.push(PollFd::from_borrowed_fd(ended.as_fd(), PollFlags::IN));
                }
                let wait = Timespec::try_from(left).map_err(io::Error::other)?;
                match poll(&mut asked, Some(&wait)) {
                    Ok(_) | Err(rustix::io::Errno::INTR) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            // Asked before the pipes are drained: what a program wrote before its end is then in them.
            let status = child.try_wait()?;
            self.feed();
            self.drain(say);
            if let Some(status) = status {
                for lines in &mut self.lines {
                    lines.rest(&mut |line| pass(line, &mut self.tail, say));
                }
                return Ok(status);
            }
        }
    }

    fn feed(&mut self) {
        if let Some((pipe, text, done)) = &mut self.stdin {
            loop {
                match pipe.write(text.get(*done..).unwrap_or_default()) {
                    Ok(count) if *done + count < text.len() && count > 0 => *done += count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    // All is written, or the program wants no more.
                    Ok(_) | Err(_) => break,
                }
            }
            self.stdin = None;
        }
    }

    fn drain(&mut self, say: &mut dyn FnMut(&str)) {
        let [out_lines, error_lines] = &mut self.lines;
        let (kept, tail) = (&mut self.kept, &mut self.tail);
        if let Some(pipe) = &mut self.stdout {
            let open = drain(pipe, &mut |bytes| {
                let room = KEPT.saturating_sub(kept.len()).min(bytes.len());
                kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
                out_lines.add(bytes, &mut |line| pass(line, tail, say));
            });
            if !open {
                self.stdout = None;
            }
        }
        if let Some(pipe) = &mut self.stderr
            && !drain(pipe, &mut |bytes| {
                error_lines.add(bytes, &mut |line| pass(line, tail, say))
            })
        {
            self.stderr = None;
        }
    }
}

fn do_not_block(pipe: &impl AsFd) -> io::Result<()> {
    let flags = fcntl_getfl(pipe)?;
    Ok(fcntl_setfl(pipe, flags | OFlags::NONBLOCK)?)
}

/// Reads what is there; false when there will be no more.
fn drain(pipe: &mut impl Read, take: &mut dyn FnMut(&[u8])) -> bool {
    let mut buffer = [0; 8192];
    loop {
        match pipe.read(&mut buffer) {
            Ok(0) => return false,
            Ok(count) => take(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return true,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

fn pass(line: &str, tail: &mut VecDeque<String>, say: &mut dyn FnMut(&str)) {
    if tail.len() == TAIL {
        tail.pop_front();
    }
    tail.push_back(line.to_owned());
    say(line);
}

/// Bytes that become lines of text; a line that never ends is cut.
#[derive(Debug, Default)]
struct Lines {
    open: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], take: &mut dyn FnMut(&str)) {
        for byte in bytes {
            match byte {
                b'\n' | b'\r' => self.rest(take),
                byte => {
                    if self.open.len() == LINE {
                        self.rest(take);
                    }
                    self.open.push(*byte);
                }
            }
        }
    }

    fn rest(&mut self, take: &mut dyn FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.open);
        let text = text.trim_end();
        if !text.is_empty() {
            take(&text.replace(|character: char| character.is_control() && character != '\t', "·"));
        }
        self.open.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(program: &Program) -> (Vec<String>, Result<Finished, ProcessError>) {
        let mut lines = Vec::new();
        let result = program.succeed(&mut |line| lines.push(line.to_owned()));
        (lines, result)
    }

    #[test]
    fn standard_input_larger_than_a_pipe_comes_back() {
        let text = "0123456789abcde\n".repeat(60_000);
        let finished = Program::new(["cat"]).stdin(text.clone()).quietly().expect("runs");
        assert_eq!(finished.text(), text);
    }

    #[test]
    fn a_failure_quotes_the_last_lines_and_the_code() {
        let (_, result) = lines_of(&Program::new(["sh", "-c", "echo one; echo two >&2; exit 3"]));
        let error = result.expect_err("fails");
        assert_eq!(error.code(), Some(3));
        assert!(error.says("one") && error.says("two"), "{error}");
    }

    #[test]
    fn a_program_that_takes_too_long_is_ended_with_its_children() {
        let begun = Instant::now();
        let program =
            Program::new(["sh", "-c", "sleep 60 & sleep 60; true"]).timeout(Duration::from_millis(200));
        let error = program.quietly().expect_err("is ended");
        assert!(matches!(error, ProcessError::TimedOut { .. }), "{error}");
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn a_daemon_that_keeps_the_pipe_open_does_not_hold_us() {
        let begun = Instant::now();
        let (lines, result) = lines_of(&Program::new(["sh", "-c", "sleep 30 & echo up"]));
        assert!(result.is_ok());
        assert_eq!(lines, ["up"]);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn the_environment_is_clean() {
        let finished = Program::new(["env"]).env("EXTRA", "1").quietly().expect("runs");
        let mut names: Vec<String> = finished
            .text()
            .lines()
            .filter_map(|line| line.split('=').next().map(str::to_owned))
            .collect();
        names.sort();
        assert_eq!(names, ["EXTRA", "HOME", "LANG", "LOGNAME", "PATH", "USER"]);
    }

    #[test]
    fn a_missing_program_is_named() {
        let error = Program::new(["no-such-program-here"])
            .quietly()
            .expect_err("is missing");
        assert!(
            error.to_string().contains("no-such-program-here is not there"),
            "{error}"
        );
    }

    #[test]
    fn endless_lines_are_cut() {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        lines.add(&vec![b'x'; 2500], &mut |line| seen.push(line.len()));
        lines.rest(&mut |line| seen.push(line.len()));
        assert_eq!(seen, [1000, 1000, 500]);
    }
}
