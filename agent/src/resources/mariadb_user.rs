//! A user of MariaDB.

use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::host::{Asked, Host, mariadb};
use crate::names;
use crate::resources::{Difference, Manage};

/// A user that logs in over the socket as the Unix user of the same name. It has no password, and no rights but those that
/// its databases give it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MariadbUserSpec {
    /// Name.
    pub name: String,
}

/// In place of a state that a plan cannot ask for.
pub(super) const SILENT: &str = "unknown, because MariaDB does not answer";

impl MariadbUserSpec {
    fn sql(&self, difference: &Difference) -> String {
        let user = format!("'{}'@'localhost'", self.name);
        let mut sql = String::new();
        if difference.is_about("user") {
            sql.push_str(&format!("CREATE USER {user} IDENTIFIED VIA unix_socket;\n"));
        }
        if difference.is_about("login") {
            sql.push_str(&format!(
                "ALTER USER {user} IDENTIFIED VIA unix_socket ACCOUNT UNLOCK;\n"
            ));
        }
        if difference.is_about("rights on everything") {
            sql.push_str(&format!(
                "REVOKE ALL PRIVILEGES ON *.* FROM {user};\nREVOKE GRANT OPTION ON *.* FROM {user};\n"
            ));
        }
        sql
    }
}

impl Manage for MariadbUserSpec {
    fn check(&self) -> names::Verdict {
        names::mariadb(&self.name)
    }

    fn subject(&self) -> String {
        self.name.clone()
    }

    fn compare(&self, host: &mut Host) -> Result<Option<Difference>, Error> {
        let user = match host.mariadb()? {
            Asked::Absent => None,
            Asked::Silent => {
                return Ok(Some(Difference::change().becomes(
                    "user",
                    Some(SILENT),
                    &self.name,
                )));
            }
            Asked::Known(known) => known.users.get(&self.name),
        };
        let Some(user) = user else {
            return Ok(Some(Difference::create().becomes("user", None, &self.name)));
        };
        let mut difference = Difference::change();
        let login = match (user.locked, user.is_the_unix_user()) {
            (true, _) => Some("locked"),
            (false, false) => Some("otherwise"),
            (false, true) => None,
        };
        if login.is_some() {
            difference = difference.becomes("login", login, "as the Unix user of the same name");
        }
        if user.access != 0 {
            difference = difference.becomes("rights on everything", Some("some"), "none");
        }
        Ok(difference.if_any())
    }

    fn change(&self, host: &mut Host, difference: &Difference) -> Result<(), Error> {
        let changed = host.succeed(&mariadb(&self.sql(difference)));
        host.mariadb_changed();
        changed?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statements_are_right() {
        let spec = MariadbUserSpec {
            name: "kita-sonne_wiki".to_owned(),
        };
        assert_eq!(spec.check(), Ok(()));
        assert_eq!(
            spec.sql(&Difference::create().becomes("user", None, "x")),
            "CREATE USER 'kita-sonne_wiki'@'localhost' IDENTIFIED VIA unix_socket;\n"
        );
        let both = Difference::change()
            .becomes("login", Some("locked"), "x")
            .becomes("rights on everything", Some("some"), "none");
        let sql = spec.sql(&both);
        assert!(sql.starts_with("ALTER USER 'kita-sonne_wiki'@'localhost' IDENTIFIED VIA unix_socket"));
        assert!(sql.contains("REVOKE ALL PRIVILEGES ON *.* FROM 'kita-sonne_wiki'@'localhost';"));
    }

    #[test]
    fn names_that_sql_could_stumble_over_are_refused() {
        for name in ["root", "a'b", "a b", "Anna"] {
            let name = name.to_owned();
            assert!(MariadbUserSpec { name }.check().is_err());
        }
    }
}
