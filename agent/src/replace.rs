//! A new agent takes the old one's place, and the old one comes back if nobody says that the new one works.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, fchmod};

use crate::blobs::{Blobs, sha256_of};
use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::lock::{self, Locked};
use crate::process::Program;

fn beside(layout: &Layout, suffix: &str) -> PathBuf {
    let mut path = layout.binary().into_os_string();
    path.push(suffix);
    path.into()
}

fn previous(layout: &Layout) -> PathBuf {
    beside(layout, ".previous")
}

/// A replacement that is neither kept nor taken back yet. It is taken back when it is dropped.
#[derive(Debug)]
pub(crate) struct Replacement {
    layout: Layout,
    /// Tells other sessions that this one still decides.
    _lock: Locked,
    kept: bool,
}

impl Replacement {
    /// Puts a blob in the agent's place. The old one stays beside it.
    pub(crate) fn make(layout: &Layout, sha256: &str) -> Result<Replacement, Error> {
        let blob = Blobs::of(layout).path(sha256).ok_or_else(|| {
            Error::obstacle(
                "the new agent was not sent to this host",
                "send it as a blob and ask again",
            )
        })?;
        let lock = Locked::at_once(lock::open(&layout.replacement_lock())?).ok_or_else(|| {
            Error::obstacle(
                "another session is replacing the agent of this host",
                "try again when it is done",
            )
        })?;
        let (binary, new, previous) = (layout.binary(), beside(layout, ".new"), previous(layout));
        copy(&blob, &new)?;
        if let Err(error) = try_out(&new, sha256) {
            let _ = fs::remove_file(&new);
            return Err(error);
        }
        // A link, not a rename: at every moment there is an agent under the name that sshd starts.
        remove(&previous)?;
        fs::hard_link(&binary, &previous).attempt("keeping a copy of", &binary)?;
        let replacement = Replacement {
            layout: layout.clone(),
            _lock: lock,
            kept: false,
        };
        fs::rename(&new, &binary).attempt("replacing", &binary)?;
        sync_folder(&binary)?;
        Ok(replacement)
    }

    /// The new agent works: the old one may go.
    pub(crate) fn keep(mut self) -> Result<(), Error> {
        self.kept = true;
        remove(&previous(&self.layout))
    }
}

impl Drop for Replacement {
    fn drop(&mut self) {
        if !self.kept {
            let binary = self.layout.binary();
            let _ = fs::rename(previous(&self.layout), &binary);
            let _ = sync_folder(&binary);
        }
    }
}

/// Cleans up after a session that was killed between replacing and keeping. A controller has just said hello to this
/// agent, so it works: whatever else lies there may go, unless another session still decides.
pub(crate) fn settle(layout: &Layout) {
    let previous = previous(layout);
    if !previous.exists() {
        return;
    }
    let Ok(lock) = lock::open(&layout.replacement_lock()) else {
        return;
    };
    if let Some(_lock) = Locked::at_once(lock) {
        let _ = fs::remove_file(previous);
        let _ = fs::remove_file(beside(layout, ".new"));
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    remove(to)?;
    let mut source = File::open(from).attempt("reading", from)?;
    let mut target = File::create_new(to).attempt("writing", to)?;
    io::copy(&mut source, &mut target).attempt("writing", to)?;
    fchmod(&target, Mode::from_raw_mode(0o755)).attempt("giving a mode to", to)?;
    target.sync_all().attempt("writing", to)
}

/// The hash is checked once more, and the program has to start on this host and say what it is.
fn try_out(new: &Path, sha256: &str) -> Result<(), Error> {
    let found = sha256_of(new).attempt("reading", new)?;
    if found != sha256 {
        return Err(Error::obstacle(
            format!("the new agent on this host has the SHA-256 {found} and not {sha256}"),
            "its disk or memory may be faulty; send it again",
        ));
    }
    let program = Program::new([new.to_string_lossy(), "--version".into()]).timeout(Duration::from_secs(10));
    let mut said = program.quietly();
    for _ in 0..10 {
        if said.is_ok() {
            break;
        }
        // "Text file busy" while another thread's child still holds the file it was copied to.
        std::thread::sleep(Duration::from_millis(50));
        said = program.quietly();
    }
    let said = said.map_err(|source| Error::ProgramWith {
        source,
        more: "\nthe new agent does not start on this host, so the old one stays".to_owned(),
    })?;
    if !said.text().starts_with("allmende-agent ") {
        return Err(Error::obstacle(
            "the blob that was sent is no agent",
            "send the agent and ask again",
        ));
    }
    Ok(())
}

fn remove(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).attempt("removing", path),
        _ => Ok(()),
    }
}

fn sync_folder(path: &Path) -> Result<(), Error> {
    match path.parent() {
        Some(folder) => File::open(folder)
            .and_then(|folder| folder.sync_all())
            .attempt("writing the directory of", path),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{FlockOperation, flock};
    use std::os::unix::fs::PermissionsExt;

    const NEW: &str = "#!/bin/sh\necho allmende-agent 9.9\n";

    fn host(new: &str) -> (tempfile::TempDir, Layout, String) {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        for folder in [
            layout.blobs(),
            layout.at("/run"),
            layout.binary().parent().expect("has one").to_owned(),
        ] {
            fs::create_dir_all(folder).expect("makes");
        }
        fs::write(layout.binary(), "old").expect("writes");
        fs::set_permissions(layout.binary(), fs::Permissions::from_mode(0o755)).expect("sets");
        let draft = root.path().join("draft");
        fs::write(&draft, new).expect("writes");
        let sha256 = sha256_of(&draft).expect("reads");
        fs::rename(draft, layout.blobs().join(&sha256)).expect("renames");
        (root, layout, sha256)
    }

    fn current(layout: &Layout) -> String {
        fs::read_to_string(layout.binary()).expect("reads")
    }

    #[test]
    fn the_new_one_stays_when_it_is_kept() {
        let (_root, layout, sha256) = host(NEW);
        let replacement = Replacement::make(&layout, &sha256).expect("replaces");
        assert_eq!(current(&layout), NEW);
        assert!(previous(&layout).exists());
        // The new agent's own session must not decide while the old one's still lives.
        settle(&layout);
        assert!(previous(&layout).exists());
        assert!(
            Replacement::make(&layout, &sha256)
                .expect_err("is under way")
                .to_string()
                .contains("another session")
        );
        replacement.keep().expect("keeps");
        assert_eq!(current(&layout), NEW);
        assert!(!previous(&layout).exists());
    }

    #[test]
    fn the_old_one_comes_back_when_nobody_keeps_the_new_one() {
        let (_root, layout, sha256) = host(NEW);
        drop(Replacement::make(&layout, &sha256).expect("replaces"));
        assert_eq!(current(&layout), "old");
        assert!(!previous(&layout).exists());
    }

    #[test]
    fn what_does_not_start_is_not_put_in_place() {
        let (_root, layout, sha256) = host("no program at all");
        let error = Replacement::make(&layout, &sha256)
            .expect_err("does not start")
            .to_string();
        assert!(
            error.contains("the old one stays") || error.contains("is no agent"),
            "{error}"
        );
        assert_eq!(current(&layout), "old");
        assert!(
            Replacement::make(&layout, &"0".repeat(64))
                .expect_err("is missing")
                .to_string()
                .contains("not sent")
        );
    }

    #[test]
    fn leftovers_of_a_killed_session_go_once_the_new_one_works() {
        let (_root, layout, sha256) = host(NEW);
        let replacement = Replacement::make(&layout, &sha256).expect("replaces");
        // What the kernel does for a killed process: its lock goes, nothing else happens.
        flock(&replacement._lock.0, FlockOperation::Unlock).expect("unlocks");
        std::mem::forget(replacement);
        settle(&layout);
        assert_eq!(current(&layout), NEW);
        assert!(!previous(&layout).exists());
    }
}
