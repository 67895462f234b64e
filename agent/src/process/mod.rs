//! Programs that the agent starts: an argument list, never a shell line; a clean environment; an end in time.

mod follow;

use std::io::{self, Read};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::host::Account;
use follow::Follower;

pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    #[error("`{shown}` cannot run in {}: there is no such directory", .cwd.display())]
    NowhereToRun { shown: String, cwd: PathBuf },
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
        self.follow(self.spawn()?, say)
    }

    /// Runs it with all that `source` gives on standard input, and wants success.
    pub(crate) fn succeed_reading(&self, source: &mut (dyn Read + Send)) -> Result<Finished, ProcessError> {
        let mut child = self.clone().stdin(Vec::new()).spawn()?;
        let stdin = child.stdin.take();
        // A program that wants no more says by its end why.
        thread::scope(|scope| {
            scope.spawn(move || stdin.map(|mut stdin| io::copy(source, &mut stdin)));
            self.follow(child, &mut |_| ())
        })?
        .success()
    }

    fn follow(&self, mut child: Child, say: &mut dyn FnMut(&str)) -> Result<Finished, ProcessError> {
        let failed = |source| ProcessError::Start {
            shown: self.shown(),
            source,
        };
        let followed = Follower::new(self, &mut child).and_then(|mut follower| {
            let status = follower.follow(self, &mut child, say)?;
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

    /// Runs it to its end while `take` reads what it prints. When `take` wants no more, with a reason, it is killed and the
    /// reason comes back. It has all the time it needs: `take` has to look at the clock.
    pub(crate) fn pipe(
        &self,
        take: impl FnOnce(&mut ChildStdout) -> Result<(), String>,
    ) -> Result<Finished, String> {
        let mut child = self.spawn().map_err(|error| error.to_string())?;
        let pid = Pid::from_child(&child);
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let (taken, tail) = thread::scope(|scope| {
            let telling = scope.spawn(move || stderr.map(follow::tail_of).unwrap_or_default());
            let taken = match stdout {
                Some(mut stdout) => take(&mut stdout),
                None => Ok(()),
            };
            if taken.is_err() {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            (taken, telling.join().unwrap_or_default())
        });
        let status = child
            .wait()
            .map_err(|error| format!("`{}` was lost: {error}", self.shown()))?;
        taken?;
        Ok(Finished {
            status,
            stdout: Vec::new(),
            tail,
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
        command.spawn().map_err(|source| {
            let shown = self.shown();
            if self.cwd.is_dir() {
                ProcessError::Start { shown, source }
            } else {
                let cwd = self.cwd.clone();
                ProcessError::NowhereToRun { shown, cwd }
            }
        })
    }
}

/// Where a program is: an absolute path as it is, a name by the search path.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Instant;

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
    fn what_is_piped_comes_in_pieces_and_ends_when_nobody_wants_more() {
        let mut read = Vec::new();
        let finished = Program::new(["sh", "-c", "printf abc; echo why >&2; exit 3"])
            .pipe(|output| {
                output
                    .read_to_end(&mut read)
                    .map(|_| ())
                    .map_err(|error| error.to_string())
            })
            .expect("runs");
        assert_eq!(read, b"abc");
        let error = finished.success().expect_err("fails");
        assert!(error.code() == Some(3) && error.says("why"), "{error}");
        let begun = Instant::now();
        let refused = Program::new(["sleep", "60"]).pipe(|_| Err("enough".to_owned()));
        assert_eq!(refused.expect_err("is ended"), "enough");
        assert!(begun.elapsed() < Duration::from_secs(5));
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
}
