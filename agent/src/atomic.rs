//! Files that appear whole or not at all: written beside their place under a hidden name, synced, and renamed.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Gid, Mode, OFlags, Stat, Uid, fchmod, fchown, openat, renameat, unlinkat};
use rustix::io::Errno;

use crate::error::{Attempt, Error};
use crate::place::Place;

/// Owner, group and permission bits of something new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rights {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) mode: u32,
}

impl Rights {
    /// Those of something that is there.
    pub(crate) fn of(found: &Stat) -> Rights {
        Rights {
            uid: found.st_uid,
            gid: found.st_gid,
            mode: found.st_mode & 0o7777,
        }
    }

    /// Gives them to an open file or directory.
    pub(crate) fn give(self, file: impl AsFd, path: &Path) -> Result<(), Error> {
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        // The owner first: a change of owner clears set-user-id bits.
        fchown(&file, Some(uid), Some(gid)).attempt("giving an owner to", path)?;
        fchmod(&file, Mode::from_raw_mode(self.mode)).attempt("giving a mode to", path)
    }
}

/// A file that is complete, but not yet in its place. It vanishes unless it is put there.
#[derive(Debug)]
pub(crate) struct Candidate {
    hidden: Place,
    placed: bool,
}

impl Candidate {
    /// Writes content and rights beside `place`. What an earlier try left there goes first.
    pub(crate) fn write(place: &Place, content: &[u8], rights: Rights) -> Result<Candidate, Error> {
        let hidden = place.hidden_beside("new")?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = || openat(&hidden.dir, &hidden.name, flags, Mode::from_raw_mode(0o600));
        let file = match open() {
            Err(Errno::EXIST) => {
                unlinkat(&hidden.dir, &hidden.name, AtFlags::empty())
                    .attempt("removing the leftover", &hidden.path)?;
                open()
            }
            opened => opened,
        };
        let mut file = File::from(file.attempt("writing", &place.path)?);
        let candidate = Candidate {
            hidden,
            placed: false,
        };
        file.write_all(content).attempt("writing", &place.path)?;
        rights.give(&file, &place.path)?;
        file.sync_all().attempt("writing", &place.path)?;
        Ok(candidate)
    }

    /// Its path, for programs that look at it before it is put in place.
    pub(crate) fn path(&self) -> &Path {
        &self.hidden.path
    }

    /// Puts it in place of whatever file or link is there.
    pub(crate) fn put(mut self, place: &Place) -> Result<(), Error> {
        renameat(&self.hidden.dir, &self.hidden.name, &place.dir, &place.name)
            .attempt("replacing", &place.path)?;
        self.placed = true;
        place.sync_directory()
    }
}

impl Drop for Candidate {
    fn drop(&mut self) {
        if !self.placed {
            let _ = unlinkat(&self.hidden.dir, &self.hidden.name, AtFlags::empty());
        }
    }
}

/// Writes one of the agent's own files, whose directory belongs to root alone: whole or not at all.
///
/// `durable` makes it outlive a power failure; without it the file outlives only the agent.
pub(crate) fn write_own(path: &Path, content: &[u8], mode: u32, durable: bool) -> Result<(), Error> {
    let mut hidden = path.as_os_str().to_owned();
    hidden.push(".new");
    let hidden = Path::new(&hidden);
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let open = || openat(CWD, hidden, flags, Mode::from_raw_mode(0o600));
    let file = match (open(), path.parent()) {
        (Err(Errno::NOENT), Some(folder)) => {
            make_own_directory(folder)?;
            open()
        }
        (opened, _) => opened,
    };
    let mut file = File::from(file.attempt("writing", path)?);
    let written = file
        .write_all(content)
        .and_then(|()| if durable { file.sync_all() } else { Ok(()) });
    if let Err(error) = written {
        let _ = std::fs::remove_file(hidden);
        return Err(Error::at("writing", path, error));
    }
    fchmod(&file, Mode::from_raw_mode(mode)).attempt("giving a mode to", path)?;
    std::fs::rename(hidden, path).attempt("replacing", path)?;
    if durable && let Some(folder) = path.parent() {
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .attempt("writing the directory of", path)?;
    }
    Ok(())
}

/// Makes one of the agent's own directories, for root alone.
pub(crate) fn make_own_directory(path: &Path) -> Result<(), Error> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .attempt("making the directory", path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use crate::place::Parents;
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    fn rights(mode: u32) -> Rights {
        Rights {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode,
        }
    }

    #[test]
    fn a_candidate_appears_whole_and_leaves_nothing_behind() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        fs::write(root.path().join(".allmende-new-x"), "left over from a crash").expect("writes");
        let place = Place::find(&layout, "/x", Parents::Leave)
            .expect("reads")
            .expect("is there");
        drop(Candidate::write(&place, b"dropped", rights(0o644)).expect("writes"));
        assert_eq!(fs::read_dir(root.path()).expect("reads").count(), 0);
        Candidate::write(&place, b"kept", rights(0o640))
            .expect("writes")
            .put(&place)
            .expect("puts");
        let found = fs::metadata(root.path().join("x")).expect("is there");
        assert_eq!(found.mode() & 0o7777, 0o640);
        assert_eq!(fs::read_dir(root.path()).expect("reads").count(), 1);
    }

    #[test]
    fn a_link_is_replaced_and_what_it_points_to_stays() {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        fs::write(root.path().join("precious"), "precious").expect("writes");
        symlink("precious", root.path().join("x")).expect("links");
        symlink("precious", root.path().join(".allmende-new-x")).expect("links");
        let place = Place::find(&layout, "/x", Parents::Leave)
            .expect("reads")
            .expect("is there");
        Candidate::write(&place, b"new", rights(0o644))
            .expect("writes")
            .put(&place)
            .expect("puts");
        assert_eq!(
            fs::read_to_string(root.path().join("precious")).expect("reads"),
            "precious"
        );
        assert!(
            fs::symlink_metadata(root.path().join("x"))
                .expect("is there")
                .is_file()
        );
    }

    #[test]
    fn own_files_bring_their_directory() {
        let root = tempfile::tempdir().expect("temporary directory");
        let path = root.path().join("deep/er/file");
        write_own(&path, b"1", 0o600, true).expect("writes");
        write_own(&path, b"2", 0o600, false).expect("writes");
        assert_eq!(fs::read(&path).expect("reads"), b"2");
        assert_eq!(
            fs::metadata(root.path().join("deep")).expect("is there").mode() & 0o777,
            0o700
        );
    }
}
