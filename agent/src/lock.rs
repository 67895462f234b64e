//! One run at a time changes a host.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{CWD, FlockOperation, Mode, OFlags, flock, ftruncate, openat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::clock;
use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::protocol::{Refusal, RefusalKind};

/// Who holds the lock.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) holder: String,
    pub(crate) run: String,
    pub(crate) since: u64,
    /// Nobody listens to it any more: it ends after the resource in hand.
    #[serde(default)]
    pub(crate) left: bool,
}

/// Held as long as it lives; the kernel lets go of it when the agent ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock {
    file: Locked,
    held: Held,
}

/// A file that is locked, and unlocked when it is dropped: not only closed, because a child that was just started may
/// have it open for a moment more.
#[derive(Debug)]
pub(crate) struct Locked(pub(crate) File);

impl Locked {
    /// Locks a file; `None` if somebody else holds it.
    pub(crate) fn at_once(file: File) -> Option<Locked> {
        flock(&file, FlockOperation::NonBlockingLockExclusive)
            .ok()
            .map(|()| Locked(file))
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

impl Lock {
    /// Takes the lock of the host.
    pub(crate) fn take(layout: &Layout, run: &str, holder: &str) -> Result<Lock, Refusal> {
        let failed = |error: Error| Refusal {
            kind: RefusalKind::Failed,
            message: error.to_string(),
        };
        let path = layout.lock();
        let mut file = open(&path).map_err(failed)?;
        if !lock_soon(&file).attempt("locking", &path).map_err(failed)? {
            return Err(busy(&read(&mut file)));
        }
        let file = Locked(file);
        let held = Held {
            holder: holder.to_owned(),
            run: run.to_owned(),
            since: clock::now(),
            left: false,
        };
        file.0
            .set_len(0)
            .and_then(|()| write(&file.0, &held))
            .attempt("writing", &path)
            .map_err(failed)?;
        Ok(Lock { file, held })
    }

    /// Tells whoever comes that nobody listens to this run any more.
    pub(crate) fn leave(&self) {
        let held = Held {
            left: true,
            ..self.held.clone()
        };
        // Who reads it otherwise believes that somebody listens, and tries again later.
        let _ = write(&self.file.0, &held);
    }

    /// Who changes the host right now, if anybody does.
    pub(crate) fn held(layout: &Layout) -> Option<Held> {
        let mut file = File::open(layout.lock()).ok()?;
        match flock(&file, FlockOperation::NonBlockingLockShared) {
            Err(Errno::WOULDBLOCK) => Some(read(&mut file)),
            _ => None,
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = ftruncate(&self.file.0, 0);
    }
}

/// Opens a lock file of the agent, which is made if it is missing and never followed elsewhere.
pub(crate) fn open(path: &Path) -> Result<File, Error> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(CWD, path, flags, Mode::from_raw_mode(0o600))
        .map(File::from)
        .attempt("opening", path)
}

/// False if somebody else holds it. Whoever only asks for the holder holds it for a moment, hence the tries.
fn lock_soon(file: &File) -> Result<bool, Errno> {
    for pause in [20, 60, 120, 0] {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK) => sleep(Duration::from_millis(pause)),
            Err(error) => return Err(error),
        }
    }
    Ok(false)
}

fn read(file: &mut File) -> Held {
    let mut text = String::new();
    let _ = file.take(4096).read_to_string(&mut text);
    serde_json::from_str(&text).unwrap_or_default()
}

/// In one go and over what was there, so that nobody reads half of it; the blank is there because `true` is shorter.
fn write(file: &File, held: &Held) -> std::io::Result<()> {
    let mut text = serde_json::to_vec(held)?;
    text.push(b' ');
    file.write_all_at(&text, 0)
}

fn busy(held: &Held) -> Refusal {
    let message = match held.holder.as_str() {
        "" => "another run has just begun to change this host; try again when it is done".to_owned(),
        holder if held.left => format!(
            "{holder} has lost its controller and is finishing what it has in hand (run {}); try again in a moment",
            held.run
        ),
        holder => format!(
            "{holder} has been changing this host since {} (run {}); try again when it is done",
            clock::shown(held.since),
            held.run,
        ),
    };
    Refusal {
        kind: RefusalKind::Busy,
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_asker_learns_who_holds_it_and_since_when() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        std::fs::create_dir(root.path().join("run")).expect("makes");
        assert_eq!(Lock::held(&layout), None);
        let lock = Lock::take(&layout, "run-1", "anna, job 12").expect("is free");
        let refusal = Lock::take(&layout, "run-2", "ben").expect_err("is taken");
        assert_eq!(refusal.kind, RefusalKind::Busy);
        assert!(
            refusal
                .message
                .starts_with("anna, job 12 has been changing this host since 20"),
            "{refusal}"
        );
        assert_eq!(Lock::held(&layout).map(|held| held.run), Some("run-1".to_owned()));
        lock.leave();
        assert!(Lock::held(&layout).is_some_and(|held| held.left && held.run == "run-1"));
        let refusal = Lock::take(&layout, "run-2", "ben").expect_err("is taken");
        assert!(refusal.message.contains("has lost its controller"), "{refusal}");
        drop(lock);
        assert_eq!(Lock::held(&layout), None);
        Lock::take(&layout, "run-2", "ben").expect("is free again");
    }
}
