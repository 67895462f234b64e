//! An archive, unpacked into a directory of its own.
//!
//! Nothing is written before every entry has been looked at. The new tree grows under a hidden name beside its place and
//! takes it in one step. A marker beside the tree says what was unpacked, so that nothing is unpacked twice.

mod entries;
mod marker;
mod survey;
mod unpack;

use std::fs;

use rustix::fs::{AtFlags, Dir, FileType, RenameFlags, renameat, renameat_with, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::blobs::Blobs;
use crate::error::{Attempt, Error, hostname, room, size};
use crate::host::Host;
use crate::names;
use crate::place::{Place, kind, kind_shown};
use crate::resources::{Difference, Manage};
use marker::Marker;

/// What stays free on the disk beside the unpacked tree.
const RESERVE: u64 = 64 * 1024 * 1024;

/// A tar archive (plain, gzip or bzip2), unpacked into a directory that it fills alone.
///
/// The tree is replaced as a whole when the archive changes. A directory with content that was there before Allmende is
/// set aside as `<path>.before-allmende`. Only files, directories and links inside the tree are allowed; set-user-id bits
/// are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArchiveSpec {
    /// Absolute path of the directory; it appears whole or not at all.
    pub path: String,
    /// SHA-256 of the archive, a blob that the controller sends when the host lacks it; lower-case hex.
    pub sha256: String,
    /// Leading path components that are dropped from each name.
    #[serde(default)]
    pub strip: usize,
    /// Owner of everything unpacked.
    #[serde(default = "super::root")]
    pub owner: String,
    /// Group of everything unpacked.
    #[serde(default = "super::root")]
    pub group: String,
}

impl ArchiveSpec {
    /// Whether it has to be unpacked and its blob is not there.
    pub(crate) fn lacks_blob(&self, host: &mut Host) -> bool {
        let blobs = Blobs::of(&host.layout);
        // A place that cannot be read is named when its turn comes.
        blobs.path(&self.sha256).is_none() && matches!(self.compare(host), Ok(Some(_)))
    }

    fn wanted(&self) -> Marker {
        Marker {
            sha256: self.sha256.clone(),
            strip: self.strip,
            owner: self.owner.clone(),
            group: self.group.clone(),
            names: Vec::new(),
            whole: true,
        }
    }

    fn short(&self) -> &str {
        self.sha256.get(..12).unwrap_or(&self.sha256)
    }

    /// Checks that there is room, before anything is written.
    fn fits(&self, host: &Host, place: &Place, needed: u64) -> Result<(), Error> {
        let (mount, free) = room(&host.layout.at(&place.path));
        if free >= needed.saturating_add(RESERVE) {
            return Ok(());
        }
        Err(Error::DiskFull {
            attempt: format!("unpacking {} into {}", size(needed), self.path),
            host: hostname(),
            free: size(free),
            mount,
        })
    }

    /// Puts the new tree in its place, and gives the place where the old one is now, if there was one.
    fn swap(&self, place: &Place, new: &Place) -> Result<Option<Place>, Error> {
        match renameat_with(
            &new.dir,
            &new.name,
            &place.dir,
            &place.name,
            RenameFlags::EXCHANGE,
        ) {
            Ok(()) => return new.beside(&new.name).map(Some),
            Err(Errno::NOENT) => {
                renameat(&new.dir, &new.name, &place.dir, &place.name).attempt("renaming to", &place.path)?;
                return Ok(None);
            }
            // The file system cannot exchange two names; then there is no tree for a moment.
            Err(Errno::INVAL | Errno::NOSYS | Errno::XDEV | Errno::OPNOTSUPP) => {}
            Err(error) => return Err(error).attempt("replacing", &place.path),
        }
        let old = place.hidden_beside("old")?;
        remove_tree(&old)?;
        renameat(&place.dir, &place.name, &old.dir, &old.name).attempt("setting aside", &place.path)?;
        match renameat(&new.dir, &new.name, &place.dir, &place.name) {
            Ok(()) => Ok(Some(old)),
            Err(error) => {
                let _ = renameat(&old.dir, &old.name, &place.dir, &place.name);
                Err(error).attempt("renaming to", &place.path)
            }
        }
    }
}

impl Manage for ArchiveSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)?;
        names::sha256(&self.sha256)?;
        names::account(&self.owner)?;
        names::account(&self.group)?;
        if self.strip > 16 {
            return Err(format!(
                "{} leading path components to drop are too many",
                self.strip
            ));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let create = || Ok(Some(Difference::create().becomes("archive", None, self.short())));
        let Some(place) = host.place(&self.path)? else {
            return create();
        };
        let Some(found) = place.stat()? else {
            return create();
        };
        if kind(&found) != FileType::Directory {
            return Err(Error::obstacle(
                format!("{} is {}, not a directory", self.path, kind_shown(&found)),
                "look what it is, move it away and apply again",
            ));
        }
        let Some(marker) = Marker::read(&place)? else {
            let strangers = strangers(&place)?;
            if strangers == 0 {
                return create();
            }
            let from = format!(
                "{strangers} other entries, which will be kept in {}",
                aside(&self.path)
            );
            return Ok(Some(Difference::change().becomes(
                "archive",
                Some(&from),
                self.short(),
            )));
        };
        let mut difference = Difference::change();
        if !marker.whole || marker.sha256 != self.sha256 || marker.strip != self.strip {
            let from = if marker.whole {
                marker.sha256.get(..12).unwrap_or_default()
            } else {
                "half replaced"
            };
            difference = difference.becomes("archive", Some(from), self.short());
        }
        for (property, is, wanted) in [
            ("owner", &marker.owner, &self.owner),
            ("group", &marker.group, &self.group),
        ] {
            if is != wanted {
                difference = difference.becomes(property, Some(is), wanted);
            }
        }
        if difference.changes.is_empty()
            && let Some(missing) = marker.missing(&place)?
        {
            difference = difference.becomes("archive", Some(&format!("without {missing}")), self.short());
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let (uid, gid) = host.ids(&self.owner, &self.group)?;
        let blobs = Blobs::of(&host.layout);
        let Some(blob) = blobs.path(&self.sha256) else {
            return Err(Error::obstacle(
                "the archive is not on this host",
                "apply again, so that it is sent",
            ));
        };
        blobs.touch(&self.sha256);
        let place = host.place_made(&self.path)?;
        let ours = Marker::read(&place)?.is_some();
        let keep = match place.stat()? {
            Some(_) if !ours && strangers(&place)? > 0 => {
                let keep = place.beside(aside(&place.name.to_string_lossy()))?;
                if keep.stat()?.is_some() {
                    return Err(Error::obstacle(
                        format!(
                            "{} has content of its own, and {} is taken",
                            self.path,
                            keep.path.display()
                        ),
                        "look what both of them are, move them away and apply again",
                    ));
                }
                Some(keep)
            }
            _ => None,
        };
        let survey = survey::survey(&blob, self.strip)?;
        self.fits(host, &place, survey.needed)?;
        let new = place.hidden_beside("new")?;
        remove_tree(&new)?;
        let unpacked = unpack::unpack(&blob, self.strip, &new, (uid, gid), &mut |line| host.say(line));
        if let Err(error) = unpacked {
            let _ = remove_tree(&new);
            return Err(error);
        }
        // From here on the place belongs to us, whatever happens: what is there may be replaced again.
        let mut marker = self.wanted();
        marker.names = survey.names;
        marker.whole = false;
        marker.write(&place)?;
        let old = self.swap(&place, &new)?;
        if let (Some(old), Some(keep)) = (&old, &keep) {
            renameat(&old.dir, &old.name, &keep.dir, &keep.name).attempt("setting aside", &place.path)?;
        }
        place.sync_directory()?;
        marker.whole = true;
        marker.write(&place)?;
        host.path_changed(&self.path);
        match (old, keep) {
            (Some(old), None) => remove_tree(&old),
            _ => Ok(()),
        }
    }
}

/// Where content goes that was there before Allmende.
fn aside(path: &str) -> String {
    format!("{path}.before-allmende")
}

/// How many entries a directory has.
fn strangers(place: &Place) -> Result<usize, Error> {
    let mut count = 0;
    for entry in Dir::new(place.open_directory()?).attempt("reading", &place.path)? {
        let entry = entry.attempt("reading", &place.path)?;
        if ![&b"."[..], b".."].contains(&entry.file_name().to_bytes()) {
            count += 1;
        }
    }
    Ok(count)
}

/// Removes a tree, whatever is there; links in it are not followed.
fn remove_tree(place: &Place) -> Result<(), Error> {
    use std::os::fd::AsRawFd;
    let Some(found) = place.stat()? else {
        return Ok(());
    };
    if kind(&found) != FileType::Directory {
        return unlinkat(&place.dir, &place.name, AtFlags::empty()).attempt("removing", &place.path);
    }
    // By way of the open directory, so that nobody can lead the removal elsewhere.
    let path = std::path::Path::new("/proc/self/fd")
        .join(place.dir.as_raw_fd().to_string())
        .join(&place.name);
    fs::remove_dir_all(path).attempt("removing", &place.path)
}

#[cfg(test)]
mod tests;
