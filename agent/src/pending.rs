//! Handlers that were notified and have not run yet. They outlive a run that fails, and a host that is switched off.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::PathBuf;

use crate::atomic::write_own;
use crate::error::{Attempt, Error};
use crate::layout::Layout;

/// The pending handlers of one section.
#[derive(Debug)]
pub(crate) struct Pending {
    path: PathBuf,
    /// What an earlier run left.
    left_over: BTreeSet<String>,
    /// All that has to run, by handler id.
    ids: BTreeSet<String>,
}

impl Pending {
    /// What earlier runs left for a section.
    pub(crate) fn of(layout: &Layout, section: &str) -> Result<Pending, Error> {
        let path = layout.pending().join(section);
        let ids: BTreeSet<String> = match fs::read(&path) {
            // A file that cannot be read names no handlers that could run.
            Ok(text) => serde_json::from_slice(&text).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => BTreeSet::new(),
            Err(error) => return Err(error).attempt("reading", &path),
        };
        Ok(Pending {
            path,
            left_over: ids.clone(),
            ids,
        })
    }

    /// Notes handlers, on disk too, before the change is made that they belong to.
    pub(crate) fn add(&mut self, ids: &[String]) -> Result<(), Error> {
        let before = self.ids.len();
        self.note(ids);
        if self.ids.len() > before {
            self.write()
        } else {
            Ok(())
        }
    }

    /// Notes handlers for a plan, which writes nothing.
    pub(crate) fn note(&mut self, ids: &[String]) {
        for id in ids {
            self.left_over.remove(id);
            self.ids.insert(id.clone());
        }
    }

    pub(crate) fn has(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn is_left_over(&self, id: &str) -> bool {
        self.left_over.contains(id)
    }

    /// A handler ran.
    pub(crate) fn done(&mut self, id: &str) -> Result<(), Error> {
        if self.ids.remove(id) { self.write() } else { Ok(()) }
    }

    /// Forgets what the section's handlers no longer contain: nobody knows how to run it.
    pub(crate) fn keep_only(&mut self, known: &[&str]) -> Result<(), Error> {
        let before = self.ids.len();
        self.ids.retain(|id| known.contains(&id.as_str()));
        if self.ids.len() < before {
            self.write()
        } else {
            Ok(())
        }
    }

    fn write(&self) -> Result<(), Error> {
        if self.ids.is_empty() {
            return match fs::remove_file(&self.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(error).attempt("removing", &self.path)
                }
                _ => Ok(()),
            };
        }
        let text = serde_json::to_vec(&self.ids)
            .map_err(io::Error::from)
            .attempt("writing", &self.path)?;
        write_own(&self.path, &text, 0o600, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(ids: &[&str]) -> Vec<String> {
        ids.iter().map(|&id| id.to_owned()).collect()
    }

    #[test]
    fn they_are_left_over_until_they_are_done() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        let mut pending = Pending::of(&layout, "cloud").expect("reads");
        pending.add(&ids(&["nginx", "php"])).expect("writes");
        assert!(!pending.is_left_over("nginx"));
        let mut pending = Pending::of(&layout, "cloud").expect("reads");
        assert!(pending.is_left_over("nginx") && pending.has("php") && !pending.has("other"));
        pending.add(&ids(&["nginx"])).expect("writes");
        assert!(!pending.is_left_over("nginx") && pending.is_left_over("php"));
        pending.done("nginx").expect("writes");
        pending.keep_only(&["nginx"]).expect("writes");
        assert!(!layout.pending().join("cloud").exists());
    }

    #[test]
    fn a_plan_writes_nothing_and_a_broken_file_is_empty() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        Pending::of(&layout, "cloud")
            .expect("reads")
            .note(&ids(&["nginx"]));
        assert!(!layout.state().exists());
        fs::create_dir_all(layout.pending()).expect("makes");
        fs::write(layout.pending().join("cloud"), "{nonsense").expect("writes");
        assert!(!Pending::of(&layout, "cloud").expect("reads").has("nginx"));
    }
}
