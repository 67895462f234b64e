//! A PostgreSQL role.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Asked, Host, identifier, psql};
use crate::names;
use crate::resources::{Difference, Manage};

/// A role that may log in, by peer authentication as the Unix user of the same name. It has no password.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresRoleSpec {
    /// Name.
    pub name: String,
}

/// In place of a state that a plan cannot ask for.
pub(super) const SILENT: &str = "unknown, because PostgreSQL does not answer";

impl Manage for PostgresRoleSpec {
    fn check(&self) -> names::Verdict {
        names::postgres(&self.name)
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let role = match host.cluster()? {
            Asked::Absent => None,
            Asked::Silent => {
                return Ok(Some(Difference::change().becomes(
                    "role",
                    Some(SILENT),
                    &self.name,
                )));
            }
            Asked::Known(cluster) => cluster.roles.get(&self.name),
        };
        Ok(match role {
            None => Some(Difference::create().becomes("role", None, &self.name)),
            Some(role) if !role.login => Some(Difference::change().becomes("login", Some("no"), "yes")),
            Some(_) => None,
        })
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let account = host.account("postgres")?;
        let verb = if difference.is_about("login") {
            "ALTER"
        } else {
            "CREATE"
        };
        let sql = format!("{verb} ROLE {} LOGIN;\n", identifier(&self.name));
        let changed = host.succeed(&psql(&account, &sql));
        host.postgres_changed();
        changed?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    #[test]
    fn without_postgresql_a_plan_creates_and_an_apply_says_what_is_missing() {
        let bench = Bench::new();
        let spec = PostgresRoleSpec {
            name: "cloud".to_owned(),
        };
        assert!(bench.plans(&spec).is_some());
        assert!(bench.fails(&spec).starts_with("PostgreSQL is not installed"));
    }
}
