//! The first pass over an archive: every entry is looked at before anything is written.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::path::Path;

use super::entries::{Item, Kind, each, refused};
use crate::error::Error;

/// Names at the top of the tree that its marker remembers.
const MOST_NAMES: usize = 500;

/// What an archive will bring.
#[derive(Debug)]
pub(super) struct Survey {
    /// Bytes on disk, roughly.
    pub(super) needed: u64,
    /// Names at the top.
    pub(super) names: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    File,
    Directory,
    Link,
}

/// What was seen, by a keyed hash of the path: a set of all names would take megabytes.
#[derive(Debug, Default)]
struct Tree {
    hasher: RandomState,
    seen: HashMap<u64, Seen>,
}

impl Tree {
    fn key(&self, path: &[Vec<u8>]) -> u64 {
        self.hasher.hash_one(path)
    }

    fn at(&self, path: &[Vec<u8>]) -> Option<Seen> {
        self.seen.get(&self.key(path)).copied()
    }

    /// Everything above an entry is a directory, and is one in the archive too if it is there.
    fn add(&mut self, item: &Item) -> Result<(), Error> {
        let depth = item.path.len();
        for above in 1..depth {
            let above = item.path.get(..above).unwrap_or_default();
            match self.at(above) {
                Some(Seen::Directory) => {}
                None => {
                    let key = self.key(above);
                    self.seen.insert(key, Seen::Directory);
                }
                Some(_) => {
                    return Err(refused(
                        &item.shown(),
                        "lies below something that is no directory",
                    ));
                }
            }
        }
        let is = match item.kind {
            Kind::Directory => Seen::Directory,
            Kind::File | Kind::Hardlink(_) => Seen::File,
            Kind::Symlink(_) => Seen::Link,
        };
        match self.at(&item.path) {
            Some(before) if before != is => {
                Err(refused(&item.shown(), "is there twice, as different things"))
            }
            _ => {
                let key = self.key(&item.path);
                self.seen.insert(key, is);
                Ok(())
            }
        }
    }
}

/// Looks at every entry and refuses the archive if one of them would leave the tree, or is none that belongs there.
pub(super) fn survey(blob: &Path, strip: usize) -> Result<Survey, Error> {
    let mut tree = Tree::default();
    let mut needed: u64 = 0;
    let mut names: Vec<String> = Vec::new();
    each(blob, strip, &mut |item, content| {
        if let Kind::Symlink(target) = &item.kind {
            stays_inside(item, target)?;
        }
        if let Kind::Hardlink(target) = &item.kind
            && tree.at(target) != Some(Seen::File)
        {
            return Err(refused(
                &item.shown(),
                "is a hard link to something that is no file before it",
            ));
        }
        if item.path.is_empty() {
            return match item.kind {
                Kind::Directory => Ok(()),
                _ => Err(refused("an entry", "has no name")),
            };
        }
        tree.add(item)?;
        if let Some(name) = item.path.first().and_then(|name| std::str::from_utf8(name).ok())
            && names.len() < MOST_NAMES
            && names.last().is_none_or(|last| last != name)
            && !names.iter().any(|known| known == name)
        {
            names.push(name.to_owned());
        }
        // Whole blocks, and something for the name.
        needed = needed
            .saturating_add(item.size.div_ceil(4096).saturating_mul(4096))
            .saturating_add(512);
        // Read to its end, so that an archive that is cut is found out now.
        std::io::copy(content, &mut std::io::sink()).map_err(super::entries::damaged)?;
        Ok(())
    })?;
    if tree.seen.is_empty() {
        return Err(refused("it", "holds nothing, or nothing is left of its names"));
    }
    Ok(Survey { needed, names })
}

/// A link may climb up to the top of the tree and then down again. Nothing lies below links, so the directories that it
/// climbs are real, and what it comes to is inside.
fn stays_inside(item: &Item, target: &[u8]) -> Result<(), Error> {
    if target.is_empty() || target.starts_with(b"/") {
        return Err(refused(&item.shown(), "is a link to an absolute path"));
    }
    let mut climbs = 0;
    let mut down = false;
    for part in target
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
    {
        if part != b".." {
            down = true;
        } else if down {
            return Err(refused(&item.shown(), "is a link that goes down and up again"));
        } else {
            climbs += 1;
        }
    }
    if climbs >= item.path.len().max(1) {
        return Err(refused(&item.shown(), "is a link that leads out of the tree"));
    }
    Ok(())
}
