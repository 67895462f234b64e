//! What MariaDB has: one call of its client for all users, databases and rights of a desired state.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use crate::error::Error;
use crate::host::Intent;
use crate::host::server::{Asked, Server};
use crate::process::{Program, is_there};

/// A user that logs in on this host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct User {
    /// Rights on everything, as bits.
    #[serde(default)]
    pub(crate) access: u64,
    /// How the user proves who it is.
    #[serde(default)]
    pub(crate) plugin: String,
    /// What the plugin needs: a hash, or another Unix user.
    #[serde(default, rename = "authentication_string")]
    pub(crate) secret: String,
    /// Further ways to prove it.
    #[serde(default, rename = "auth_or")]
    further: Vec<Value>,
    #[serde(default, rename = "account_locked")]
    pub(crate) locked: bool,
}

impl User {
    /// Whether the Unix user of the same name gets in, and nobody else.
    pub(crate) fn is_the_unix_user(&self) -> bool {
        self.plugin == "unix_socket" && self.secret.is_empty() && self.further.is_empty()
    }
}

/// Rights on a whole database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Grant {
    user: String,
    host: String,
    /// The databases, as a pattern: `_` and `%` are wildcards unless a backslash stands before them.
    pattern: String,
    /// Whether they are all rights that there are on a database.
    complete: bool,
}

impl Grant {
    /// All rights on one database, for a user that logs in on this host.
    pub(crate) fn all(database: &str, user: &str) -> Grant {
        Grant {
            user: user.to_owned(),
            host: "localhost".to_owned(),
            pattern: database
                .replace('\\', "\\\\")
                .replace('_', "\\_")
                .replace('%', "\\%"),
            complete: true,
        }
    }

    /// Whether its holder, place and pattern are those of the other one, whatever the rights.
    pub(crate) fn is_for_the_same(&self, other: &Grant) -> bool {
        (&self.user, &self.host, &self.pattern) == (&other.user, &other.host, &other.pattern)
    }

    /// Who has the rights, and on what, for people.
    pub(crate) fn described(&self) -> String {
        format!("{}@{} on {}", self.user, self.host, self.pattern)
    }

    pub(crate) fn give(&self) -> String {
        format!(
            "GRANT ALL PRIVILEGES ON {}.* TO {};\n",
            self.databases(),
            self.holder()
        )
    }

    /// The right to hand on rights goes first: with the last right MariaDB forgets the grant, and would miss it.
    pub(crate) fn take_away(&self) -> String {
        let (databases, holder) = (self.databases(), self.holder());
        format!(
            "REVOKE GRANT OPTION ON {databases}.* FROM {holder};\nREVOKE ALL PRIVILEGES ON {databases}.* FROM {holder};\n"
        )
    }

    fn databases(&self) -> String {
        format!("`{}`", self.pattern.replace('`', "``"))
    }

    /// A role has no host.
    fn holder(&self) -> String {
        match self.host.as_str() {
            "" => literal(&self.user),
            host => format!("{}@{}", literal(&self.user), literal(host)),
        }
    }
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Database {
    pub(crate) collation: String,
    /// Who has rights on it, by a pattern that fits its name.
    pub(crate) grants: Vec<Grant>,
}

/// The users and databases of the host's server.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Databases {
    pub(crate) users: HashMap<String, User>,
    pub(crate) databases: HashMap<String, Database>,
}

/// A line of the answer.
#[derive(Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
enum Row {
    User {
        name: String,
        account: User,
    },
    Database {
        name: String,
        collation: String,
    },
    Grant {
        database: String,
        #[serde(flatten)]
        grant: Grant,
    },
}

/// Databases come before the rights on them. All rights that a database knows are the columns of `mysql.db`, of which the
/// right to hand on rights is not one that is needed. The patterns of rights are those of LIKE.
const QUESTION: &str = "\
SELECT JSON_OBJECT('what', 'user', 'name', User, 'account', JSON_COMPACT(Priv)) FROM mysql.global_priv \
WHERE Host = 'localhost';
SELECT JSON_OBJECT('what', 'database', 'name', schema_name, 'collation', default_collation_name) \
FROM information_schema.schemata;
SELECT JSON_OBJECT('what', 'grant', 'database', s.schema_name, 'user', d.User, 'host', d.Host, 'pattern', d.Db, \
'complete', JSON_COMPACT(IF((SELECT count(*) FROM information_schema.schema_privileges p WHERE p.table_schema = d.Db \
AND p.grantee = CONCAT('''', d.User, '''@''', d.Host, '''') AND p.is_grantable = 'NO') = \
(SELECT count(*) - 1 FROM information_schema.columns WHERE table_schema = 'mysql' AND table_name = 'db' \
AND column_name LIKE '%\\\\_priv'), 'true', 'false'))) \
FROM information_schema.schemata s JOIN mysql.db d ON s.schema_name LIKE d.Db;
";

/// The server, asked once.
#[derive(Debug)]
pub(super) struct MariaDb(Server<Databases>);

impl Default for MariaDb {
    fn default() -> MariaDb {
        MariaDb(Server::new(
            "MariaDB",
            "mariadb-server",
            "see whether it runs: `systemctl status mariadb`",
        ))
    }
}

impl MariaDb {
    pub(super) fn forget(&mut self) {
        self.0.forget();
    }

    pub(super) fn databases(&mut self, intent: Intent) -> Result<Asked<'_, Databases>, Error> {
        if !is_there("mariadbd") {
            return self.0.absent(intent);
        }
        self.0.ask(
            &mariadb(QUESTION),
            |error| error.says("ERROR 2002 "),
            answer,
            intent,
        )
    }
}

/// A `mariadb` of root, whom the server knows by the socket, that runs `sql`, which it reads from standard input.
pub(crate) fn mariadb(sql: &str) -> Program {
    Program::new([
        "mariadb",
        "--no-defaults",
        "--protocol=socket",
        "--user=root",
        "--default-character-set=utf8mb4",
        "--batch",
        "--raw",
        "--skip-column-names",
    ])
    .stdin(sql)
    .timeout(Duration::from_secs(120))
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn answer(text: &str) -> Result<Databases, serde_json::Error> {
    let mut known = Databases::default();
    for line in text.lines() {
        match serde_json::from_str(line)? {
            Row::User { name, account } => {
                known.users.insert(name, account);
            }
            Row::Database { name, collation } => {
                let grants = Vec::new();
                known.databases.insert(name, Database { collation, grants });
            }
            Row::Grant { database, grant } => {
                if let Some(database) = known.databases.get_mut(&database) {
                    database.grants.push(grant);
                }
            }
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(literal("a'b\\"), "'a''b\\\\'");
        let grant = Grant {
            user: "a'b".to_owned(),
            host: String::new(),
            pattern: "x`y".to_owned(),
            complete: false,
        };
        assert!(
            grant
                .take_away()
                .starts_with("REVOKE GRANT OPTION ON `x``y`.* FROM 'a''b';\n")
        );
    }

    #[test]
    fn rights_on_one_database_are_rights_on_no_other() {
        let grant = Grant::all("kita-sonne_wiki", "kita-sonne_wiki");
        assert_eq!(
            grant.give(),
            "GRANT ALL PRIVILEGES ON `kita-sonne\\_wiki`.* TO 'kita-sonne_wiki'@'localhost';\n"
        );
    }

    #[test]
    fn the_answer_of_the_client_is_understood() {
        let known = answer(concat!(
            r#"{"what": "user", "name": "cloud", "account": {"access":0,"plugin":"unix_socket","authentication_string":""}}"#,
            "\n",
            r#"{"what": "user", "name": "root", "account": {"access":18446744073709551615,"plugin":"mysql_native_password","#,
            r#""authentication_string":"invalid","auth_or":[{},{"plugin":"unix_socket"}],"account_locked":true}}"#,
            "\n",
            r#"{"what": "database", "name": "a_b", "collation": "utf8mb4_unicode_ci"}"#,
            "\n",
            r#"{"what": "grant", "database": "a_b", "user": "a_b", "host": "localhost", "pattern": "a\\_b", "complete": true}"#,
            "\n",
        ))
        .expect("reads");
        assert!(known.users.get("cloud").is_some_and(User::is_the_unix_user));
        let root = known.users.get("root").expect("is there");
        assert!(root.locked && root.access == u64::MAX && !root.is_the_unix_user());
        assert_eq!(
            known.databases.get("a_b").map(|found| found.grants.clone()),
            Some(vec![Grant::all("a_b", "a_b")])
        );
        assert!(answer("ERROR").is_err());
    }
}
