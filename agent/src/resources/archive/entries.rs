//! The entries of a tar archive, one after the other, with names that are safe and nothing but files, directories and
//! links. The archive is read as a stream; memory does not grow with it.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use tar::{Archive, EntryType};

use crate::error::{Attempt, Error};

/// Extended names and headers beyond this are nonsense.
const LONGEST_EXTENSION: u64 = 64 * 1024;
/// The kernel takes no longer paths.
const LONGEST_PATH: usize = 4096;
/// Directories inside directories.
const DEEPEST: usize = 128;
/// Entries of one archive.
const MOST: u64 = 1_000_000;

/// An entry.
#[derive(Debug)]
pub(super) struct Item {
    /// Where it goes, below the tree; empty for the tree's own directory.
    pub(super) path: Vec<Vec<u8>>,
    pub(super) kind: Kind,
    pub(super) mode: u32,
    pub(super) modified: u64,
    pub(super) size: u64,
}

/// What an entry is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
    /// To a target as it is written.
    Symlink(Vec<u8>),
    /// To another entry.
    Hardlink(Vec<Vec<u8>>),
}

impl Item {
    /// The name, for people.
    pub(super) fn shown(&self) -> String {
        String::from_utf8_lossy(&self.path.join(&b'/')).into_owned()
    }
}

/// What is done with each entry and its content.
pub(super) type Visit<'a> = dyn FnMut(&Item, &mut dyn Read) -> Result<(), Error> + 'a;

/// Visits every entry of an archive.
pub(super) fn each(blob: &Path, strip: usize, visit: &mut Visit<'_>) -> Result<(), Error> {
    let file = File::open(blob).attempt("opening", blob)?;
    let input = plain(file, blob)?;
    let mut archive = Archive::new(input);
    let mut extension = Extension::default();
    let mut count = 0;
    for entry in archive.entries().map_err(damaged)?.raw(true) {
        let mut entry = entry.map_err(damaged)?;
        count += 1;
        if count > MOST {
            return Err(refused("the archive", &format!("has more than {MOST} entries")));
        }
        if extension.take(&mut entry)? {
            continue;
        }
        let extended = std::mem::take(&mut extension);
        let name = extended.path.unwrap_or_else(|| entry.path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&name).into_owned();
        let link = extended
            .link
            .or_else(|| entry.link_name_bytes().map(|link| link.into_owned()));
        let size = entry.size();
        if extended.size.is_some_and(|extended| extended != size) {
            return Err(refused(&shown, "is larger than this agent can unpack"));
        }
        let kind = match (entry.header().entry_type(), link) {
            (EntryType::Regular | EntryType::Continuous, _) if name.ends_with(b"/") => Kind::Directory,
            (EntryType::Regular | EntryType::Continuous, _) => Kind::File,
            (EntryType::Directory, _) => Kind::Directory,
            (EntryType::Symlink, Some(target)) => Kind::Symlink(target),
            (EntryType::Link, Some(target)) => match stripped(&target, &shown, strip)? {
                Some(target) => Kind::Hardlink(target),
                None => continue,
            },
            (EntryType::GNUSparse, _) => {
                return Err(refused(&shown, "is a sparse file, which is not supported"));
            }
            (EntryType::Char | EntryType::Block | EntryType::Fifo, _) => {
                return Err(refused(&shown, "is a device or a pipe"));
            }
            _ => return Err(refused(&shown, "is of an unknown kind")),
        };
        let header = entry.header();
        let (mode, modified) = (
            header.mode().map_err(damaged)? & 0o777,
            header.mtime().map_err(damaged)?,
        );
        let Some(path) = stripped(&name, &shown, strip)? else {
            continue;
        };
        let item = Item {
            path,
            kind,
            mode,
            modified,
            size,
        };
        visit(&item, &mut entry)?;
    }
    Ok(())
}

/// The archive without its compression, which its first bytes tell.
fn plain(mut file: File, blob: &Path) -> Result<Box<dyn Read>, Error> {
    let mut magic = Vec::new();
    (&file).take(6).read_to_end(&mut magic).attempt("reading", blob)?;
    file.seek(SeekFrom::Start(0)).attempt("reading", blob)?;
    let unsupported = |what: &str| {
        Err(Error::obstacle(
            format!("the archive is {what}"),
            "only tar archives, plain, gzip or bzip2, are unpacked",
        ))
    };
    match magic.as_slice() {
        [0x1f, 0x8b, ..] => {
            let input = BufReader::with_capacity(64 * 1024, file);
            Ok(Box::new(flate2::bufread::MultiGzDecoder::new(input)))
        }
        [b'B', b'Z', b'h', ..] => Ok(Box::new(bzip2::read::MultiBzDecoder::new(file))),
        [b'P', b'K', ..] => unsupported("a zip file"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => unsupported("compressed with xz"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => unsupported("compressed with zstd"),
        _ => Ok(Box::new(BufReader::with_capacity(64 * 1024, file))),
    }
}

pub(super) fn damaged(error: io::Error) -> Error {
    Error::obstacle(
        format!("the archive is damaged, or no tar archive: {error}"),
        "check where it comes from; nothing was changed",
    )
}

pub(super) fn refused(name: &str, why: &str) -> Error {
    Error::obstacle(
        format!("the archive was refused: {name} {why}"),
        "check where the archive comes from; nothing was changed",
    )
}

/// The components of a name without the first `strip`; `None` when nothing is left of a name that had some.
fn stripped(name: &[u8], shown: &str, strip: usize) -> Result<Option<Vec<Vec<u8>>>, Error> {
    if name.starts_with(b"/") {
        return Err(refused(shown, "has an absolute name"));
    }
    let mut path = Vec::new();
    for part in name
        .split(|byte| *byte == b'/')
        .filter(|part| !part.is_empty() && *part != b".")
    {
        if part == b".." {
            return Err(refused(shown, "leads out of its directory"));
        }
        if part.len() > 255 || part.contains(&0) {
            return Err(refused(shown, "has a name that no file can have"));
        }
        path.push(part.to_vec());
    }
    if path.len() > DEEPEST || name.len() > LONGEST_PATH {
        return Err(refused(shown, "has a name that is too long or too deep"));
    }
    if path.len() < strip || (path.len() == strip && strip > 0) {
        return Ok(None);
    }
    Ok(Some(path.split_off(strip)))
}

/// What entries without content of their own say about the next one.
#[derive(Debug, Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl Extension {
    /// Whether the entry was about the next one.
    fn take(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> Result<bool, Error> {
        match entry.header().entry_type() {
            EntryType::GNULongName => self.path = Some(name(read(entry)?)),
            EntryType::GNULongLink => self.link = Some(name(read(entry)?)),
            EntryType::XHeader => self.records(&read(entry)?)?,
            EntryType::XGlobalHeader => {
                let mut global = Extension::default();
                global.records(&read(entry)?)?;
                if global.path.is_some() || global.link.is_some() || global.size.is_some() {
                    return Err(refused("its global header", "names files"));
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Records of POSIX: "length key=value\n".
    fn records(&mut self, mut text: &[u8]) -> Result<(), Error> {
        let bad = || refused("an extended header", "is damaged");
        while !text.is_empty() {
            let space = text.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
            let (digits, _) = text.split_at(space);
            let length: usize = std::str::from_utf8(digits)
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(bad)?;
            let record = text
                .get(space + 1..length)
                .and_then(|record| record.strip_suffix(b"\n"))
                .ok_or_else(bad)?;
            let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
            let (key, value) = record.split_at(equals);
            let value = value.get(1..).unwrap_or_default();
            match key {
                b"path" => self.path = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => {
                    let size = std::str::from_utf8(value)
                        .ok()
                        .and_then(|digits| digits.parse().ok());
                    self.size = Some(size.ok_or_else(bad)?);
                }
                key if key.starts_with(b"GNU.sparse") => {
                    return Err(refused("an entry", "is a sparse file, which is not supported"));
                }
                _ => {}
            }
            text = text.get(length..).unwrap_or_default();
        }
        Ok(())
    }
}

fn read(entry: &mut tar::Entry<'_, impl Read>) -> Result<Vec<u8>, Error> {
    if entry.size() > LONGEST_EXTENSION {
        return Err(refused("an extended header", "is larger than any name"));
    }
    let mut content = Vec::new();
    entry
        .take(LONGEST_EXTENSION)
        .read_to_end(&mut content)
        .map_err(damaged)?;
    Ok(content)
}

/// GNU ends long names with NUL.
fn name(mut content: Vec<u8>) -> Vec<u8> {
    if let Some(end) = content.iter().position(|byte| *byte == 0) {
        content.truncate(end);
    }
    content
}
