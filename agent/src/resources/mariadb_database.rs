//! A database of MariaDB.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Asked, Grant, Host, mariadb};
use crate::names;
use crate::resources::mariadb_user::SILENT;
use crate::resources::{Difference, Manage};

/// A database in UTF-8 (`utf8mb4`) on the host's MariaDB. One user has all rights on it, and nobody else has any.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MariadbDatabaseSpec {
    /// Name.
    pub name: String,
    /// The user that has all rights on it.
    pub owner: String,
    /// How texts are compared and sorted in tables that say nothing else; `utf8mb4_…`.
    #[serde(default = "unicode")]
    pub collation: String,
}

fn unicode() -> String {
    "utf8mb4_unicode_ci".to_owned()
}

impl MariadbDatabaseSpec {
    fn rights(&self) -> Grant {
        Grant::all(&self.name, &self.owner)
    }

    /// What differs in the rights of others and of the owner: who has some that are too many, and whether the owner's are
    /// all there.
    fn differing<'a>(&self, grants: &'a [Grant]) -> (Vec<&'a Grant>, bool) {
        let rights = self.rights();
        let strange = grants
            .iter()
            .filter(|grant| !grant.is_for_the_same(&rights))
            .collect();
        (strange, grants.contains(&rights))
    }

    fn creation(&self) -> String {
        format!("CREATE DATABASE `{}` COLLATE {};\n", self.name, self.collation)
    }

    fn repair(&self, difference: &Difference, grants: &[Grant]) -> String {
        let mut sql = String::new();
        if difference.is_about("collation") {
            sql.push_str(&format!(
                "ALTER DATABASE `{}` COLLATE {};\n",
                self.name, self.collation
            ));
        }
        let (strange, complete) = self.differing(grants);
        for grant in strange {
            sql.push_str(&grant.take_away());
        }
        if !complete {
            // What was given with the right to hand it on is given anew without it.
            let partial = grants.iter().find(|grant| grant.is_for_the_same(&self.rights()));
            sql.push_str(&partial.map(Grant::take_away).unwrap_or_default());
            sql.push_str(&self.rights().give());
        }
        sql
    }

    fn execute(host: &mut Host, sql: &str) -> Result<(), Error> {
        let executed = host.succeed(&mariadb(sql));
        host.mariadb_changed();
        executed?;
        Ok(())
    }
}

impl Manage for MariadbDatabaseSpec {
    fn check(&self) -> names::Verdict {
        names::mariadb(&self.name)?;
        names::mariadb(&self.owner)?;
        let plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
        if !self.collation.starts_with("utf8mb4_") || !self.collation.chars().all(plain) {
            return Err(format!(
                "{:?} is no collation of UTF-8: MariaDB writes utf8mb4_unicode_ci",
                self.collation
            ));
        }
        Ok(())
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let database = match host.mariadb()? {
            Asked::Absent => None,
            Asked::Silent => {
                return Ok(Some(Difference::change().becomes(
                    "database",
                    Some(SILENT),
                    &self.name,
                )));
            }
            Asked::Known(known) => known.databases.get(&self.name),
        };
        let Some(database) = database else {
            let difference = Difference::create().becomes("database", None, &self.name);
            return Ok(Some(difference.becomes("owner", None, &self.owner)));
        };
        let mut difference = Difference::change();
        if database.collation != self.collation {
            difference = difference.becomes("collation", Some(&database.collation), &self.collation);
        }
        let (strange, complete) = self.differing(&database.grants);
        if !complete {
            difference = difference.becomes("rights of the owner", Some("not all"), "all");
        }
        for grant in strange {
            difference = difference.becomes("access", Some(&grant.described()), "its owner alone");
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        if difference.is_about("database") {
            Self::execute(host, &self.creation())?;
        }
        // Rights outlive a database: a new one of the same name may already have some.
        let grants = match host.mariadb()? {
            Asked::Known(known) => known
                .databases
                .get(&self.name)
                .map_or_else(Vec::new, |database| database.grants.clone()),
            Asked::Absent | Asked::Silent => Vec::new(),
        };
        Self::execute(host, &self.repair(difference, &grants))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resources::difference::tests::Bench;

    fn spec() -> MariadbDatabaseSpec {
        MariadbDatabaseSpec {
            name: "kita-sonne_wiki".to_owned(),
            owner: "kita-sonne_wiki".to_owned(),
            collation: unicode(),
        }
    }

    #[test]
    fn the_statements_are_right() {
        assert_eq!(
            spec().creation(),
            "CREATE DATABASE `kita-sonne_wiki` COLLATE utf8mb4_unicode_ci;\n"
        );
        let give = "GRANT ALL PRIVILEGES ON `kita-sonne\\_wiki`.* TO 'kita-sonne_wiki'@'localhost';\n";
        assert_eq!(spec().repair(&Difference::create(), &[]), give);
        let anna = Grant::all("kita-sonne_wiki", "anna");
        let sql = spec().repair(&Difference::change(), &[anna, spec().rights()]);
        assert_eq!(
            sql,
            "REVOKE GRANT OPTION ON `kita-sonne\\_wiki`.* FROM 'anna'@'localhost';\n\
             REVOKE ALL PRIVILEGES ON `kita-sonne\\_wiki`.* FROM 'anna'@'localhost';\n"
        );
        let other = Difference::change().becomes("collation", Some("x"), "y");
        assert_eq!(
            spec().repair(&other, &[spec().rights()]),
            "ALTER DATABASE `kita-sonne_wiki` COLLATE utf8mb4_unicode_ci;\n"
        );
    }

    #[test]
    fn what_is_no_name_or_no_collation_is_refused() {
        assert_eq!(spec().check(), Ok(()));
        for collation in ["latin1_german1_ci", "utf8mb4_x; DROP", ""] {
            let collation = collation.to_owned();
            assert!(MariadbDatabaseSpec { collation, ..spec() }.check().is_err());
        }
        let name = "mysql".to_owned();
        assert!(MariadbDatabaseSpec { name, ..spec() }.check().is_err());
    }

    #[test]
    fn without_mariadb_a_plan_creates_and_an_apply_says_what_is_missing() {
        let bench = Bench::new();
        assert!(bench.plans(&spec()).is_some());
        assert!(
            bench
                .fails(&spec())
                .starts_with("MariaDB is not installed on this host")
        );
    }
}
