//! A PostgreSQL role.

use serde::{Deserialize, Serialize};

/// A role that may log in, by peer authentication as the Unix user of the same name. It has no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresRoleSpec {
    /// Name.
    pub name: String,
}
