//! What was unpacked where: a file beside the tree, because a program may count the files in its own.

use rustix::fs::{AtFlags, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::atomic::{Candidate, Rights};
use crate::error::{Attempt, Error};
use crate::place::Place;

/// A larger one is not ours.
const LARGEST: u64 = 256 * 1024;

/// What was unpacked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Marker {
    pub(super) sha256: String,
    pub(super) strip: usize,
    pub(super) owner: String,
    pub(super) group: String,
    /// Names that the top directory has to have.
    pub(super) names: Vec<String>,
    /// False while one tree takes the place of another.
    pub(super) whole: bool,
}

impl Marker {
    fn place(tree: &Place) -> Result<Place, Error> {
        tree.beside(format!(".{}.allmende-archive", tree.name.to_string_lossy()))
    }

    /// What the marker of a tree says; `None` without one that can be read.
    pub(super) fn read(tree: &Place) -> Result<Option<Marker>, Error> {
        let place = Marker::place(tree)?;
        match place.stat()? {
            Some(_) => Ok(serde_json::from_slice(&place.read(LARGEST)?).ok()),
            None => Ok(None),
        }
    }

    pub(super) fn write(&self, tree: &Place) -> Result<(), Error> {
        let place = Marker::place(tree)?;
        let text = serde_json::to_vec(self)
            .map_err(std::io::Error::from)
            .attempt("writing", &place.path)?;
        let rights = Rights {
            uid: rustix::process::geteuid().as_raw(),
            gid: rustix::process::getegid().as_raw(),
            mode: 0o644,
        };
        Candidate::write(&place, &text, rights)?.put(&place)
    }

    /// A name that the tree should have at its top and has not.
    pub(super) fn missing(&self, tree: &Place) -> Result<Option<&str>, Error> {
        let dir = tree.open_directory()?;
        for name in &self.names {
            match statat(&dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => {}
                Err(Errno::NOENT) => return Ok(Some(name)),
                Err(error) => return Err(error).attempt("looking into", &tree.path),
            }
        }
        Ok(None)
    }
}
