//! One path on its way back: restored beside its place, exchanged by renames, and, until the end, what was there before.
//!
//! Beside `/srv/wiki/data` stands `/srv/wiki/.allmende-restore-data`, a folder of root alone, and in it `new` with what the
//! engine restores, `old` with what was there, and `undone` with what an undo took out. Which of them exist tells how far it
//! came, so a killed agent leaves no doubt. Everything goes through open directories: whoever may write in the path's parent
//! cannot lead it elsewhere.

use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Mode, OFlags, RenameFlags, Stat, mkdirat, openat, renameat, renameat_with, statat,
};
use rustix::io::Errno;

use crate::error::{Attempt, Error};
use crate::layout::Layout;
use crate::place::{Parents, Place};

const NEW: &str = "new";
const OLD: &str = "old";
const UNDONE: &str = "undone";

/// A path and the folder beside it, open.
#[derive(Debug)]
pub(super) struct Swap {
    place: Place,
    beside: Place,
    folder: OwnedFd,
}

impl Swap {
    /// Makes the folder beside a path. What an earlier try left in it goes first.
    pub(super) fn prepare(layout: &Layout, path: &str) -> Result<Swap, Error> {
        let place = Place::find(layout, path, Parents::Make)?.ok_or_else(|| vanished(path))?;
        let beside = place.hidden_beside("restore")?;
        remove(&beside)?;
        mkdirat(&beside.dir, &beside.name, Mode::from_raw_mode(0o700)).attempt("making", &beside.path)?;
        let swap = Swap::opened(place, beside)?;
        mkdirat(&swap.folder, NEW, Mode::from_raw_mode(0o700)).attempt("making", &swap.beside.path)?;
        Ok(swap)
    }

    /// The folder that an earlier restore made, if it is still there.
    pub(super) fn find(layout: &Layout, path: &str) -> Result<Option<Swap>, Error> {
        let Some(place) = Place::find(layout, path, Parents::Leave)? else {
            return Ok(None);
        };
        let beside = place.hidden_beside("restore")?;
        match beside.stat()? {
            Some(_) => Swap::opened(place, beside).map(Some),
            None => Ok(None),
        }
    }

    fn opened(place: Place, beside: Place) -> Result<Swap, Error> {
        let folder = beside.open_directory()?;
        Ok(Swap {
            place,
            beside,
            folder,
        })
    }

    /// Where the engine restores to. Valid as long as this lives, whatever happens to the folder's name.
    pub(super) fn target(&self) -> PathBuf {
        of_process(&self.folder, std::process::id()).join(NEW)
    }

    /// What the engine restored, by a path for this process.
    pub(super) fn restored(&self) -> PathBuf {
        self.target()
            .join(self.place.path.strip_prefix("/").unwrap_or(&self.place.path))
    }

    /// Whether the engine restored what belongs in the place.
    pub(super) fn has_restored(&self) -> Result<bool, Error> {
        Ok(self.stat_restored()?.is_some())
    }

    /// Puts what was there aside, and what was restored in its place.
    pub(super) fn exchange(&self) -> Result<(), Error> {
        let Some(parent) = self.restored_parent()? else {
            return Err(self.nothing_restored());
        };
        if self.place.stat()?.is_some() {
            renameat(&self.place.dir, &self.place.name, &self.folder, OLD)
                .attempt("putting aside", &self.place.path)?;
        }
        renameat_with(
            &parent,
            &self.place.name,
            &self.place.dir,
            &self.place.name,
            RenameFlags::NOREPLACE,
        )
        .attempt("putting in its place", &self.place.path)?;
        self.sync()
    }

    /// Puts back what was there before [`Swap::exchange`], however far that came, and removes what was restored.
    /// `was_there` tells whether there was anything.
    pub(super) fn undo(self, was_there: bool) -> Result<(), Error> {
        let old = self.has(OLD)?;
        let restored_is_in_place = !was_there && self.stat_restored()?.is_none();
        if (old.is_some() || restored_is_in_place) && self.place.stat()?.is_some() {
            renameat(&self.place.dir, &self.place.name, &self.folder, UNDONE)
                .attempt("taking out", &self.place.path)?;
        }
        if old.is_some() {
            renameat(&self.folder, OLD, &self.place.dir, &self.place.name)
                .attempt("putting back", &self.place.path)?;
            self.sync()?;
        }
        self.remove()
    }

    /// Removes the folder with all that is in it.
    pub(super) fn remove(self) -> Result<(), Error> {
        remove(&self.beside)
    }

    fn sync(&self) -> Result<(), Error> {
        self.place.sync_directory()?;
        rustix::fs::fsync(&self.folder).attempt("writing", &self.beside.path)
    }

    fn has(&self, name: &str) -> Result<Option<Stat>, Error> {
        found(statat(&self.folder, name, AtFlags::SYMLINK_NOFOLLOW))
            .attempt("looking into", &self.beside.path)
    }

    fn stat_restored(&self) -> Result<Option<Stat>, Error> {
        let Some(parent) = self.restored_parent()? else {
            return Ok(None);
        };
        found(statat(&parent, &self.place.name, AtFlags::SYMLINK_NOFOLLOW))
            .attempt("looking into", &self.beside.path)
    }

    /// The directory below `new` that holds what was restored.
    fn restored_parent(&self) -> Result<Option<OwnedFd>, Error> {
        let parent = self.place.path.parent().unwrap_or(Path::new("/"));
        let below = Path::new(NEW).join(parent.strip_prefix("/").unwrap_or(parent));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        found(openat(&self.folder, &below, flags, Mode::empty())).attempt("looking into", &self.beside.path)
    }

    /// What to say when the backup does not have it.
    pub(super) fn nothing_restored(&self) -> Error {
        Error::obstacle(
            format!("{} is not in the backup", self.place.path.display()),
            "look at what it holds: `allmende backup files`",
        )
    }
}

/// A path of an open directory that other processes reach too.
fn of_process(directory: &OwnedFd, process: u32) -> PathBuf {
    PathBuf::from(format!("/proc/{process}/fd/{}", directory.as_raw_fd()))
}

fn found<T>(result: Result<T, Errno>) -> Result<Option<T>, Errno> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

fn vanished(path: &str) -> Error {
    Error::obstacle(
        format!("a directory of {path} vanished while it was made"),
        "find out what removes it and restore again",
    )
}

/// Removes a place with all that is below it, if it is there.
fn remove(place: &Place) -> Result<(), Error> {
    let by_directory = Path::new("/proc/self/fd")
        .join(place.dir.as_raw_fd().to_string())
        .join(&place.name);
    match fs::remove_dir_all(by_directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).attempt("removing", &place.path),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    struct Bench {
        root: tempfile::TempDir,
        layout: Layout,
    }

    impl Bench {
        /// A host with `/srv/wiki/data/page`, if `there`.
        fn new(there: bool) -> Bench {
            let root = tempfile::tempdir().expect("temporary directory");
            fs::create_dir_all(root.path().join("srv/wiki")).expect("makes");
            if there {
                fs::create_dir(root.path().join("srv/wiki/data")).expect("makes");
                fs::write(root.path().join("srv/wiki/data/page"), "now").expect("writes");
            }
            let layout = Layout::below(root.path());
            Bench { root, layout }
        }

        fn restored(&self) -> Swap {
            let swap = Swap::prepare(&self.layout, "/srv/wiki/data").expect("prepares");
            fs::create_dir_all(swap.restored()).expect("makes");
            fs::write(swap.restored().join("page"), "then").expect("writes");
            swap
        }

        fn page(&self) -> Option<String> {
            fs::read_to_string(self.root.path().join("srv/wiki/data/page")).ok()
        }

        /// What another agent, later, finds and undoes.
        fn undo(&self, was_there: bool) {
            let swap = Swap::find(&self.layout, "/srv/wiki/data").expect("looks");
            if let Some(swap) = swap {
                swap.undo(was_there).expect("undoes");
            }
            assert!(!self.root.path().join("srv/wiki/.allmende-restore-data").exists());
        }
    }

    #[test]
    fn what_was_restored_comes_in_and_what_was_there_goes_at_the_end() {
        let bench = Bench::new(true);
        let swap = bench.restored();
        assert_eq!(bench.page().as_deref(), Some("now"));
        let folder = bench.root.path().join("srv/wiki/.allmende-restore-data");
        assert_eq!(fs::metadata(&folder).expect("is there").mode() & 0o777, 0o700);
        swap.exchange().expect("exchanges");
        assert_eq!(bench.page().as_deref(), Some("then"));
        assert_eq!(
            fs::read_to_string(folder.join("old/page")).expect("is aside"),
            "now"
        );
        swap.remove().expect("removes");
        assert!(!folder.exists());
    }

    #[test]
    fn an_undo_brings_back_what_was_there_however_far_it_came() {
        // Only restored; put aside and nothing in its place; exchanged.
        for far in 0..3 {
            let bench = Bench::new(true);
            let swap = bench.restored();
            match far {
                0 => {}
                1 => renameat(&swap.place.dir, "data", &swap.folder, OLD).expect("renames"),
                _ => swap.exchange().expect("exchanges"),
            }
            drop(swap);
            bench.undo(true);
            assert_eq!(bench.page().as_deref(), Some("now"), "{far}");
            bench.undo(true);
            assert_eq!(bench.page().as_deref(), Some("now"), "{far}");
        }
    }

    #[test]
    fn where_nothing_was_an_undo_leaves_nothing() {
        for exchanged in [false, true] {
            let bench = Bench::new(false);
            let swap = bench.restored();
            if exchanged {
                swap.exchange().expect("exchanges");
                assert_eq!(bench.page().as_deref(), Some("then"));
            }
            drop(swap);
            bench.undo(false);
            assert_eq!(bench.page(), None);
        }
    }

    #[test]
    fn a_path_that_the_backup_lacks_leaves_all_as_it_is() {
        let bench = Bench::new(true);
        let swap = Swap::prepare(&bench.layout, "/srv/wiki/data").expect("prepares");
        assert!(!swap.has_restored().expect("looks"));
        let error = swap.exchange().expect_err("there is nothing");
        assert!(
            error
                .to_string()
                .starts_with("/srv/wiki/data is not in the backup"),
            "{error}"
        );
        assert_eq!(bench.page().as_deref(), Some("now"));
    }

    #[test]
    fn a_folder_beside_that_was_led_elsewhere_is_not_followed() {
        let bench = Bench::new(true);
        let elsewhere = bench.root.path().join("etc");
        fs::create_dir(&elsewhere).expect("makes");
        fs::write(elsewhere.join("passwd"), "root").expect("writes");
        let beside = bench.root.path().join("srv/wiki/.allmende-restore-data");
        std::os::unix::fs::symlink(&elsewhere, &beside).expect("links");
        assert!(Swap::find(&bench.layout, "/srv/wiki/data").is_err());
        drop(bench.restored());
        assert_eq!(fs::read_dir(&elsewhere).expect("is there").count(), 1);
    }
}
