//! Reports of runs, on disk until a controller has them.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::thread::sleep;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::atomic::write_own;
use crate::clock;
use crate::error::{Attempt, Error};
use crate::facts;
use crate::layout::Layout;
use crate::lock::Lock;
use crate::names;
use crate::protocol::{Answer, Refusal, RefusalKind, Report};

/// What is known of a run, at every moment of it.
#[derive(Debug, Serialize, Deserialize)]
struct Entry {
    run: String,
    holder: String,
    begun: u64,
    boot_id: String,
    /// What is being changed right now, for people.
    in_hand: Option<String>,
    /// Whether the run came to its end, good or bad.
    finished: bool,
    /// What is answered when somebody takes it.
    report: Answer,
}

/// The journal of one run. It is on disk from the first change on.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    entry: Entry,
}

impl Journal {
    pub(crate) fn new(layout: &Layout, run: &str, holder: &str) -> Journal {
        Journal {
            path: path(layout, run),
            entry: Entry {
                run: run.to_owned(),
                holder: holder.to_owned(),
                begun: clock::now(),
                boot_id: facts::boot_id(layout),
                in_hand: None,
                finished: false,
                report: Answer::Report(Report::default()),
            },
        }
    }

    /// Notes what is about to be changed, and all that was done before. The report comes masked.
    pub(crate) fn in_hand(&mut self, what: String, report: &Answer) -> Result<(), Error> {
        self.entry.in_hand = Some(what);
        self.entry.report = report.clone();
        self.write(false)
    }

    /// Notes the end of the run. The report comes masked.
    pub(crate) fn finish(&mut self, report: &Answer) -> Result<(), Error> {
        self.entry.in_hand = None;
        self.entry.finished = true;
        self.entry.report = report.clone();
        self.write(true)
    }

    /// A killed agent loses nothing that was written; only a power failure could, and then handlers and files count.
    fn write(&self, durable: bool) -> Result<(), Error> {
        let text = serde_json::to_vec(&self.entry)
            .map_err(io::Error::from)
            .attempt("writing", &self.path)?;
        write_own(&self.path, &text, 0o600, durable)
    }
}

fn path(layout: &Layout, run: &str) -> PathBuf {
    layout.journal().join(format!("{run}.json"))
}

/// Runs whose reports nobody took, oldest first. A run that is still under way is one of them only if it lost its controller.
pub(crate) fn waiting(layout: &Layout) -> Vec<String> {
    let mut runs: Vec<(Option<std::time::SystemTime>, String)> = fs::read_dir(layout.journal())
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| {
            let run = entry.file_name().to_str()?.strip_suffix(".json")?.to_owned();
            names::run(&run).ok()?;
            Some((entry.metadata().and_then(|found| found.modified()).ok(), run))
        })
        .collect();
    if runs.is_empty() {
        return Vec::new();
    }
    if let Some(held) = Lock::held(layout) {
        runs.retain(|(_, run)| *run != held.run || held.left);
    }
    runs.sort();
    runs.into_iter().map(|(_, run)| run).collect()
}

/// Waits until a run that lost its controller has finished what it has in hand. Says once that it waits, and gives up when
/// `is_gone`.
pub(crate) fn wait_for_end(layout: &Layout, run: &str, say: impl Fn(String), is_gone: impl Fn() -> bool) {
    let mut said = false;
    while let Some(held) = Lock::held(layout).filter(|held| held.left && held.run == run) {
        if is_gone() {
            return;
        }
        if !said {
            let in_hand = fs::read(path(layout, run))
                .ok()
                .and_then(|text| serde_json::from_slice::<Entry>(&text).ok())
                .and_then(|entry| entry.in_hand);
            say(format!(
                "{} has lost its controller and is still finishing {}; waiting for it",
                held.holder,
                in_hand.as_deref().unwrap_or("what it has in hand"),
            ));
            said = true;
        }
        sleep(Duration::from_millis(50));
    }
}

/// The report of a run that nobody took.
pub(crate) fn read(layout: &Layout, run: &str) -> Result<Answer, Refusal> {
    let refuse = |kind, message| Err(Refusal { kind, message });
    if let Err(problem) = names::run(run) {
        return refuse(RefusalKind::Invalid, problem);
    }
    if Lock::held(layout).is_some_and(|held| held.run == run) {
        return refuse(
            RefusalKind::Busy,
            format!("the run {run} is still under way; ask again when it is done"),
        );
    }
    let path = path(layout, run);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refuse(
                RefusalKind::Invalid,
                format!("no report of a run {run} waits on this host"),
            );
        }
        Err(error) => {
            return refuse(
                RefusalKind::Failed,
                Error::at("reading", &path, error).to_string(),
            );
        }
    };
    let Ok(entry) = serde_json::from_slice::<Entry>(&text) else {
        // Written by another version, or cut by a power failure: it must not wait for ever.
        let stopped =
            format!("the report of the run {run} cannot be read any more; plan to see what is left to do");
        return Ok(Answer::Report(Report {
            stopped: Some(stopped),
            ..Report::default()
        }));
    };
    Ok(ended(layout, entry))
}

fn ended(layout: &Layout, entry: Entry) -> Answer {
    let mut report = entry.report;
    if !entry.finished {
        let why = if entry.boot_id == facts::boot_id(layout) {
            "the agent was ended"
        } else {
            "the host was restarted"
        };
        let what = entry
            .in_hand
            .map_or_else(String::new, |what| format!(" while changing {what}"));
        let begun = clock::shown(entry.begun);
        let killed = format!("killed{what}: {why}; the run began {begun}");
        match &mut report {
            Answer::Report(report) => report.stopped = Some(killed),
            Answer::Backup(report) => report.stopped = Some(killed),
            Answer::Restored(report) => report.stopped = Some(killed),
            Answer::Drilled(report) => report.reason = Some(killed),
            _ => {}
        }
    }
    report
}

/// A report was delivered.
pub(crate) fn drop_report(layout: &Layout, run: &str) {
    let _ = fs::remove_file(path(layout, run));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::{Cell, RefCell};

    /// Why the run stopped, as its report says.
    fn stopped(layout: &Layout) -> Option<String> {
        match read(layout, "run-1") {
            Ok(Answer::Report(report)) => report.stopped,
            other => panic!("{other:?}"),
        }
    }

    fn host() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        fs::create_dir(root.path().join("run")).expect("makes");
        let layout = Layout::below(root.path());
        (root, layout)
    }

    #[test]
    fn a_killed_run_says_where_it_stopped() {
        let (_root, layout) = host();
        let mut journal = Journal::new(&layout, "run-1", "anna");
        assert_eq!(waiting(&layout), Vec::<String>::new());
        journal
            .in_hand("file /etc/x".to_owned(), &Answer::Report(Report::default()))
            .expect("writes");
        assert_eq!(waiting(&layout), ["run-1"]);
        let why = stopped(&layout).expect("has stopped");
        assert!(
            why.starts_with("killed while changing file /etc/x: the agent was ended; "),
            "{why}"
        );
        fs::create_dir_all(layout.at("/proc/sys/kernel/random")).expect("makes");
        fs::write(layout.at("/proc/sys/kernel/random/boot_id"), "another\n").expect("writes");
        assert!(stopped(&layout).expect("has stopped").contains("was restarted"));
        journal
            .finish(&Answer::Report(Report::default()))
            .expect("writes");
        assert_eq!(stopped(&layout), None);
        drop_report(&layout, "run-1");
        assert_eq!(
            read(&layout, "run-1").expect_err("is gone").kind,
            RefusalKind::Invalid
        );
    }

    #[test]
    fn a_run_under_way_is_not_waiting() {
        let (_root, layout) = host();
        let mut journal = Journal::new(&layout, "run-1", "anna");
        journal
            .in_hand("file /etc/x".to_owned(), &Answer::Report(Report::default()))
            .expect("writes");
        let lock = Lock::take(&layout, "run-1", "anna").expect("is free");
        assert_eq!(waiting(&layout), Vec::<String>::new());
        assert_eq!(
            read(&layout, "run-1").expect_err("is busy").kind,
            RefusalKind::Busy
        );
        lock.leave();
        assert_eq!(waiting(&layout), ["run-1"]);
        let said = RefCell::new(Vec::new());
        let asked = Cell::new(0);
        let gone = || asked.replace(asked.get() + 1) > 3;
        wait_for_end(&layout, "run-1", |line| said.borrow_mut().push(line), gone);
        assert_eq!(
            said.take(),
            ["anna has lost its controller and is still finishing file /etc/x; waiting for it"]
        );
        drop(lock);
        wait_for_end(&layout, "run-1", |line| panic!("{line}"), || false);
        assert_eq!(waiting(&layout), ["run-1"]);
    }

    #[test]
    fn broken_and_strange_entries_hurt_nobody() {
        let (_root, layout) = host();
        fs::create_dir_all(layout.journal()).expect("makes");
        fs::write(layout.journal().join("run-1.json"), "{").expect("writes");
        fs::write(layout.journal().join("..json"), "{}").expect("writes");
        assert_eq!(waiting(&layout), ["run-1"]);
        assert!(stopped(&layout).expect("says so").contains("cannot be read"));
        assert_eq!(
            read(&layout, "../x").expect_err("is refused").kind,
            RefusalKind::Invalid
        );
    }
}
