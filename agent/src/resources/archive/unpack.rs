//! The second pass over an archive: its entries are written below a directory that nobody else knows yet.

use std::fs::{File, FileTimes};
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, Uid, chownat, linkat, mkdirat, openat, symlinkat, syncfs, unlinkat,
};
use rustix::io::Errno;

use super::entries::{Item, Kind, damaged, each};
use crate::atomic::Rights;
use crate::error::{Attempt, Error};
use crate::place::Place;

/// Entries between two lines of progress.
const STEP: u64 = 5000;

/// Unpacks into a new directory at `tree`. Everything in it belongs to `owner`.
pub(super) fn unpack(
    blob: &Path,
    strip: usize,
    tree: &Place,
    owner: (u32, u32),
    say: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    mkdirat(&tree.dir, &tree.name, Mode::from_raw_mode(0o700)).attempt("making the directory", &tree.path)?;
    let mut writer = Writer {
        top: tree.open_directory()?,
        here: None,
        path: tree.path.clone(),
        owner,
        buffer: vec![0; 64 * 1024],
    };
    let mut count: u64 = 0;
    each(blob, strip, &mut |item, content| {
        count += 1;
        if count.is_multiple_of(STEP) {
            say(&format!("{count} entries unpacked"));
        }
        writer.write(item, content)
    })?;
    writer.rights(0o755).give(&writer.top, &tree.path)?;
    say(&format!("{count} entries unpacked, writing them to disk"));
    syncfs(&writer.top).attempt("writing", &tree.path)
}

struct Writer {
    top: OwnedFd,
    /// The directory of the entry before: the next one is mostly there too.
    here: Option<(Vec<Vec<u8>>, OwnedFd)>,
    path: std::path::PathBuf,
    owner: (u32, u32),
    buffer: Vec<u8>,
}

impl Writer {
    fn rights(&self, mode: u32) -> Rights {
        let (uid, gid) = self.owner;
        Rights { uid, gid, mode }
    }

    fn write(&mut self, item: &Item, content: &mut dyn Read) -> Result<(), Error> {
        let Some((name, parents)) = item.path.split_last() else {
            return Ok(());
        };
        match &item.kind {
            Kind::Directory => {
                let dir = self.directory(&item.path)?;
                return self.rights(item.mode | 0o700).give(dir, &self.path);
            }
            Kind::File => return self.file(item, parents, name, content),
            Kind::Symlink(_) | Kind::Hardlink(_) => {}
        }
        self.free(parents, name)?;
        let (uid, gid) = self.owner;
        match &item.kind {
            Kind::Symlink(target) => {
                let dir = self.parent(parents)?;
                symlinkat(target.as_slice(), dir, name.as_slice()).attempt("linking in", &self.path)?;
                let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
                let dir = self.parent(parents)?;
                chownat(
                    dir,
                    name.as_slice(),
                    Some(uid),
                    Some(gid),
                    AtFlags::SYMLINK_NOFOLLOW,
                )
                .attempt("giving an owner to a link in", &self.path)
            }
            Kind::Hardlink(target) => {
                let Some((old, above)) = target.split_last() else {
                    return Ok(());
                };
                let from = self.directory(above)?;
                let into = self.parent(parents)?;
                linkat(from, old.as_slice(), into, name.as_slice(), AtFlags::empty())
                    .attempt("linking in", &self.path)
            }
            Kind::File | Kind::Directory => Ok(()),
        }
    }

    fn file(
        &mut self,
        item: &Item,
        parents: &[Vec<u8>],
        name: &[u8],
        content: &mut dyn Read,
    ) -> Result<(), Error> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(0o600);
        let file = match openat(self.parent(parents)?, name, flags, mode) {
            Err(Errno::EXIST) => {
                self.free(parents, name)?;
                openat(self.parent(parents)?, name, flags, mode)
            }
            opened => opened,
        };
        let mut file = File::from(file.attempt("writing a file in", &self.path)?);
        let mut written = 0;
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(damaged(error)),
            };
            file.write_all(self.buffer.get(..count).unwrap_or_default())
                .attempt("writing a file in", &self.path)?;
            written += count as u64;
        }
        if written != item.size {
            return Err(damaged(io::ErrorKind::UnexpectedEof.into()));
        }
        self.rights(item.mode).give(&file, &self.path)?;
        // A date that the file system does not know is no reason to give up.
        if let Some(time) = UNIX_EPOCH.checked_add(Duration::from_secs(item.modified)) {
            let _ = file.set_times(FileTimes::new().set_modified(time));
        }
        Ok(())
    }

    /// Takes away what an earlier entry of the same name left: the later one counts.
    fn free(&mut self, parents: &[Vec<u8>], name: &[u8]) -> Result<(), Error> {
        match unlinkat(self.parent(parents)?, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error).attempt("replacing a file in", &self.path),
        }
    }

    fn parent(&mut self, parents: &[Vec<u8>]) -> Result<&OwnedFd, Error> {
        if self.here.as_ref().is_none_or(|(path, _)| path != parents) {
            let dir = self.directory(parents)?;
            self.here = Some((parents.to_vec(), dir));
        }
        Ok(self.here.as_ref().map_or(&self.top, |(_, dir)| dir))
    }

    /// Opens a directory below the top; what is missing on the way is made.
    fn directory(&self, path: &[Vec<u8>]) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut dir = self.top.try_clone().attempt("opening", &self.path)?;
        for name in path {
            let name = name.as_slice();
            dir = match openat(&dir, name, flags, Mode::empty()) {
                Err(Errno::NOENT) => {
                    mkdirat(&dir, name, Mode::from_raw_mode(0o700))
                        .attempt("making a directory in", &self.path)?;
                    let made = openat(&dir, name, flags, Mode::empty());
                    let made = made.attempt("making a directory in", &self.path)?;
                    self.rights(0o755).give(&made, &self.path)?;
                    made
                }
                opened => opened.attempt("opening a directory in", &self.path)?,
            };
        }
        Ok(dir)
    }
}
