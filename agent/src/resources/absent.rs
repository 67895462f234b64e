//! A path where nothing shall be.

use rustix::fs::{AtFlags, FileType, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::names;
use crate::place::{kind, kind_shown};
use crate::resources::{Difference, Manage};

/// A path where no file, link or empty directory shall be. A directory with content is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbsentSpec {
    /// Absolute path.
    pub path: String,
}

impl Manage for AbsentSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let Some(place) = host.place(&self.path)? else {
            return Ok(None);
        };
        Ok(place
            .stat()?
            .map(|found| Difference::remove().is("exists", kind_shown(&found))))
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let Some(place) = host.place(&self.path)? else {
            return Ok(());
        };
        let Some(found) = place.stat()? else {
            return Ok(());
        };
        let flags = if kind(&found) == FileType::Directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        match unlinkat(&place.dir, &place.name, flags) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => Err(Error::obstacle(
                format!("{} is a directory with something in it", self.path),
                "look what it is and remove it by hand; only empty directories are removed",
            )),
            removed => {
                removed.attempt("removing", &place.path)?;
                host.path_changed(&self.path);
                place.sync_directory()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    #[test]
    fn files_links_and_empty_directories_go() {
        let bench = Bench::new();
        bench.write("/a/file", "x");
        bench.link("/a/link", "/nowhere");
        bench.folder("/a/folder");
        for path in ["/a/file", "/a/link", "/a/folder", "/a", "/missing/x"] {
            bench.settles(&AbsentSpec {
                path: path.to_owned(),
            });
        }
        assert!(!bench.at("/a").exists());
    }

    #[test]
    fn a_directory_with_content_is_refused() {
        let bench = Bench::new();
        bench.write("/a/file", "x");
        let spec = AbsentSpec {
            path: "/a".to_owned(),
        };
        assert!(bench.fails(&spec).contains("only empty directories are removed"));
        assert!(bench.at("/a/file").exists());
    }
}
