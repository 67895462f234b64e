//! Running restic on the controller.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command as Program;
use tokio::time::{Instant, timeout_at};

use super::call::{Call, cache};
use super::outcome::{EngineFailure, Verdict, judge};
use super::secret_file::SecretFile;
use super::version::Version;
use crate::model::Secret;

/// After so long without anything new restic is ended.
const SILENCE: Duration = Duration::from_secs(30 * 60);

/// How many of the last lines on standard error are kept.
const ERRORS: usize = 100;

/// restic on the controller.
#[derive(Debug, Clone)]
pub struct Restic {
    program: PathBuf,
    version: Version,
    cache: PathBuf,
    silence: Duration,
}

/// What came of a call that did not fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub verdict: Verdict,
    /// The last lines on standard error.
    pub errors: Vec<String>,
}

/// Why restic could not be used.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// It is not there.
    #[error(
        "restic is not installed on the controller, where {program} was looked for: `apt install restic` brings it"
    )]
    Missing {
        /// The program.
        program: PathBuf,
    },
    /// It is too old.
    #[error(
        "restic on the controller is version {found}, which is too old: {} or newer is needed",
        Version::OLDEST
    )]
    TooOld {
        /// Its version.
        found: Version,
    },
    /// It cannot be started, or what is there is not restic.
    #[error("{program} on the controller cannot be used as restic: {problem}")]
    Unusable {
        /// The program.
        program: PathBuf,
        /// What came back.
        problem: String,
    },
    /// It stood still.
    #[error(
        "restic on the controller said nothing new for {minutes} minutes and was ended; is the target reachable?"
    )]
    Silent {
        /// How long was waited.
        minutes: u64,
    },
    /// It ran, and failed.
    #[error(transparent)]
    Failed(#[from] EngineFailure),
}

impl Restic {
    /// Looks for restic: the program, and where to keep what it knows of repositories elsewhere.
    ///
    /// # Errors
    /// It is not there, too old, or not restic.
    pub async fn find(program: &Path, data_dir: &Path) -> Result<Self, EngineError> {
        let unusable = |problem: String| EngineError::Unusable {
            program: program.to_owned(),
            problem,
        };
        let asked = Program::new(program)
            .arg("version")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let answer = match asked.await {
            Ok(answer) => answer,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(EngineError::Missing {
                    program: program.to_owned(),
                });
            }
            Err(error) => return Err(unusable(error.to_string())),
        };
        let text = String::from_utf8_lossy(&answer.stdout);
        let version = Version::printed(&text).ok_or_else(|| {
            let line = text.lines().next().unwrap_or_default();
            unusable(format!("asked for its version it says {line:?}"))
        })?;
        if version < Version::OLDEST {
            return Err(EngineError::TooOld { found: version });
        }
        Ok(Self {
            program: program.to_owned(),
            version,
            cache: cache(data_dir),
            silence: SILENCE,
        })
    }

    /// Its version.
    pub fn version(&self) -> Version {
        self.version
    }

    /// Another time without anything new after which it is ended.
    #[must_use]
    pub fn with_silence(mut self, silence: Duration) -> Self {
        self.silence = silence;
        self
    }

    /// Runs a call, and gives each line that it prints to `line`. Dropped, it is killed.
    ///
    /// # Errors
    /// It could not be started, stood still, or failed.
    pub async fn run(&self, call: &Call<'_>, mut line: impl FnMut(&str)) -> Result<Finished, EngineError> {
        let unusable = |error: std::io::Error| EngineError::Unusable {
            program: self.program.clone(),
            problem: error.to_string(),
        };
        let mut files = Vec::new();
        let prepared = call
            .prepared(self.version, &self.cache, &mut |text| {
                let file = SecretFile::new(text)?;
                let path = file.path();
                files.push(file);
                Ok(path)
            })
            .map_err(unusable)?;
        let mut child = Program::new(&self.program)
            .args(prepared.arguments)
            .env_clear()
            .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "TMPDIR"))
            .env("HOME", &self.cache)
            .env("LANG", "C.UTF-8")
            .envs(prepared.environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(unusable)?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let secrets: Vec<&Secret> = call.secrets().collect();
        let mut errors = VecDeque::new();
        let quiet = Quiet::new(self.silence);
        let (read, complained) = tokio::join!(
            each_line(out, &quiet, |text| line(&masked(text, &secrets))),
            each_line(err, &quiet, |text| {
                if errors.len() == ERRORS {
                    errors.pop_front();
                }
                errors.push_back(masked(text, &secrets));
            }),
        );
        if read.and(complained).is_err() {
            // Dropping it kills it.
            return Err(EngineError::Silent {
                minutes: self.silence.as_secs() / 60,
            });
        }
        let status = child.wait().await.map_err(unusable)?;
        let errors = Vec::from(errors);
        let verdict = judge(self.version, status.code(), &errors)?;
        Ok(Finished { verdict, errors })
    }

    /// Runs a call and gives back all that it prints.
    ///
    /// # Errors
    /// As [`Restic::run`].
    pub async fn ask(&self, call: &Call<'_>) -> Result<String, EngineError> {
        let mut text = String::new();
        self.run(call, |line| {
            text.push_str(line);
            text.push('\n');
        })
        .await?;
        Ok(text)
    }
}

/// When something new was last said, on either of the two streams.
struct Quiet {
    limit: Duration,
    last: Mutex<Instant>,
}

/// Nothing new was said for too long.
struct TooQuiet;

impl Quiet {
    fn new(limit: Duration) -> Self {
        Self {
            limit,
            last: Mutex::new(Instant::now()),
        }
    }

    fn is_broken(&self) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    fn ends(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) + self.limit
    }
}

/// Reads lines until the end. That the time goes on is nothing new.
async fn each_line(
    stream: Option<impl AsyncRead + Unpin>,
    quiet: &Quiet,
    mut line: impl FnMut(&str),
) -> Result<(), TooQuiet> {
    let Some(stream) = stream else { return Ok(()) };
    let mut reader = BufReader::new(stream);
    let mut told = Vec::new();
    let mut last = String::new();
    loop {
        let ends = quiet.ends();
        match timeout_at(ends, reader.read_until(b'\n', &mut told)).await {
            // What was read of a line until now stays in `told`.
            Err(_) if quiet.ends() > ends => continue,
            Err(_) => return Err(TooQuiet),
            Ok(Ok(0) | Err(_)) => return Ok(()),
            Ok(Ok(_)) => {}
        }
        let text = String::from_utf8_lossy(&told);
        let text = text.trim_end_matches(['\r', '\n']);
        let new = without_time(text);
        if new != last {
            quiet.is_broken();
            last = new;
        }
        line(text);
        told.clear();
    }
}

/// A line without how long it took so far: `[1:05] 12.00%  3 / 25 packs`, or a status with `seconds_elapsed`.
fn without_time(line: &str) -> String {
    if let Some((_, rest)) = line.strip_prefix('[').and_then(|line| line.split_once(']')) {
        return rest.to_owned();
    }
    line.split(',')
        .filter(|field| !field.contains("\"seconds_"))
        .collect::<Vec<_>>()
        .join(",")
}

fn masked(text: &str, secrets: &[&Secret]) -> String {
    secrets
        .iter()
        .fold(text.to_owned(), |text, secret| match secret.reveal() {
            "" => text,
            secret => text.replace(secret, Secret::MASK),
        })
}

#[cfg(test)]
mod unit {
    use super::*;

    #[test]
    fn that_time_passes_is_nothing_new() {
        assert_eq!(
            without_time("[0:05] 12.00%  3 / 25 packs"),
            without_time("[9:05] 12.00%  3 / 25 packs")
        );
        assert_ne!(
            without_time("[0:05] 12.00%  3 / 25 packs"),
            without_time("[0:05] 16.00%  4 / 25 packs")
        );
        assert_eq!(
            without_time(r#"{"message_type":"status","seconds_elapsed":5,"percent_done":1}"#),
            without_time(r#"{"message_type":"status","seconds_elapsed":9,"percent_done":1}"#)
        );
    }
}
