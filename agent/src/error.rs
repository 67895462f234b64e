//! Why a resource could not be read or changed.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::process::ProcessError;

/// Says what was attempted, what came back, and what to do next.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system refused something.
    #[error("{attempt}: {source}")]
    Io { attempt: String, source: io::Error },
    /// There is no room left.
    #[error(
        "{attempt}: the disk of {host} is full ({free} free on {mount}); free some space and apply again"
    )]
    DiskFull {
        attempt: String,
        host: String,
        free: String,
        mount: String,
    },
    /// A program could not be run, or failed.
    #[error(transparent)]
    Program(#[from] ProcessError),
    /// A program failed and there is more to say about it.
    #[error("{source}{more}")]
    ProgramWith { source: ProcessError, more: String },
    /// Something is in the way that the agent does not clear away by itself.
    #[error("{found}; {advice}")]
    Obstacle { found: String, advice: String },
    /// Changed, and still different when read again.
    #[error("it did not become as desired: {0}")]
    NotProven(String),
    /// The request makes no sense.
    #[error("{0}")]
    Invalid(String),
}

impl Error {
    /// What was found, and what to do about it.
    pub(crate) fn obstacle(found: impl Into<String>, advice: impl Into<String>) -> Error {
        Error::Obstacle {
            found: found.into(),
            advice: advice.into(),
        }
    }

    /// An error of the system while something was done with a path.
    pub(crate) fn at(verb: &str, path: &Path, source: io::Error) -> Error {
        let attempt = format!("{verb} {}", path.display());
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                let (mount, free) = room(path);
                Error::DiskFull {
                    attempt,
                    host: hostname(),
                    free: size(free),
                    mount,
                }
            }
            _ => Error::Io { attempt, source },
        }
    }
}

/// Turns errors of the system into [`Error`] with what was attempted.
pub(crate) trait Attempt<T> {
    /// `verb` reads "writing", "renaming"; the path follows it.
    fn attempt(self, verb: &str, path: impl AsRef<Path>) -> Result<T, Error>;
}

impl<T, E: Into<io::Error>> Attempt<T> for Result<T, E> {
    fn attempt(self, verb: &str, path: impl AsRef<Path>) -> Result<T, Error> {
        self.map_err(|source| Error::at(verb, path.as_ref(), source.into()))
    }
}

/// The host's own name.
pub(crate) fn hostname() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

/// The mount point that holds `path` or its nearest existing parent, and the bytes free there.
pub(crate) fn room(path: &Path) -> (String, u64) {
    let existing = path
        .ancestors()
        .find(|path| path.exists())
        .unwrap_or(Path::new("/"));
    let free = rustix::fs::statvfs(existing).map_or(0, |stat| stat.f_bavail.saturating_mul(stat.f_frsize));
    let device = |path: &Path| path.metadata().map(|found| found.dev()).ok();
    let mount = existing
        .ancestors()
        .take_while(|above| device(above) == device(existing))
        .last()
        .unwrap_or(existing);
    (mount.to_string_lossy().into_owned(), free)
}

/// `3.2 GiB`, for people.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut tenths = bytes.saturating_mul(10) / 1024;
    let mut units = UNITS.iter();
    let mut unit = units.next();
    while tenths >= 10_240 {
        match units.next() {
            Some(next) => unit = Some(next),
            None => break,
        }
        tenths /= 1024;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, unit.unwrap_or(&"KiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_for_people() {
        assert_eq!(size(3), "3 bytes");
        assert_eq!(size(1536), "1.5 KiB");
        assert_eq!(size(5 * 1024 * 1024 * 1024), "5.0 GiB");
        assert_eq!(size(u64::MAX / 20), "838860.7 TiB");
    }

    #[test]
    fn a_full_disk_says_so_with_the_next_step() {
        let error = Error::at(
            "writing",
            Path::new("/nowhere/x"),
            io::ErrorKind::StorageFull.into(),
        );
        let text = error.to_string();
        assert!(text.starts_with("writing /nowhere/x: the disk of "), "{text}");
        assert!(
            text.ends_with("free on /); free some space and apply again"),
            "{text}"
        );
    }
}
