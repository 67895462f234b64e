//! A PostgreSQL database.

use serde::{Deserialize, Serialize};

/// A database in the host's PostgreSQL cluster, made from `template0`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresDatabaseSpec {
    /// Name.
    pub name: String,
    /// The role that owns it, and its schema `public`.
    pub owner: String,
    /// Encoding; a database that exists with another is refused.
    #[serde(default = "utf8")]
    pub encoding: String,
}

fn utf8() -> String {
    "UTF8".to_owned()
}
