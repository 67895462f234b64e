//! A directory.

use rustix::fs::{FileType, Mode, mkdirat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::atomic::Rights;
use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::names;
use crate::place::{kind, kind_shown};
use crate::resources::rights::{check_rights, compare_rights, new_rights};
use crate::resources::{Difference, Manage};

/// A directory with its owner and mode. Missing parents are made, root-owned, mode 0755.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DirectorySpec {
    /// Absolute path.
    pub path: String,
    /// Owner.
    #[serde(default = "super::root")]
    pub owner: String,
    /// Group.
    #[serde(default = "super::root")]
    pub group: String,
    /// Permission bits in octal.
    #[serde(default = "mode")]
    pub mode: String,
}

fn mode() -> String {
    "0755".to_owned()
}

impl Manage for DirectorySpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)?;
        check_rights(&self.owner, &self.group, &self.mode)
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let found = match host.place(&self.path)? {
            Some(place) => place.stat()?,
            None => None,
        };
        let Some(found) = found else {
            let difference = Difference::create();
            return Ok(Some(new_rights(difference, &self.owner, &self.group, &self.mode)));
        };
        if kind(&found) != FileType::Directory {
            return Err(Error::obstacle(
                format!("{} is {}, not a directory", self.path, kind_shown(&found)),
                "move it away, or name the directory that is meant, and apply again",
            ));
        }
        Ok(compare_rights(host, &found, &self.owner, &self.group, &self.mode)?.if_any())
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let (uid, gid) = host.ids(&self.owner, &self.group)?;
        let mode = names::mode(&self.mode).map_err(Error::Invalid)?;
        let place = host.place_made(&self.path)?;
        match mkdirat(&place.dir, &place.name, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).attempt("making the directory", &place.path),
        }
        Rights { uid, gid, mode }.give(place.open_directory()?, &place.path)?;
        place.sync_directory()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec(path: &str, mode: &str) -> DirectorySpec {
        DirectorySpec {
            path: path.to_owned(),
            owner: "root".to_owned(),
            group: "root".to_owned(),
            mode: mode.to_owned(),
        }
    }

    #[test]
    fn it_is_made_with_its_parents_and_changed_in_place() {
        let bench = Bench::new();
        bench.settles(&spec("/a/b/c", "0750"));
        assert_eq!((bench.mode("/a"), bench.mode("/a/b/c")), (0o755, 0o750));
        bench.write("/a/b/c/kept", "x");
        let difference = bench.settles(&spec("/a/b/c", "0700")).expect("differs");
        assert_eq!(difference.described(), "mode is 0750 and not 0700");
        assert!(bench.at("/a/b/c/kept").exists());
    }

    #[test]
    fn a_link_in_its_place_is_refused() {
        let bench = Bench::new();
        bench.folder("/real");
        bench.link("/a", "/real");
        assert!(
            bench
                .fails(&spec("/a", "0755"))
                .starts_with("/a is a symbolic link, not a directory")
        );
    }

    #[test]
    fn a_missing_owner_is_no_hindrance_for_a_plan() {
        let bench = Bench::new();
        bench.folder("/a");
        let spec = DirectorySpec {
            owner: "later".to_owned(),
            ..spec("/a", "0755")
        };
        assert_eq!(
            bench.plans(&spec).expect("differs").described(),
            "owner is root and not later"
        );
        assert!(bench.fails(&spec).contains("the user later does not exist"));
    }
}
