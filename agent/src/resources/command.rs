//! A command that runs when its guard says so.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Account, Host, Intent};
use crate::names;
use crate::process::{ProcessError, Program};
use crate::resources::{Difference, Manage};

/// A program that brings something about which has no resource of its own. It runs only if its guard says so: `creates`
/// or `unless` has to be given, and if both are, either of them is enough to leave it. After it ran, the guard must hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CommandSpec {
    /// The program and its arguments; there is no shell.
    pub argv: Vec<String>,
    /// It has nothing to do when this absolute path exists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub creates: Option<String>,
    /// It has nothing to do when this program, run as the same user in the same place, ends with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unless: Option<Vec<String>>,
    /// The Unix user that runs it.
    #[serde(default = "super::root")]
    pub user: String,
    /// Working directory; `/` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cwd: Option<String>,
    /// Environment beside PATH, HOME, USER, LANG. No secrets: other programs of the user can read it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// What the program reads on standard input; the way for secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdin: Option<String>,
    /// Seconds after which it is ended and counts as failed.
    #[serde(default = "ten_minutes")]
    pub timeout: u64,
}

fn ten_minutes() -> u64 {
    600
}

impl CommandSpec {
    fn program(&self, argv: &[String], account: &Account) -> Program {
        let mut program = Program::new(argv.iter().cloned())
            .user(account)
            .timeout(Duration::from_secs(self.timeout));
        if let Some(cwd) = &self.cwd {
            program = program.cwd(cwd);
        }
        for (name, value) in &self.env {
            program = program.env(name, value);
        }
        program
    }

    /// What still speaks for running it; `None` when its guard says that there is nothing to do.
    fn reason(&self, host: &mut Host) -> Result<Option<String>, Error> {
        let mut reasons = Vec::new();
        if let Some(creates) = &self.creates {
            let place = host.place(creates)?;
            if place.is_some_and(|place| place.stat().is_ok_and(|found| found.is_some())) {
                return Ok(None);
            }
            reasons.push(format!("{creates} is not there"));
        }
        if let Some(unless) = &self.unless {
            match self.ask(unless, host)? {
                None => return Ok(None),
                Some(reason) => reasons.push(reason),
            }
        }
        Ok(Some(reasons.join(", ")))
    }

    fn ask(&self, unless: &[String], host: &mut Host) -> Result<Option<String>, Error> {
        let shown = Program::new(unless.iter().cloned()).shown();
        let not_yet = format!("`{shown}` cannot run yet");
        let plan = host.intent == Intent::Plan;
        // In a plan, earlier resources may still have to bring the user, the directory or the program.
        if plan
            && (host.accounts()?.user(&self.user).is_none()
                || self.cwd.as_ref().is_some_and(|cwd| !Path::new(cwd).is_dir()))
        {
            return Ok(Some(not_yet));
        }
        let account = host.account(&self.user)?;
        match self.program(unless, &account).run(&mut |_| ()) {
            Ok(finished) if finished.status.success() => Ok(None),
            Ok(finished) => Ok(Some(match finished.status.code() {
                Some(code) => format!("`{shown}` ended with code {code}"),
                None => format!("`{shown}` was killed"),
            })),
            Err(
                ProcessError::NotThere { .. }
                | ProcessError::Start { .. }
                | ProcessError::NowhereToRun { .. },
            ) if plan => Ok(Some(not_yet)),
            Err(error) => Err(error.into()),
        }
    }
}

impl Manage for CommandSpec {
    fn check(&self) -> names::Verdict {
        names::argv(&self.argv)?;
        names::account(&self.user)?;
        let shown = self.argv.join(" ");
        if self.creates.is_none() && self.unless.is_none() {
            return Err(format!(
                "`{shown}` has no guard: it would run at every apply; add `creates` or `unless`"
            ));
        }
        for path in self
            .creates
            .iter()
            .chain(self.cwd.iter().filter(|cwd| *cwd != "/"))
        {
            names::path(path)?;
        }
        self.unless.as_deref().map_or(Ok(()), names::argv)?;
        let about = |problem: String| format!("`{shown}`: {problem}");
        names::environment(&self.env).map_err(about)?;
        names::timeout(self.timeout).map_err(about)
    }

    fn subject(&self) -> String {
        Program::new(self.argv.iter().cloned()).shown()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        Ok(self
            .reason(host)?
            .map(|reason| Difference::run().is("guard", &reason)))
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let account = host.account(&self.user)?;
        let mut program = self.program(&self.argv, &account);
        if let Some(stdin) = &self.stdin {
            program = program.stdin(stdin.clone());
        }
        let ran = host.succeed(&program);
        host.anything_changed();
        ran?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec(argv: &[&str]) -> CommandSpec {
        CommandSpec {
            argv: argv.iter().map(|&part| part.to_owned()).collect(),
            creates: None,
            unless: None,
            user: "root".to_owned(),
            cwd: None,
            env: BTreeMap::new(),
            stdin: None,
            timeout: 10,
        }
    }

    fn words(words: &[&str]) -> Option<Vec<String>> {
        Some(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn it_runs_once_with_its_input() {
        let bench = Bench::new();
        let path = bench.at("/made").to_string_lossy().into_owned();
        let spec = CommandSpec {
            stdin: Some("hello".to_owned()),
            unless: words(&["test", "-s", &path]),
            ..spec(&["tee", &path])
        };
        let difference = bench.settles(&spec).expect("runs");
        assert_eq!(
            difference.described(),
            format!("guard: `test -s {path}` ended with code 1")
        );
        assert_eq!(bench.read("/made"), "hello");
    }

    #[test]
    fn a_path_that_is_there_is_guard_enough() {
        let bench = Bench::new();
        let spec = CommandSpec {
            creates: Some("/etc/passwd".to_owned()),
            ..spec(&["false"])
        };
        assert_eq!(bench.plans(&spec), None);
    }

    #[test]
    fn guards_that_cannot_run_yet_are_no_error_in_a_plan() {
        let bench = Bench::new();
        for spec in [
            CommandSpec {
                unless: words(&["no-such-program"]),
                ..spec(&["true"])
            },
            CommandSpec {
                unless: words(&["true"]),
                user: "later".to_owned(),
                ..spec(&["true"])
            },
            CommandSpec {
                unless: words(&["true"]),
                cwd: Some("/no/such/place".to_owned()),
                ..spec(&["true"])
            },
        ] {
            assert!(
                bench
                    .plans(&spec)
                    .expect("has to run")
                    .described()
                    .contains("cannot run yet")
            );
            assert!(!bench.fails(&spec).is_empty());
        }
    }

    #[test]
    fn commands_without_guard_are_refused() {
        assert!(
            spec(&["true"])
                .check()
                .expect_err("is refused")
                .contains("no guard")
        );
        assert!(
            CommandSpec {
                unless: Some(vec![]),
                ..spec(&["true"])
            }
            .check()
            .is_err()
        );
        assert!(
            CommandSpec {
                creates: Some("relative".to_owned()),
                ..spec(&["true"])
            }
            .check()
            .is_err()
        );
    }
}
