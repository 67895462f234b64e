//! Running the built program as a user would.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::Value;

/// The built program: `ALLMENDE_TEST_PROGRAM`, or the one beside the tests.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("ALLMENDE_TEST_PROGRAM") {
        return path.into();
    }
    let tests = std::env::current_exe().expect("the tests know where they are");
    let folder = tests
        .parent()
        .and_then(|folder| folder.parent())
        .expect("tests live in target/<profile>/deps");
    let path = folder.join("allmende");
    assert!(
        path.is_file(),
        "{} is not there: run ./test, or build it with `cargo build -p allmende`",
        path.display()
    );
    path
}

/// A run of a program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    /// How it was called, for messages.
    pub command: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Finished {
    /// Runs a command to its end.
    pub fn of(command: &mut Command) -> Self {
        let line = Self::line(command);
        let output = command
            .stdin(std::process::Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("{line}: {error}"));
        Self::ended(line, output)
    }

    pub(crate) fn line(command: &Command) -> String {
        std::iter::once(command.get_program())
            .chain(command.get_args())
            .map(OsStr::to_string_lossy)
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub(crate) fn ended(command: String, output: Output) -> Self {
        Self {
            command,
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Fails the test unless the run ended with this code.
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(
            self.code,
            Some(code),
            "{}\n--- stdout\n{}\n--- stderr\n{}",
            self.command,
            self.stdout,
            self.stderr
        );
        self
    }

    /// Both outputs, for looking for words.
    pub fn said(&self) -> String {
        format!("{}\n{}", self.stdout, self.stderr)
    }

    /// Fails the test unless these words were said.
    #[track_caller]
    pub fn saying(self, words: &str) -> Self {
        assert!(
            self.said().contains(words),
            "{} did not say {words:?} but:\n{}",
            self.command,
            self.said()
        );
        self
    }

    /// Fails the test if these words were said.
    #[track_caller]
    pub fn not_saying(self, words: &str) -> Self {
        assert!(
            !self.said().contains(words),
            "{} said {words:?}:\n{}",
            self.command,
            self.said()
        );
        self
    }

    /// The password that an action with `--json` showed once.
    #[track_caller]
    pub fn password(&self) -> String {
        let shown = &self.json()["secrets"]["password"];
        let shown = shown.as_str().map(str::to_owned);
        shown.unwrap_or_else(|| panic!("{} showed no password", self.command))
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{}: {error}\n{}", self.command, self.stdout))
    }
}
