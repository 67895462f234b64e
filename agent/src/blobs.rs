//! Blobs that controllers send: archives, new agents. Kept by their SHA-256, resumed where a transfer broke off.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest, Sha256};

use crate::atomic::make_own_directory;
use crate::error::{Attempt, Error, hostname, room, size};
use crate::layout::Layout;
use crate::lock::Locked;
use crate::names;

/// What all blobs together may take; the oldest go first.
const BUDGET: u64 = 2 * 1024 * 1024 * 1024;
/// What stays free on the disk, whatever is sent.
const RESERVE: u64 = 64 * 1024 * 1024;

/// The blobs of a host.
#[derive(Debug, Clone)]
pub(crate) struct Blobs {
    folder: PathBuf,
    budget: u64,
}

impl Blobs {
    pub(crate) fn of(layout: &Layout) -> Blobs {
        Blobs {
            folder: layout.blobs(),
            budget: BUDGET,
        }
    }

    fn whole(&self, sha256: &str) -> PathBuf {
        self.folder.join(sha256)
    }

    fn part(&self, sha256: &str) -> PathBuf {
        self.folder.join(format!("{sha256}.part"))
    }

    /// The file of a blob that is whole. Its hash was checked when it came in.
    pub(crate) fn path(&self, sha256: &str) -> Option<PathBuf> {
        names::sha256(sha256).ok()?;
        Some(self.whole(sha256)).filter(|path| path.is_file())
    }

    /// How much there is of each blob that is not whole.
    pub(crate) fn missing(&self, wanted: &[String]) -> Result<BTreeMap<String, u64>, String> {
        let mut missing = BTreeMap::new();
        for sha256 in wanted {
            names::sha256(sha256)?;
            if self.path(sha256).is_none() {
                let there = fs::metadata(self.part(sha256)).map_or(0, |part| part.len());
                missing.insert(sha256.clone(), there);
            }
        }
        Ok(missing)
    }

    /// A blob is about to be used: it is not the oldest any more.
    pub(crate) fn touch(&self, sha256: &str) {
        let _ = File::open(self.whole(sha256)).and_then(|file| file.set_modified(SystemTime::now()));
    }

    /// Begins, or goes on with, receiving a blob.
    pub(crate) fn receive(&self, sha256: &str, total: u64, offset: u64) -> Result<Upload, Error> {
        names::sha256(sha256).map_err(Error::Invalid)?;
        if offset > total {
            return Err(Error::Invalid(format!(
                "a blob of {total} bytes cannot go on at {offset}"
            )));
        }
        if self.path(sha256).is_some() {
            return Ok(Upload {
                left: total - offset,
                into: None,
            });
        }
        make_own_directory(&self.folder)?;
        let path = self.part(sha256);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .attempt("opening", &path)?;
        let file = Locked::at_once(file).ok_or_else(|| {
            Error::obstacle(
                "another session is sending the same blob",
                "try again when it is done",
            )
        })?;
        let there = file.0.metadata().attempt("looking at", &path)?.len();
        if there < offset {
            return Err(Error::obstacle(
                format!("the host has {there} bytes of the blob, the transfer would go on at {offset}"),
                "ask again how much is there",
            ));
        }
        self.prune(sha256);
        let (mount, free) = room(&self.folder);
        if free < (total - offset).saturating_add(RESERVE) {
            return Err(Error::DiskFull {
                attempt: format!("receiving {} into {}", size(total), self.folder.display()),
                host: hostname(),
                free: size(free),
                mount,
            });
        }
        file.0.set_len(offset).attempt("cutting", &path)?;
        let hasher = hash(&mut (&file.0).take(offset)).attempt("reading", &path)?;
        (&file.0)
            .seek(SeekFrom::Start(offset))
            .attempt("reading", &path)?;
        Ok(Upload {
            left: total - offset,
            into: Some(Receiving {
                file,
                hasher,
                sha256: sha256.to_owned(),
                part: path,
                whole: self.whole(sha256),
            }),
        })
    }

    /// Removes the oldest blobs beyond the budget, and parts nobody went on with; never `needed`.
    fn prune(&self, needed: &str) {
        let mut all: Vec<(SystemTime, u64, PathBuf)> = fs::read_dir(&self.folder)
            .into_iter()
            .flatten()
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with(needed))
            .filter_map(|entry| {
                let found = entry.metadata().ok()?;
                Some((found.modified().ok()?, found.len(), entry.path()))
            })
            .collect();
        all.sort();
        let mut total: u64 = all.iter().map(|(_, length, _)| length).sum();
        for (_, length, path) in all {
            if total <= self.budget {
                break;
            }
            total -= length;
            let _ = fs::remove_file(path);
        }
    }
}

/// A blob on its way in.
#[derive(Debug)]
pub(crate) struct Upload {
    left: u64,
    /// `None` for a blob that is there already: what comes is passed over.
    into: Option<Receiving>,
}

#[derive(Debug)]
struct Receiving {
    file: Locked,
    hasher: Sha256,
    sha256: String,
    part: PathBuf,
    whole: PathBuf,
}

impl Upload {
    /// Bytes that have not come yet.
    pub(crate) fn left(&self) -> u64 {
        self.left
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let length = bytes.len() as u64;
        if length > self.left {
            return Err(Error::Invalid(format!(
                "{} bytes more came than were announced",
                length - self.left
            )));
        }
        if let Some(into) = &mut self.into {
            into.file.0.write_all(bytes).attempt("writing", &into.part)?;
            into.hasher.update(bytes);
        }
        self.left -= length;
        Ok(())
    }

    /// Checks the hash and gives the blob its name.
    pub(crate) fn finish(self) -> Result<(), Error> {
        let Some(into) = self.into else {
            return Ok(());
        };
        let found = hex(&into.hasher.finalize());
        if found != into.sha256 {
            let _ = fs::remove_file(&into.part);
            return Err(Error::obstacle(
                format!(
                    "the blob that came has the SHA-256 {found} and not {}; it was removed",
                    into.sha256
                ),
                "check the archive and its checksum, and send it again from the beginning",
            ));
        }
        into.file.0.sync_all().attempt("writing", &into.part)?;
        fs::rename(&into.part, &into.whole).attempt("renaming", &into.part)
    }
}

/// The SHA-256 of a file, in lower-case hex.
pub(crate) fn sha256_of(path: &Path) -> io::Result<String> {
    sha256_of_file(&mut File::open(path)?)
}

/// The SHA-256 of what is left of an open file, in lower-case hex.
pub(crate) fn sha256_of_file(file: &mut File) -> io::Result<String> {
    Ok(hex(&hash(file)?.finalize()))
}

fn hash(input: &mut impl Read) -> io::Result<Sha256> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match input.read(&mut buffer) {
            Ok(0) => return Ok(hasher),
            Ok(count) => hasher.update(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HELLO: &str = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";

    fn blobs() -> (tempfile::TempDir, Blobs) {
        let root = tempfile::tempdir().expect("temporary directory");
        let blobs = Blobs::of(&Layout::below(root.path()));
        (root, blobs)
    }

    #[test]
    fn a_transfer_goes_on_where_it_broke_off() {
        let (_root, blobs) = blobs();
        let wanted = vec![HELLO.to_owned()];
        blobs
            .receive(HELLO, 5, 0)
            .expect("begins")
            .take(b"hel")
            .expect("takes");
        assert_eq!(blobs.missing(&wanted).expect("asks").get(HELLO), Some(&3));
        assert!(blobs.receive(HELLO, 5, 4).is_err());
        // Going on earlier than possible is fine: what is there is cut.
        let mut upload = blobs.receive(HELLO, 5, 2).expect("goes on");
        upload.take(b"llo").expect("takes");
        assert_eq!(upload.left(), 0);
        upload.finish().expect("is right");
        assert!(blobs.missing(&wanted).expect("asks").is_empty());
        let mut upload = blobs.receive(HELLO, 5, 0).expect("is there already");
        upload.take(b"xxxxx").expect("passes over");
        upload.finish().expect("is there already");
        assert_eq!(
            fs::read(blobs.path(HELLO).expect("is whole")).expect("reads"),
            b"hello"
        );
    }

    #[test]
    fn a_wrong_hash_is_refused_and_nothing_stays() {
        let (_root, blobs) = blobs();
        let mut upload = blobs.receive(HELLO, 5, 0).expect("begins");
        upload.take(b"hallo").expect("takes");
        assert!(
            upload
                .finish()
                .expect_err("is wrong")
                .to_string()
                .contains("it was removed")
        );
        assert_eq!(
            blobs.missing(&[HELLO.to_owned()]).expect("asks").get(HELLO),
            Some(&0)
        );
    }

    #[test]
    fn more_than_announced_more_than_fits_and_two_at_once_are_refused() {
        let (_root, blobs) = blobs();
        let mut upload = blobs.receive(HELLO, 5, 0).expect("begins");
        assert!(upload.take(b"hello!").is_err());
        assert!(
            blobs
                .receive(HELLO, 5, 0)
                .expect_err("is taken")
                .to_string()
                .contains("another session")
        );
        drop(upload);
        let full = blobs
            .receive(HELLO, u64::MAX, 0)
            .expect_err("is too much")
            .to_string();
        assert!(
            full.contains("the disk of ") && full.contains(" is full"),
            "{full}"
        );
        assert!(blobs.receive("../x", 1, 0).is_err());
        assert!(blobs.missing(&["x".to_owned()]).is_err());
    }

    #[test]
    fn the_oldest_go_beyond_the_budget() {
        let (_root, mut blobs) = blobs();
        blobs.budget = 25;
        fs::create_dir_all(&blobs.folder).expect("makes");
        for (age, name) in ["oldest", "older", "new"].iter().enumerate() {
            let path = blobs.folder.join(name);
            fs::write(&path, "0123456789").expect("writes");
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1000 + age as u64);
            File::open(&path)
                .and_then(|file| file.set_modified(time))
                .expect("sets");
        }
        drop(blobs.receive(HELLO, 5, 0).expect("begins"));
        let left = fs::read_dir(&blobs.folder).expect("reads").count();
        assert_eq!((left, blobs.folder.join("oldest").exists()), (3, false));
    }
}
