//! Packages of the distribution.

use serde::{Deserialize, Serialize};

/// Packages that are installed; their versions are the distribution's business.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Names.
    pub names: Vec<String>,
    /// Whether what they recommend is installed too.
    #[serde(default)]
    pub recommends: bool,
}
