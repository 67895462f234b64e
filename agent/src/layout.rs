//! Where the agent keeps its things on a host.

use std::path::{Path, PathBuf};

/// The places on a host that belong to the agent, below a root directory: `/` on a host, a temporary one in tests.
#[derive(Debug, Clone)]
pub struct Layout {
    root: PathBuf,
}

impl Default for Layout {
    fn default() -> Layout {
        Layout::below("/")
    }
}

impl Layout {
    /// The layout below `root`.
    pub fn below(root: impl Into<PathBuf>) -> Layout {
        Layout { root: root.into() }
    }

    /// The root directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// An absolute path of the host, below the root.
    pub(crate) fn at(&self, path: impl AsRef<Path>) -> PathBuf {
        let path = path.as_ref();
        self.root.join(path.strip_prefix("/").unwrap_or(path))
    }

    /// The agent's binary.
    pub(crate) fn binary(&self) -> PathBuf {
        self.at(crate::AGENT_PATH)
    }

    /// What outlives a session: journal and pending handlers.
    pub(crate) fn state(&self) -> PathBuf {
        self.at("/var/lib/allmende-agent")
    }

    /// Reports of runs that nobody has taken yet.
    pub(crate) fn journal(&self) -> PathBuf {
        self.state().join("journal")
    }

    /// Handlers that have been notified and have not run yet, one file for each section.
    pub(crate) fn pending(&self) -> PathBuf {
        self.state().join("pending")
    }

    /// Restores that did not come to their end, a folder for each service.
    pub(crate) fn restores(&self) -> PathBuf {
        self.state().join("restores")
    }

    /// Copies that drills made, a folder for each.
    pub(crate) fn drills(&self) -> PathBuf {
        self.state().join("drills")
    }

    /// How to wake services that backups have brought to rest, one file for each run.
    pub(crate) fn rest(&self) -> PathBuf {
        self.state().join("rest")
    }

    /// What the engine remembers of repositories.
    pub(crate) fn engine_cache(&self) -> PathBuf {
        self.at("/var/cache/allmende/restic")
    }

    /// Sockets at which engines and controllers meet.
    pub(crate) fn bridges(&self) -> PathBuf {
        self.at("/run/allmende-agent/bridges")
    }

    /// Blobs that controllers have sent.
    pub(crate) fn blobs(&self) -> PathBuf {
        self.at("/var/cache/allmende/blobs")
    }

    /// Held while a run changes the host. In `/run` and not in `/run/lock`, where every user may put files.
    pub(crate) fn lock(&self) -> PathBuf {
        self.at("/run/allmende-agent.lock")
    }

    /// Held while a replacement of the binary waits to be kept or taken back.
    pub(crate) fn replacement_lock(&self) -> PathBuf {
        self.at("/run/allmende-agent.replacement.lock")
    }
}
