//! Programs as argument lists: built in one place, run in another, never through a shell.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::error::LabError;

/// Where programs are looked for, whatever the caller's environment says.
pub(super) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// One program with its arguments, ready to be run or to be looked at in a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Argv {
    pub program: OsString,
    pub arguments: Vec<OsString>,
    pub environment: Vec<(&'static str, String)>,
    pub stdin: Option<String>,
}

impl Argv {
    /// A program without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Argv {
        Argv {
            program: program.as_ref().into(),
            arguments: Vec::new(),
            environment: Vec::new(),
            stdin: None,
        }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Argv {
        self.arguments.push(argument.as_ref().into());
        self
    }

    /// Adds several arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Argv {
        self.arguments
            .extend(arguments.into_iter().map(|a| a.as_ref().to_os_string()));
        self
    }

    /// Sets a variable in the program's environment.
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Argv {
        self.environment.push((name, value.into()));
        self
    }

    /// Gives the program a text to read.
    pub fn stdin(mut self, text: impl Into<String>) -> Argv {
        self.stdin = Some(text.into());
        self
    }

    /// The command as one line, for messages only.
    pub fn line(&self) -> String {
        let mut words = vec![self.program.to_string_lossy().into_owned()];
        words.extend(self.arguments.iter().map(|a| a.to_string_lossy().into_owned()));
        words.join(" ")
    }

    /// The same as a `tokio` command, with a clean environment.
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .env_clear()
            .env("PATH", PATH)
            .env("LC_ALL", "C.UTF-8")
            .env("HOME", "/root");
        for (name, value) in &self.environment {
            command.env(name, value);
        }
        command
    }

    /// Runs the program to its end, however it ends, and gives back its standard output and error.
    pub async fn output(&self) -> std::io::Result<(String, String)> {
        let output = self
            .command()
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output()
            .await?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok((text(&output.stdout), text(&output.stderr)))
    }

    /// Runs the program to its end and gives back what it wrote to its standard output.
    pub async fn run(&self, attempt: &str, next: &str) -> Result<String, LabError> {
        let failed = |outcome: String, stderr: &str| LabError::Command {
            attempt: attempt.to_string(),
            program: self.line(),
            outcome,
            stderr: last_lines(stderr, 15),
            next: next.to_string(),
        };
        let mut command = self.command();
        command.stdin(if self.stdin.is_some() {
            Stdio::piped()
        } else {
            Stdio::null()
        });
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let mut child = command
            .spawn()
            .map_err(|e| failed(format!("could not be started ({e})"), ""))?;
        if let (Some(text), Some(mut pipe)) = (&self.stdin, child.stdin.take()) {
            // A program that ends without reading says why on its standard error, which is reported below.
            let _ = pipe.write_all(text.as_bytes()).await;
        }
        let output = child
            .wait_with_output()
            .await
            .map_err(|e| failed(format!("could not be followed ({e})"), ""))?;
        if output.status.success() {
            Ok(String::from_utf8_lossy(&output.stdout).into_owned())
        } else {
            Err(failed(
                format!("ended with {}", output.status),
                &String::from_utf8_lossy(&output.stderr),
            ))
        }
    }
}

/// The folder of a program on [`PATH`], if there is one.
pub(super) fn find_program(name: &str) -> Option<PathBuf> {
    PATH.split(':')
        .map(|folder| PathBuf::from(folder).join(name))
        .find(|path| path.is_file())
}

/// The last lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_a_list_and_not_a_line() {
        let argv = Argv::new("mount").args(["-t", "overlay"]).arg("a b; rm -rf /");
        assert_eq!(argv.arguments.len(), 3);
        assert_eq!(argv.line(), "mount -t overlay a b; rm -rf /");
    }

    #[test]
    fn only_the_end_of_a_long_text_is_kept() {
        assert_eq!(last_lines("a\nb\nc\n", 2), "b\nc");
        assert_eq!(last_lines("", 2), "");
    }

    #[tokio::test]
    async fn a_failing_program_is_quoted() {
        let error = Argv::new("ls")
            .arg("/does/not/exist")
            .run("looking around", "look elsewhere")
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("looking around")
                && text.contains("No such file")
                && text.contains("look elsewhere"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_program_reads_its_input() {
        assert_eq!(
            Argv::new("cat").stdin("hello").run("x", "y").await.unwrap(),
            "hello"
        );
    }
}
