//! What can go wrong in the lab, said so that the reader knows what to do next.

use std::io;
use std::path::{Path, PathBuf};

use super::requirements::Requirement;

/// Why something in the lab did not work.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// The machine lacks something; [`super::install`] can add what comes in Debian packages.
    #[error("this machine cannot make practice hosts yet: {}", list(.0))]
    Missing(Vec<Requirement>),
    /// Another command is working on the same lab.
    #[error(
        "another command is working on this lab: {holder}; wait until it has finished, or end it, and try again"
    )]
    Busy {
        /// Who holds the lock, since when.
        holder: String,
    },
    /// A program that the lab needs did not do its work.
    #[error("{attempt} did not work: `{program}` {outcome}{}; {next}", quoted(.stderr))]
    Command {
        /// What was attempted, as a noun phrase.
        attempt: String,
        /// The program and its arguments.
        program: String,
        /// How it ended.
        outcome: String,
        /// The last lines that it wrote to its standard error.
        stderr: String,
        /// What to do next.
        next: String,
    },
    /// A file or folder could not be read, written or removed.
    #[error("{attempt} {} did not work: {source}", .path.display())]
    File {
        /// What was attempted, as a verb phrase that the path completes.
        attempt: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The package sources of this machine do not help to make a Debian host.
    #[error("{0}")]
    Sources(String),
    /// The lab's own record cannot be understood.
    #[error("the lab's record {} cannot be read ({reason}); `lab down` removes the lab all the same", .path.display())]
    Registry {
        /// The record's file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No such host.
    #[error("there is no practice host {name:?}; there are: {known}")]
    UnknownHost {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },
    /// A host did not come up.
    #[error("practice host {name} did not come up: {reason}; its log {} ends with:\n{tail}", .log.display())]
    NotUp {
        /// The host.
        name: String,
        /// What was seen.
        reason: String,
        /// Its console log.
        log: PathBuf,
        /// The end of the log.
        tail: String,
    },
    /// Something of the lab is still there after `down`.
    #[error("the lab could not be removed completely; left over: {0}; run `lab down` again")]
    Remains(String),
    /// Anything that is refused before something is changed.
    #[error("{0}")]
    Refused(String),
}

impl LabError {
    /// For `map_err` on file operations.
    pub(super) fn file(attempt: &'static str, path: &Path) -> impl FnOnce(io::Error) -> LabError + use<> {
        let path = path.to_path_buf();
        move |source| LabError::File {
            attempt,
            path,
            source,
        }
    }
}

fn list(requirements: &[Requirement]) -> String {
    requirements
        .iter()
        .map(|r| r.to_string())
        .collect::<Vec<_>>()
        .join("; ")
}

fn quoted(stderr: &str) -> String {
    let text = stderr.trim();
    if text.is_empty() {
        String::new()
    } else {
        format!(" and said: {text}")
    }
}
