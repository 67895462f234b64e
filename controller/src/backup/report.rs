//! What came of a backup, from what its host reports and what is really in the repository.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use allmende_agent::protocol::{BackupReport, Complaint, EngineEnd};
use serde::Deserialize;
use serde_json::Value;

use crate::model::{Backup, BackupOutcome, Part, Size};

/// What came of a backup.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// What is in the repository: parts and the whole ids of their snapshots.
    pub snapshots: Vec<(Part, String)>,
    /// Why it is not complete, one sentence each.
    pub complaints: Vec<String>,
    /// How many files there were.
    pub files: u64,
    /// How large all of it was.
    pub bytes: u64,
    /// How much of it was new.
    pub added_bytes: u64,
}

/// restic's own words at the end of a backup.
#[derive(Deserialize)]
struct Summary {
    snapshot_id: String,
    total_files_processed: u64,
    total_bytes_processed: u64,
    data_added: u64,
    /// Compressed; known since 0.17.
    data_added_packed: Option<u64>,
}

impl Outcome {
    /// Nothing came of it, for this reason.
    pub fn failed(why: String) -> Self {
        Self {
            complaints: vec![why],
            ..Self::default()
        }
    }

    /// Reads a host's report; `repository` is the folder in which its snapshots have to be.
    pub fn of(report: &BackupReport, wanted: &[Part], repository: &Path) -> Self {
        let mut result = Self::default();
        for part in wanted {
            let id = part.to_string();
            match report.parts.iter().find(|reported| reported.id == id) {
                None => result.complain(format!("{id} was not read.")),
                Some(reported) => match &reported.refused {
                    Some(why) => result.complain(format!("{id} is not in the backup: {why}")),
                    None => result.take(part, &reported.engine, repository),
                },
            }
        }
        result.complaints.extend(report.complaints.iter().map(sentence));
        if let Some(stopped) = &report.stopped {
            result.complain(format!("It stopped before its end: {stopped}"));
        }
        result
    }

    fn take(&mut self, part: &Part, engine: &EngineEnd, repository: &Path) {
        let mut errors = engine.errors.iter().filter_map(|line| told(line));
        match engine.code {
            // Whatever the code: what is named as unreadable is missing.
            Some(0) => {
                let unreadable = engine
                    .errors
                    .iter()
                    .filter(|line| line.contains("\"message_type\":\"error\""));
                self.complaints.extend(unreadable.filter_map(|line| told(line)));
            }
            // A snapshot was made, without what could not be read.
            Some(3) => {
                let before = self.complaints.len();
                self.complaints.extend(errors);
                if engine.more_errors > 0 {
                    self.complain(format!("{} more could not be read.", engine.more_errors));
                }
                if self.complaints.len() == before {
                    self.complain(format!("Something of {part} could not be read."));
                }
            }
            code => {
                let how = code.map_or("was killed".to_owned(), |code| format!("ended with code {code}"));
                let said = errors
                    .next_back()
                    .map(|said| format!(": {said}"))
                    .unwrap_or_default();
                self.complain(format!("{part} is not in the backup: restic {how}{said}"));
                return;
            }
        }
        let summary = engine.summary.as_deref().unwrap_or_default();
        let Ok(summary) = serde_json::from_str::<Summary>(summary) else {
            self.complain(format!(
                "{part} is not in the backup: restic told no snapshot of it."
            ));
            return;
        };
        match snapshot(repository, &summary.snapshot_id) {
            Some(id) => self.snapshots.push((part.clone(), id)),
            None => {
                let claimed: String = summary.snapshot_id.chars().take(64).collect();
                self.complain(format!(
                    "{part} is not in the backup: the host tells of snapshot {claimed:?}, which is not there."
                ));
                return;
            }
        }
        self.files = self.files.saturating_add(summary.total_files_processed);
        self.bytes = self.bytes.saturating_add(summary.total_bytes_processed);
        let added = summary.data_added_packed.unwrap_or(summary.data_added);
        self.added_bytes = self.added_bytes.saturating_add(added);
    }

    /// Takes out snapshots that were there before, or that two parts share: a host that tells of those has made none.
    pub fn refuse_known(&mut self, known: impl Fn(&str) -> bool) {
        let mut seen = BTreeSet::new();
        for (part, id) in std::mem::take(&mut self.snapshots) {
            if known(&id) || !seen.insert(id.clone()) {
                self.complain(format!(
                    "{part} is not in the backup: the host tells of a snapshot that is not new."
                ));
            } else {
                self.snapshots.push((part, id));
            }
        }
    }

    /// Adds a complaint.
    pub fn complain(&mut self, sentence: String) {
        self.complaints.push(sentence);
    }

    /// Complains when there is much less than the last time.
    pub fn compare(&mut self, last: &Backup) {
        let shrank = |now: u64, then: u64| now < then - then / 5;
        if self.snapshots.is_empty() || !(shrank(self.files, last.files) || shrank(self.bytes, last.bytes.0))
        {
            return;
        }
        self.complain(format!(
            "It shrank by more than a fifth: {} files with {}, in backup {} there were {} with {}.",
            self.files,
            Size(self.bytes),
            last.id,
            last.files,
            last.bytes
        ));
    }

    /// In a word.
    pub fn verdict(&self) -> BackupOutcome {
        match (self.snapshots.is_empty(), self.complaints.is_empty()) {
            (true, _) => BackupOutcome::Failed,
            (false, true) => BackupOutcome::Complete,
            (false, false) => BackupOutcome::Incomplete,
        }
    }
}

/// The whole id of a snapshot that is really there; old versions of restic tell only its first eight digits.
fn snapshot(repository: &Path, told: &str) -> Option<String> {
    if told.len() < 8 || !told.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    let mut names = fs::read_dir(repository.join("snapshots"))
        .ok()?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.len() == 64 && name.starts_with(told));
    names.next().filter(|_| names.next().is_none())
}

fn sentence(complaint: &Complaint) -> String {
    match complaint {
        Complaint::Missing { path } => format!("{path} is not there."),
        Complaint::Link { path } => {
            format!("{path} is a link, and what it leads to is not in the backup.")
        }
        Complaint::NotMounted { path } => {
            format!("{path} is no file system of its own any more: is its disk mounted?")
        }
        Complaint::TooFew { path, found, minimum } => {
            format!("{path} holds {found} files, at least {minimum} were expected.")
        }
        Complaint::NoCount { query, reason } => format!("{query:?} gave no number: {reason}"),
        Complaint::WokenEarly { seconds } => format!(
            "The host woke the service after {seconds} seconds, before all was read: what was read later may not fit."
        ),
        Complaint::NotResumed { reason } => {
            format!("The service could not be woken and may still be at rest: {reason}")
        }
    }
}

/// A line of restic's errors, for people.
fn told(line: &str) -> Option<String> {
    let Ok(value) = serde_json::from_str::<Value>(line) else {
        return Some(line.trim().to_owned());
    };
    match value["message_type"].as_str() {
        Some("error") => {
            let item = value["item"].as_str().unwrap_or_default();
            let error = &value["error"];
            let why = match (error["message"].as_str(), error["Err"].as_i64()) {
                (Some(message), _) => message.to_owned(),
                (None, Some(code)) => {
                    std::io::Error::from_raw_os_error(i32::try_from(code).unwrap_or_default()).to_string()
                }
                (None, None) => "no reason was told".to_owned(),
            };
            Some(format!("{item} could not be read: {why}"))
        }
        Some("exit_error") => value["message"].as_str().map(|text| text.trim().to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use allmende_agent::protocol::PartReport;

    use super::*;

    const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn repository() -> tempfile::TempDir {
        let folder = tempfile::TempDir::new().expect("a folder");
        fs::create_dir(folder.path().join("snapshots")).expect("made");
        fs::write(folder.path().join("snapshots").join(ID), "").expect("written");
        folder
    }

    fn files(code: i32, snapshot: &str, errors: &[&str]) -> BackupReport {
        let summary = format!(
            r#"{{"message_type":"summary","snapshot_id":"{snapshot}","total_files_processed":7,"total_bytes_processed":70,"data_added":9}}"#
        );
        BackupReport {
            parts: vec![PartReport {
                id: "files".to_owned(),
                engine: EngineEnd {
                    code: Some(code),
                    summary: Some(summary),
                    errors: errors.iter().map(|&line| line.to_owned()).collect(),
                    ..EngineEnd::default()
                },
                ..PartReport::default()
            }],
            ..BackupReport::default()
        }
    }

    fn result(report: &BackupReport) -> Outcome {
        Outcome::of(report, &[Part::Files], repository().path())
    }

    #[test]
    fn both_lengths_of_an_id_lead_to_the_whole_one() {
        for told in [ID, "01234567"] {
            let result = result(&files(0, told, &[]));
            assert_eq!(result.snapshots, [(Part::Files, ID.to_owned())]);
            assert_eq!(result.verdict(), BackupOutcome::Complete);
            assert_eq!((result.files, result.bytes, result.added_bytes), (7, 70, 9));
        }
    }

    #[test]
    fn a_snapshot_that_is_not_there_is_none() {
        for told in ["deadbeef", "", "../../etc", "0123"] {
            let result = result(&files(0, told, &[]));
            assert_eq!(result.verdict(), BackupOutcome::Failed, "{told}");
        }
    }

    #[test]
    fn what_could_not_be_read_is_named_in_the_words_of_both_versions() {
        for line in [
            r#"{"message_type":"error","error":{"Op":"open","Path":"/srv/a","Err":13},"during":"archival","item":"/srv/a"}"#,
            r#"{"message_type":"error","error":{"message":"Permission denied (os error 13)"},"during":"archival","item":"/srv/a"}"#,
        ] {
            let result = result(&files(3, ID, &[line]));
            assert_eq!(result.verdict(), BackupOutcome::Incomplete);
            assert_eq!(
                result.complaints,
                ["/srv/a could not be read: Permission denied (os error 13)"]
            );
        }
    }

    #[test]
    fn an_unknown_code_is_a_failure_even_with_a_summary() {
        for code in [1, 2, 10, 12, 77] {
            let result = result(&files(code, ID, &["Fatal: wrong password"]));
            assert_eq!(result.verdict(), BackupOutcome::Failed, "{code}");
            let complaint = result.complaints.first().expect("complains");
            assert!(complaint.contains("Fatal: wrong password"), "{complaint}");
        }
    }

    #[test]
    fn a_part_that_nobody_tells_of_is_missed() {
        let result = result(&BackupReport::default());
        assert_eq!(result.complaints, ["files was not read."]);
    }
}
