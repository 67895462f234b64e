//! A repository, served to the host that writes to it: restic's REST protocol, version 2, over HTTP/2, into a stream.
//!
//! Whoever speaks at the other end is not trusted. It may read this one repository and add to it; what is there stays as it is.

mod answer;
mod connection;
mod folder;
mod refusal;
mod route;
#[cfg(test)]
mod tests;
mod upload;

use std::path::PathBuf;

pub use connection::{Served, serve};
pub use refusal::{Deed, Refused};
use route::Kind;
use upload::Place;

/// A repository, and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Its folder, absolute.
    pub folder: PathBuf,
    /// What may be done.
    pub permission: Permission,
    /// Bytes that may still be written before the target's quota is reached; none where there is no quota.
    pub allowance: Option<u64>,
    /// What stays free of the file system and of its files, in percent.
    pub reserve_percent: u8,
}

/// What may be done with a repository. Locks may be set always, and only those that were set on the same connection be removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Permission {
    /// Reading.
    Read,
    /// Reading and adding.
    Append {
        /// Whether the repository may be made: its configuration and its keys are written.
        may_create: bool,
    },
}

impl Permission {
    fn may_create(self) -> bool {
        self == Self::Append { may_create: true }
    }

    fn may_write(self, place: &Place) -> bool {
        match place {
            Place::File(Kind::Locks, _) => true,
            Place::Config | Place::File(Kind::Keys, _) => self.may_create(),
            Place::File(..) => self != Self::Read,
        }
    }
}
