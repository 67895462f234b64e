//! What PostgreSQL has: one `psql` for all roles and databases of a desired state.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use serde::Deserialize;

use crate::error::Error;
use crate::host::server::{Asked, Server};
use crate::host::{Account, Intent};
use crate::process::{Program, is_there};
use crate::protocol::DesiredState;
use crate::resources::ResourceSpec;

/// A role.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Role {
    pub(crate) login: bool,
}

/// A database.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Database {
    pub(crate) owner: String,
    pub(crate) encoding: String,
    /// Whether every role may connect to it.
    pub(crate) open_to_all: bool,
    /// The owner of schema `public`; empty when there is no such schema, or nobody asked.
    #[serde(default)]
    pub(crate) schema_owner: String,
}

/// The roles and databases of the host's cluster.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Cluster {
    pub(crate) roles: HashMap<String, Role>,
    pub(crate) databases: HashMap<String, Database>,
}

/// The cluster, asked once.
#[derive(Debug)]
pub(super) struct Postgres {
    databases: BTreeSet<String>,
    server: Server<Cluster>,
}

impl Default for Postgres {
    fn default() -> Postgres {
        Postgres {
            databases: BTreeSet::new(),
            server: Server::new(
                "PostgreSQL",
                "postgresql",
                "see whether the cluster runs: `pg_lsclusters`, `systemctl status postgresql`",
            ),
        }
    }
}

impl Postgres {
    pub(super) fn expect(&mut self, desired: &DesiredState) {
        for resource in desired.sections.iter().flat_map(|section| &section.resources) {
            if let ResourceSpec::PostgresDatabase(database) = &resource.spec {
                self.databases.insert(database.name.clone());
            }
        }
    }

    pub(super) fn forget(&mut self) {
        self.server.forget();
    }

    /// The cluster's roles and databases, asked as PostgreSQL's own user if there is one.
    pub(super) fn cluster(
        &mut self,
        account: Option<&Account>,
        intent: Intent,
    ) -> Result<Asked<'_, Cluster>, Error> {
        let Some(account) = account.filter(|_| is_there("psql")) else {
            return self.server.absent(intent);
        };
        // Code 2: no connection.
        let question = psql(account, &question(&self.databases));
        self.server
            .ask(&question, |error| error.code() == Some(2), answer, intent)
    }
}

/// A `psql` of PostgreSQL's own user that runs `sql`, which it reads from standard input.
pub(crate) fn psql(account: &Account, sql: &str) -> Program {
    Program::new([
        "psql",
        "-X",
        "-A",
        "-t",
        "-q",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        "postgres",
    ])
    .user(account)
    .stdin(sql)
    .timeout(Duration::from_secs(120))
}

/// A name as SQL writes it. Names are checked when a desired state comes in; this quotes them all the same.
pub(crate) fn identifier(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL writes it.
pub(crate) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// First all roles and databases as one line of JSON, then a line for each wanted database that exists: its name and
/// the owner of its schema `public`, which can only be asked inside it.
fn question(databases: &BTreeSet<String>) -> String {
    let mut sql = String::from(
        "SELECT json_build_object('roles', (SELECT json_object_agg(rolname, json_build_object('login', rolcanlogin)) \
         FROM pg_roles), 'databases', (SELECT json_object_agg(datname, json_build_object('owner', \
         pg_get_userbyid(datdba), 'encoding', pg_encoding_to_char(encoding), 'open_to_all', \
         has_database_privilege('public', oid, 'CONNECT'))) FROM pg_database))::text;\n",
    );
    for name in databases {
        let (quoted, text) = (identifier(name), literal(name));
        sql.push_str(&format!(
            "SELECT EXISTS (SELECT FROM pg_database WHERE datname = {text}) AS found \\gset\n\
             \\if :found\n\\connect {quoted}\n\
             SELECT {text} || ' ' || coalesce((SELECT pg_get_userbyid(nspowner) FROM pg_namespace \
             WHERE nspname = 'public'), '');\n\\connect postgres\n\\endif\n"
        ));
    }
    sql
}

fn answer(text: &str) -> Result<Cluster, serde_json::Error> {
    let mut lines = text.lines();
    let mut cluster: Cluster = serde_json::from_str(lines.next().unwrap_or_default())?;
    for line in lines {
        if let Some((name, owner)) = line.split_once(' ')
            && let Some(database) = cluster.databases.get_mut(name)
        {
            database.schema_owner = owner.to_owned();
        }
    }
    Ok(cluster)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_leave_their_quotes() {
        assert_eq!(identifier("a\"b"), "\"a\"\"b\"");
        assert_eq!(literal("a'b"), "'a''b'");
    }

    #[test]
    fn the_answer_of_psql_is_understood() {
        let cluster = answer(
            "{\"roles\" : { \"postgres\" : {\"login\" : true}, \"cloud\" : {\"login\" : false} }, \"databases\" : \
             { \"cloud\" : {\"owner\" : \"cloud\", \"encoding\" : \"UTF8\", \"open_to_all\" : true} }}\n\
             cloud pg_database_owner\n",
        )
        .expect("reads");
        assert_eq!(cluster.roles.get("cloud"), Some(&Role { login: false }));
        assert_eq!(
            cluster
                .databases
                .get("cloud")
                .map(|found| found.schema_owner.as_str()),
            Some("pg_database_owner")
        );
        assert!(answer("").is_err());
    }

    #[test]
    fn a_database_is_asked_inside_only_if_it_exists() {
        let sql = question(&BTreeSet::from(["cloud".to_owned()]));
        assert!(sql.contains("\\if :found\n\\connect \"cloud\"\n"), "{sql}");
        assert!(!question(&BTreeSet::new()).contains("connect "));
    }
}
