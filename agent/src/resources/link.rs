//! A symbolic link.

use rustix::fs::{AtFlags, FileType, renameat, symlinkat, unlinkat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use crate::error::{Attempt, Error};
use crate::host::Host;
use crate::names;
use crate::place::{kind, kind_shown};
use crate::resources::{Difference, Manage};

/// A symbolic link; replaced atomically. A file or directory in its place is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkSpec {
    /// Absolute path of the link.
    pub path: String,
    /// What it points to, as it is written into the link.
    pub target: String,
}

impl Manage for LinkSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)?;
        if self.target.is_empty() || self.target.len() > 4000 || self.target.chars().any(char::is_control) {
            return Err(format!(
                "the target of the link {} is empty, too long or has control characters",
                self.path
            ));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        self.path.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let Some(place) = host.place(&self.path)? else {
            return Ok(Some(Difference::create().becomes("target", None, &self.target)));
        };
        let Some(found) = place.stat()? else {
            return Ok(Some(Difference::create().becomes("target", None, &self.target)));
        };
        if kind(&found) != FileType::Symlink {
            return Err(Error::obstacle(
                format!("{} is {}, not a symbolic link", self.path, kind_shown(&found)),
                "look what it is, move it away and apply again",
            ));
        }
        let target = place.target()?;
        Ok((target != self.target)
            .then(|| Difference::change().becomes("target", Some(&target), &self.target)))
    }

    fn change(&self, host: &mut Host, _: &Difference) -> Result<(), Error> {
        let place = host.place_made(&self.path)?;
        let hidden = place.hidden_beside("new")?;
        match unlinkat(&hidden.dir, &hidden.name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error).attempt("removing the leftover", &hidden.path),
        }
        symlinkat(&self.target, &hidden.dir, &hidden.name).attempt("linking", &place.path)?;
        let renamed =
            renameat(&hidden.dir, &hidden.name, &place.dir, &place.name).attempt("linking", &place.path);
        if renamed.is_err() {
            let _ = unlinkat(&hidden.dir, &hidden.name, AtFlags::empty());
        }
        host.path_changed(&self.path);
        renamed.and_then(|()| place.sync_directory())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec(target: &str) -> LinkSpec {
        LinkSpec {
            path: "/etc/sites/a".to_owned(),
            target: target.to_owned(),
        }
    }

    #[test]
    fn it_is_made_and_pointed_elsewhere() {
        let bench = Bench::new();
        bench.settles(&spec("../one"));
        let difference = bench.settles(&spec("/two")).expect("differs");
        assert_eq!(difference.described(), "target is ../one and not /two");
    }

    #[test]
    fn a_file_in_its_place_stays() {
        let bench = Bench::new();
        bench.write("/etc/sites/a", "precious");
        assert!(
            bench
                .fails(&spec("/x"))
                .contains("is a file, not a symbolic link")
        );
        assert_eq!(bench.read("/etc/sites/a"), "precious");
    }
}
