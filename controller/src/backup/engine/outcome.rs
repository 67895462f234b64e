//! What restic's end means. What is not known to be good is a failure.

use allmende_agent::protocol::EngineEnd;
use serde::Deserialize;

use super::version::{Ability, Version};

/// How a call ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// All was done.
    Done,
    /// A snapshot was made, and something is missing in it.
    Incomplete,
}

/// Why a call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EngineFailure {
    /// Nothing is there.
    #[error("there is no repository: {said}")]
    NoRepository {
        /// What restic said.
        said: String,
    },
    /// Somebody else works in it, or did until a short while ago.
    #[error("the repository is locked: {said}")]
    Locked {
        /// What restic said.
        said: String,
    },
    /// The password opens none of its keys.
    #[error("the password does not open the repository: {said}")]
    WrongPassword {
        /// What restic said.
        said: String,
    },
    /// It was ended from outside.
    #[error("restic was ended before it was done: {said}")]
    Ended {
        /// What restic said.
        said: String,
    },
    /// Anything else.
    #[error("restic failed with exit code {code}: {said}")]
    Failed {
        /// The exit code.
        code: i32,
        /// What restic said.
        said: String,
    },
    /// It claims to have made a snapshot, and names none.
    #[error("restic ended well and names no snapshot; its last words were: {said}")]
    NoSnapshot {
        /// What it said.
        said: String,
    },
}

/// A snapshot that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct BackedUp {
    /// Whether something is missing in it.
    pub verdict: Verdict,
    /// What restic counted.
    pub summary: Summary,
    /// What it could not read: path, and why.
    pub unreadable: Vec<(String, String)>,
}

/// What restic counted in a backup.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Summary {
    /// The snapshot: 64 digits, or the first 8 of them from versions without [`Ability::FullSnapshotId`].
    pub snapshot_id: String,
    /// Files that were not in the snapshot before.
    pub files_new: u64,
    /// Files that were different then.
    pub files_changed: u64,
    /// Files that were the same.
    pub files_unmodified: u64,
    /// Files in all.
    pub total_files_processed: u64,
    /// Their sizes in all.
    pub total_bytes_processed: u64,
    /// Bytes that the repository did not have.
    pub data_added: u64,
    /// The same, compressed; versions before 0.17 do not tell.
    #[serde(default)]
    pub data_added_packed: Option<u64>,
    /// Seconds.
    pub total_duration: f64,
}

/// What an exit code means, together with what was said on standard error.
pub fn judge(version: Version, code: Option<i32>, errors: &[String]) -> Result<Verdict, EngineFailure> {
    let said = said(errors);
    let says = |text: &str| said.contains(text);
    let Some(code) = code else {
        return Err(EngineFailure::Ended { said });
    };
    let codes = version.can(Ability::RepositoryCodes);
    Err(match code {
        0 => return Ok(Verdict::Done),
        3 => return Ok(Verdict::Incomplete),
        10 if codes => EngineFailure::NoRepository { said },
        11 if codes => EngineFailure::Locked { said },
        12 if version.can(Ability::PasswordCode) => EngineFailure::WrongPassword { said },
        // Older ones have only their words.
        1 if says("wrong password or no key found") => EngineFailure::WrongPassword { said },
        1 if says("unable to open config file") => EngineFailure::NoRepository { said },
        1 if says("repository is already locked") => EngineFailure::Locked { said },
        130 | 143 => EngineFailure::Ended { said },
        code => EngineFailure::Failed { code, said },
    })
}

/// What came of a backup that ran on a host.
pub fn backed_up(version: Version, end: &EngineEnd) -> Result<BackedUp, EngineFailure> {
    let mut verdict = judge(version, end.code, &end.errors)?;
    let summary = end
        .summary
        .as_deref()
        .and_then(|line| serde_json::from_str::<Summary>(line).ok())
        .filter(|summary| is_snapshot(&summary.snapshot_id))
        .ok_or_else(|| EngineFailure::NoSnapshot {
            said: said(&end.errors),
        })?;
    let unreadable: Vec<_> = end.errors.iter().filter_map(|line| unreadable(line)).collect();
    if !unreadable.is_empty() {
        verdict = Verdict::Incomplete;
    }
    Ok(BackedUp {
        verdict,
        summary,
        unreadable,
    })
}

fn is_snapshot(id: &str) -> bool {
    (8..=64).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[derive(Deserialize)]
#[serde(tag = "message_type", rename_all = "snake_case")]
enum Said {
    Error {
        error: serde_json::Value,
        #[serde(default)]
        item: String,
    },
    ExitError {
        message: String,
    },
}

/// An item that could not be read, and why.
fn unreadable(line: &str) -> Option<(String, String)> {
    match serde_json::from_str(line) {
        Ok(Said::Error { error, item }) if !item.is_empty() => Some((item, reason(&error))),
        _ => None,
    }
}

/// Newer versions tell a sentence, older ones the number of the error and what was tried.
fn reason(error: &serde_json::Value) -> String {
    if let Some(message) = error["message"].as_str() {
        return message.to_owned();
    }
    let tried = error["Op"].as_str().unwrap_or("reading it failed");
    match error["Err"]
        .as_i64()
        .and_then(|number| i32::try_from(number).ok())
    {
        Some(number) => format!("{tried}: {}", std::io::Error::from_raw_os_error(number)),
        None => tried.to_owned(),
    }
}

/// What people are told of the lines on standard error: the reason of the end if there is one, the last lines otherwise.
fn said(errors: &[String]) -> String {
    const LINES: usize = 3;
    let told: Vec<String> = errors
        .iter()
        .filter(|line| !line.trim().is_empty())
        .map(|line| match serde_json::from_str(line) {
            Ok(Said::ExitError { message }) => message,
            Ok(Said::Error { error, item }) => format!("{item}: {}", reason(&error)),
            Err(_) => line.trim().to_owned(),
        })
        .collect();
    let from = told
        .iter()
        .rposition(|line| line.starts_with("Fatal: "))
        .unwrap_or(told.len().saturating_sub(LINES));
    match told[from..].join("; ") {
        nothing if nothing.is_empty() => "it said nothing".to_owned(),
        text => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        text.parse().unwrap()
    }

    fn lines(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    const SUMMARY: &str = r#"{"message_type":"summary","files_new":1,"files_changed":0,"files_unmodified":0,"dirs_new":1,"dirs_changed":0,"dirs_unmodified":0,"data_blobs":1,"tree_blobs":2,"data_added":703,"total_files_processed":1,"total_bytes_processed":3,"total_duration":0.234729924,"snapshot_id":"74277fad"}"#;

    #[test]
    fn codes_that_nobody_knows_are_failures() {
        for text in ["0.14.0", "0.18.0", "0.19.1"] {
            for code in (-1..=255).filter(|code| ![0, 3].contains(code)) {
                assert!(judge(version(text), Some(code), &[]).is_err(), "{text} {code}");
            }
            assert!(judge(version(text), None, &[]).is_err());
        }
    }

    #[test]
    fn codes_mean_what_their_version_means() {
        let new = version("0.18.0");
        let fatal = lines(&[
            r#"{"message_type":"exit_error","code":12,"message":"Fatal: wrong password or no key found"}"#,
        ]);
        assert_eq!(
            judge(new, Some(12), &fatal),
            Err(EngineFailure::WrongPassword {
                said: "Fatal: wrong password or no key found".to_owned()
            })
        );
        let old = version("0.14.0");
        assert!(matches!(
            judge(old, Some(12), &[]),
            Err(EngineFailure::Failed { code: 12, .. })
        ));
        assert!(matches!(
            judge(old, Some(10), &[]),
            Err(EngineFailure::Failed { code: 10, .. })
        ));
    }

    #[test]
    fn old_versions_are_understood_by_their_words() {
        let old = version("0.14.0");
        let judged = |line: &str| judge(old, Some(1), &lines(&[line])).unwrap_err();
        assert!(matches!(
            judged("Fatal: wrong password or no key found"),
            EngineFailure::WrongPassword { .. }
        ));
        assert!(matches!(
            judged("Fatal: unable to open config file: stat rnone/config: no such file or directory"),
            EngineFailure::NoRepository { .. }
        ));
        assert!(matches!(
            judged("unable to create lock in backend: repository is already locked by PID 7"),
            EngineFailure::Locked { .. }
        ));
    }

    #[test]
    fn a_backup_names_its_snapshot_or_is_none() {
        let mut end = EngineEnd {
            code: Some(0),
            summary: Some(SUMMARY.to_owned()),
            ..EngineEnd::default()
        };
        let made = backed_up(version("0.14.0"), &end).unwrap();
        assert_eq!(
            (made.verdict, made.summary.snapshot_id.as_str()),
            (Verdict::Done, "74277fad")
        );
        for summary in [
            None,
            Some("{}".to_owned()),
            Some(SUMMARY.replace("74277fad", "-rf")),
        ] {
            end.summary = summary;
            assert!(matches!(
                backed_up(version("0.14.0"), &end),
                Err(EngineFailure::NoSnapshot { .. })
            ));
        }
    }

    #[test]
    fn what_could_not_be_read_makes_it_incomplete() {
        let end = EngineEnd {
            code: Some(0),
            summary: Some(SUMMARY.to_owned()),
            errors: lines(&[
                r#"{"message_type":"error","error":{"Op":"open","Path":"/srv/a","Err":13},"during":"archival","item":"/srv/a"}"#,
                r#"{"message_type":"error","error":{"message":"open /srv/b: permission denied"},"during":"archival","item":"/srv/b"}"#,
            ]),
            ..EngineEnd::default()
        };
        let made = backed_up(version("0.18.0"), &end).unwrap();
        assert_eq!(made.verdict, Verdict::Incomplete);
        assert_eq!(
            made.unreadable,
            [
                (
                    "/srv/a".to_owned(),
                    "open: Permission denied (os error 13)".to_owned()
                ),
                ("/srv/b".to_owned(), "open /srv/b: permission denied".to_owned()),
            ]
        );
    }
}
