//! A PostgreSQL database.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Asked, Host, identifier, psql};
use crate::names;
use crate::resources::postgres_role::SILENT;
use crate::resources::{Difference, Manage};

/// A database in the host's PostgreSQL cluster, made from `template0`. Only its owner may connect to it.
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

/// Since PostgreSQL 15 the owner of a new database's schema `public`: it stands for whoever owns the database.
const DATABASE_OWNER: &str = "pg_database_owner";

impl PostgresDatabaseSpec {
    fn sql(&self, difference: &Difference) -> String {
        let (name, owner) = (identifier(&self.name), identifier(&self.owner));
        let mut sql = String::new();
        if difference.is_about("database") {
            sql.push_str(&format!(
                "CREATE DATABASE {name} OWNER {owner} ENCODING '{}' TEMPLATE template0;\n",
                self.encoding
            ));
        }
        if difference.is_about("owner") {
            sql.push_str(&format!("ALTER DATABASE {name} OWNER TO {owner};\n"));
        }
        if difference.is_about("database") || difference.is_about("access") {
            sql.push_str(&format!(
                "REVOKE CONNECT, TEMPORARY ON DATABASE {name} FROM PUBLIC;\n"
            ));
        }
        // Before version 15 the schema belongs to postgres, and every role may make tables in it.
        sql.push_str(&format!(
            "\\connect {name}\nSELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'public' AND \
             pg_get_userbyid(nspowner) NOT IN ('{DATABASE_OWNER}', '{}')) AS other \\gset\n\
             \\if :other\nALTER SCHEMA public OWNER TO {owner};\nREVOKE CREATE ON SCHEMA public FROM PUBLIC;\n\\endif\n",
            self.owner,
        ));
        sql
    }
}

impl Manage for PostgresDatabaseSpec {
    fn check(&self) -> names::Verdict {
        names::postgres(&self.name)?;
        names::postgres(&self.owner)?;
        if self.encoding.is_empty()
            || !self
                .encoding
                .chars()
                .all(|letter| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == '_')
        {
            return Err(format!(
                "{:?} is no encoding: PostgreSQL writes UTF8",
                self.encoding
            ));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let database = match host.cluster()? {
            Asked::Absent => None,
            Asked::Silent => {
                return Ok(Some(Difference::change().becomes(
                    "database",
                    Some(SILENT),
                    &self.name,
                )));
            }
            Asked::Known(cluster) => cluster.databases.get(&self.name),
        };
        let Some(database) = database else {
            let difference = Difference::create().becomes("database", None, &self.name);
            return Ok(Some(difference.becomes("encoding", None, &self.encoding)));
        };
        if database.encoding != self.encoding {
            return Err(Error::obstacle(
                format!(
                    "the database {} has the encoding {} and not {}",
                    self.name, database.encoding, self.encoding
                ),
                "dump it, drop it and restore it into a new one",
            ));
        }
        let mut difference = Difference::change();
        if database.owner != self.owner {
            difference = difference.becomes("owner", Some(&database.owner), &self.owner);
        }
        if database.open_to_all {
            difference = difference.becomes("access", Some("every role"), "its owner");
        }
        let schema = database.schema_owner.as_str();
        if !["", DATABASE_OWNER, self.owner.as_str()].contains(&schema) {
            difference = difference.becomes("owner of schema public", Some(schema), &self.owner);
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let account = host.account("postgres")?;
        let changed = host.succeed(&psql(&account, &self.sql(difference)));
        host.postgres_changed();
        changed?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_are_right() {
        let spec = PostgresDatabaseSpec {
            name: "kita-sonne_cloud".to_owned(),
            owner: "kita-sonne_cloud".to_owned(),
            encoding: "UTF8".to_owned(),
        };
        let sql = spec.sql(&Difference::create().becomes("database", None, "x"));
        assert!(sql.starts_with(
            "CREATE DATABASE \"kita-sonne_cloud\" OWNER \"kita-sonne_cloud\" ENCODING 'UTF8' TEMPLATE template0;\n\
             REVOKE CONNECT, TEMPORARY ON DATABASE \"kita-sonne_cloud\" FROM PUBLIC;\n\\connect \"kita-sonne_cloud\"\n"
        ));
        let sql = spec.sql(&Difference::change().becomes("owner", None, "x"));
        assert!(
            sql.starts_with("ALTER DATABASE \"kita-sonne_cloud\" OWNER TO"),
            "{sql}"
        );
        assert!(
            PostgresDatabaseSpec {
                encoding: "utf8'; --".to_owned(),
                ..spec
            }
            .check()
            .is_err()
        );
    }
}
