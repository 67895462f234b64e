//! An archive, unpacked into a directory of its own.

use serde::{Deserialize, Serialize};

/// A tar archive (plain, gzip or bzip2), unpacked into a directory that it fills alone.
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

use crate::error::Error;
use crate::host::Host;
use crate::names;
use crate::resources::{Difference, Manage};

impl ArchiveSpec {
    pub(crate) fn lacks_blob(&self, _: &mut Host) -> bool {
        false
    }
}

impl Manage for ArchiveSpec {
    fn check(&self) -> names::Verdict {
        names::path(&self.path)
    }
    fn subject(&self) -> String {
        self.path.clone()
    }
    fn compare(&self, _: &mut Host) -> Result<Option<Difference>, Error> {
        Ok(Some(Difference::create()))
    }
    fn change(&self, _: &mut Host, _: &Difference) -> Result<(), Error> {
        Err(Error::obstacle("archives are not built yet", "wait"))
    }
}
