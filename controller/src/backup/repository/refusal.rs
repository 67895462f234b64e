//! What was refused to a host.

use std::fmt;

/// One request that was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// What it wanted.
    pub deed: Deed,
    /// The address that it asked for, cut to a bearable length.
    pub path: String,
}

/// What a request wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To remove what is there.
    Delete,
    /// To remove a lock that another one set.
    ForeignLock,
    /// To write over what is there.
    Overwrite,
    /// To write what does not match its name.
    Poison,
    /// To write where this connection may not.
    Write,
    /// To set more locks than any backup needs.
    ManyLocks,
    /// To write more than a file of this kind ever has.
    TooLarge,
    /// Something that is not of this repository.
    Outside,
    /// To write more than there is room for. The only one that an honest host is refused.
    NoRoom,
}

impl Deed {
    /// Whether restic, left to itself, never does such a thing.
    pub fn is_misdeed(self) -> bool {
        self != Self::NoRoom
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = &self.path;
        match self.deed {
            Deed::Delete => write!(formatter, "tried to remove {path}"),
            Deed::ForeignLock => write!(formatter, "tried to remove a lock that is not its own, {path}"),
            Deed::Overwrite => write!(formatter, "tried to write over {path}"),
            Deed::Poison => write!(formatter, "sent something else than its name says for {path}"),
            Deed::Write => write!(formatter, "tried to write {path}, which it may not"),
            Deed::ManyLocks => write!(formatter, "tried to set ever more locks, the last one {path}"),
            Deed::TooLarge => write!(formatter, "tried to write far more than restic does to {path}"),
            Deed::Outside => write!(formatter, "asked for {path}, which is not of its repository"),
            Deed::NoRoom => write!(formatter, "had no room left for {path}"),
        }
    }
}
