//! Where a path leads: the directory that holds its last component, reached step by step.
//!
//! Parts of a path can belong to a service's user, who could put a symbolic link in the way and have root write
//! elsewhere. So the steps follow only links that root made, and the last component is never followed.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Stat, mkdirat, openat, readlinkat, statat};
use rustix::io::Errno;

use crate::error::{Attempt, Error};
use crate::layout::Layout;

/// How many links a path may lead through, as in the kernel.
const MOST_LINKS: usize = 40;

/// An existing directory and a name in it, which may or may not exist.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: OwnedFd,
    pub(crate) name: OsString,
    /// The path as it was asked for, for people.
    pub(crate) path: PathBuf,
}

/// What is done about directories on the way that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parents {
    /// They are left missing.
    Leave,
    /// They are made, with mode 0755.
    Make,
}

impl Place {
    /// Finds the place of an absolute path; `None` if a directory on the way is missing and may not be made.
    pub(crate) fn find(layout: &Layout, path: &str, parents: Parents) -> Result<Option<Place>, Error> {
        let path = Path::new(path);
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(Error::Invalid(format!(
                "{} names nothing inside a directory",
                path.display()
            )));
        };
        let mut walk = Walk::new(layout, path)?;
        if !walk.down(parent, parents)? {
            return Ok(None);
        }
        Ok(walk.open.pop().map(|dir| Place {
            dir,
            name: name.to_owned(),
            path: path.to_owned(),
        }))
    }

    /// What is there, itself and not what it may point to.
    pub(crate) fn stat(&self) -> Result<Option<Stat>, Error> {
        match statat(&self.dir, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Error::at("looking at", &self.path, error.into())),
        }
    }

    /// Where the link in this place points to.
    pub(crate) fn target(&self) -> Result<String, Error> {
        let target = readlinkat(&self.dir, &self.name, Vec::new()).attempt("reading the link", &self.path)?;
        Ok(target.to_string_lossy().into_owned())
    }

    /// A name beside this one.
    pub(crate) fn beside(&self, name: impl AsRef<OsStr>) -> Result<Place, Error> {
        Ok(Place {
            dir: self
                .dir
                .try_clone()
                .attempt("opening the directory of", &self.path)?,
            path: self.path.with_file_name(&name),
            name: name.as_ref().to_owned(),
        })
    }

    /// A name beside this one that nothing else uses: `.allmende-new-NAME`, cut to what a file system takes. The
    /// suffix stays, because validators look at it.
    pub(crate) fn hidden_beside(&self, sign: &str) -> Result<Place, Error> {
        let mut name = format!(".allmende-{sign}-").into_bytes();
        let own = self.name.as_bytes();
        let start = own.len().saturating_sub(254 - name.len());
        name.extend_from_slice(own.get(start..).unwrap_or_default());
        self.beside(OsString::from_vec(name))
    }

    /// Opens the regular file in this place for reading; links are not followed.
    pub(crate) fn open_file(&self) -> Result<File, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        openat(&self.dir, &self.name, flags, Mode::empty())
            .map(File::from)
            .attempt("opening", &self.path)
    }

    /// Opens the directory in this place; links are not followed.
    pub(crate) fn open_directory(&self) -> Result<OwnedFd, Error> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(&self.dir, &self.name, flags, Mode::empty()).attempt("opening the directory", &self.path)
    }

    /// The first `most` bytes of the file.
    pub(crate) fn read(&self, most: u64) -> Result<Vec<u8>, Error> {
        let mut content = Vec::new();
        self.open_file()?
            .take(most)
            .read_to_end(&mut content)
            .attempt("reading", &self.path)?;
        Ok(content)
    }

    /// Makes a rename or a removal in the directory outlive a power failure.
    pub(crate) fn sync_directory(&self) -> Result<(), Error> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir =
            openat(&self.dir, ".", flags, Mode::empty()).attempt("opening the directory of", &self.path)?;
        rustix::fs::fsync(dir).attempt("writing the directory of", &self.path)
    }
}

/// The type of what a stat found.
pub(crate) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// "a directory", for people.
pub(crate) fn kind_shown(stat: &Stat) -> &'static str {
    match kind(stat) {
        FileType::RegularFile => "a file",
        FileType::Directory => "a directory",
        FileType::Symlink => "a symbolic link",
        FileType::Socket => "a socket",
        FileType::Fifo => "a pipe",
        _ => "a device",
    }
}

struct Walk<'a> {
    root: PathBuf,
    trusted: u32,
    asked: &'a Path,
    /// The directories from the root to where the walk stands.
    open: Vec<OwnedFd>,
    links: usize,
}

impl<'a> Walk<'a> {
    fn new(layout: &Layout, asked: &'a Path) -> Result<Walk<'a>, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, layout.root(), flags, Mode::empty()).attempt("opening", layout.root())?;
        Ok(Walk {
            root: layout.root().to_owned(),
            trusted: rustix::process::geteuid().as_raw(),
            asked,
            open: vec![root],
            links: 0,
        })
    }

    /// Steps down `path`; false if something on the way is missing and stays so.
    fn down(&mut self, path: &Path, parents: Parents) -> Result<bool, Error> {
        for component in path.components() {
            match component {
                Component::RootDir => self.open.truncate(1),
                Component::ParentDir => {
                    if self.open.len() > 1 {
                        self.open.pop();
                    }
                }
                Component::CurDir | Component::Prefix(_) => {}
                Component::Normal(name) => {
                    if !self.step(name, parents)? {
                        return Ok(false);
                    }
                }
            }
        }
        Ok(true)
    }

    fn step(&mut self, name: &OsStr, parents: Parents) -> Result<bool, Error> {
        let Some(here) = self.open.last() else {
            return Ok(false);
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let error = match openat(here, name, flags, Mode::empty()) {
            Ok(dir) => {
                self.open.push(dir);
                return Ok(true);
            }
            Err(error) => error,
        };
        match error {
            Errno::NOENT if parents == Parents::Leave => Ok(false),
            Errno::NOENT => {
                match mkdirat(here, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) | Err(Errno::EXIST) => {}
                    Err(error) => return Err(Error::at("making the directory of", self.asked, error.into())),
                }
                let dir = openat(here, name, flags, Mode::empty())
                    .attempt("making the directory of", self.asked)?;
                self.open.push(dir);
                Ok(true)
            }
            Errno::NOTDIR | Errno::LOOP => self.follow(name, parents),
            error => Err(Error::at("opening the directory of", self.asked, error.into())),
        }
    }

    /// Something that is no directory: a link to one, or in the way.
    fn follow(&mut self, name: &OsStr, parents: Parents) -> Result<bool, Error> {
        let Some(here) = self.open.last() else {
            return Ok(false);
        };
        let found =
            statat(here, name, AtFlags::SYMLINK_NOFOLLOW).attempt("looking at a part of", self.asked)?;
        if kind(&found) != FileType::Symlink {
            return Err(Error::obstacle(
                format!(
                    "{} in {} is {}, not a directory",
                    name.display(),
                    self.asked.display(),
                    kind_shown(&found)
                ),
                "move it away and apply again",
            ));
        }
        if found.st_uid != 0 && found.st_uid != self.trusted {
            return Err(Error::obstacle(
                format!(
                    "{} in {} is a symbolic link that does not belong to root: following it could lead anywhere",
                    name.display(),
                    self.asked.display(),
                ),
                "find out who made it, remove it and apply again",
            ));
        }
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Error::obstacle(
                format!(
                    "{} leads through more than {MOST_LINKS} symbolic links",
                    self.asked.display()
                ),
                "mend the links and apply again",
            ));
        }
        let target = readlinkat(here, name, Vec::new()).attempt("reading a link in", self.asked)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        // In tests the root is a temporary directory, and so are the links' targets.
        let target = target
            .strip_prefix(&self.root)
            .map_or(target.clone(), |inner| Path::new("/").join(inner));
        self.down(&target, parents)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    fn host() -> (tempfile::TempDir, Layout) {
        let root = tempfile::tempdir().expect("temporary directory");
        let layout = Layout::below(root.path());
        (root, layout)
    }

    #[test]
    fn missing_parents_are_made_only_when_asked() {
        let (root, layout) = host();
        assert!(
            Place::find(&layout, "/a/b/c", Parents::Leave)
                .expect("reads")
                .is_none()
        );
        assert!(!root.path().join("a").exists());
        let place = Place::find(&layout, "/a/b/c", Parents::Make)
            .expect("makes")
            .expect("is there");
        assert!(root.path().join("a/b").is_dir());
        assert!(place.stat().expect("reads").is_none());
    }

    #[test]
    fn links_on_the_way_are_followed_inside_the_root() {
        let (root, layout) = host();
        fs::create_dir_all(root.path().join("run/deep")).expect("makes");
        fs::create_dir_all(root.path().join("var")).expect("makes");
        symlink("/run", root.path().join("var/run")).expect("links");
        symlink("../run/deep", root.path().join("var/deep")).expect("links");
        fs::write(root.path().join("run/x"), "found").expect("writes");
        let place = Place::find(&layout, "/var/run/x", Parents::Leave)
            .expect("reads")
            .expect("is there");
        assert_eq!(place.read(100).expect("reads"), b"found");
        let place = Place::find(&layout, "/var/deep/../x", Parents::Leave)
            .expect("reads")
            .expect("is there");
        assert_eq!(place.read(3).expect("reads"), b"fou");
    }

    #[test]
    fn links_in_a_circle_end_with_an_error() {
        let (root, layout) = host();
        symlink("/b", root.path().join("a")).expect("links");
        symlink("/a", root.path().join("b")).expect("links");
        let error = Place::find(&layout, "/a/x", Parents::Leave).expect_err("goes in circles");
        assert!(
            error.to_string().contains("more than 40 symbolic links"),
            "{error}"
        );
    }

    #[test]
    fn a_file_in_place_of_a_directory_is_named() {
        let (root, layout) = host();
        fs::write(root.path().join("a"), "").expect("writes");
        let error = Place::find(&layout, "/a/x", Parents::Make).expect_err("is in the way");
        assert!(
            error
                .to_string()
                .starts_with("a in /a/x is a file, not a directory"),
            "{error}"
        );
    }

    #[test]
    fn the_last_component_is_not_followed() {
        let (root, layout) = host();
        fs::write(root.path().join("secret"), "x").expect("writes");
        symlink("secret", root.path().join("link")).expect("links");
        let place = Place::find(&layout, "/link", Parents::Leave)
            .expect("reads")
            .expect("is there");
        assert!(place.open_file().is_err());
        assert_eq!(place.target().expect("reads"), "secret");
    }

    #[test]
    fn long_names_get_a_hidden_name_that_fits() {
        let (_root, layout) = host();
        let path = format!("/{}.service", "x".repeat(240));
        let place = Place::find(&layout, &path, Parents::Leave)
            .expect("reads")
            .expect("is there");
        let hidden = place.hidden_beside("new").expect("clones").name;
        assert!(hidden.len() <= 255 && hidden.as_bytes().ends_with(b".service"));
    }
}
