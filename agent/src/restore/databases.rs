//! Databases of either server, by what is done with them on the way back.

use serde::{Deserialize, Serialize};

use super::names::Beside;
use super::{mariadb, postgres};
use crate::error::Error;
use crate::host::Host;
use crate::process::Program;

/// A database of the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Database {
    Postgres(String),
    Mariadb(String),
}

impl Database {
    /// Another database of the same server.
    pub(super) fn named(&self, name: String) -> Database {
        match self {
            Database::Postgres(_) => Database::Postgres(name),
            Database::Mariadb(_) => Database::Mariadb(name),
        }
    }

    /// Whether it can be exchanged for another one.
    pub(super) fn movable(&self) -> Result<(), Error> {
        match self {
            Database::Postgres(_) => Ok(()),
            Database::Mariadb(name) => mariadb::movable(name),
        }
    }

    /// Makes an empty one beside it, and returns that one.
    pub(super) fn prepare(&self, host: &mut Host) -> Result<Database, Error> {
        let names = self.beside();
        match self {
            Database::Postgres(_) => postgres::prepare(host, &names)?,
            Database::Mariadb(_) => mariadb::prepare(&names)?,
        }
        Ok(self.named(names.new))
    }

    /// Puts the one beside it in its place, and it aside.
    pub(super) fn exchange(&self, host: &mut Host) -> Result<(), Error> {
        match self {
            Database::Postgres(_) => postgres::exchange(host, &self.beside()),
            Database::Mariadb(_) => mariadb::exchange(&self.beside()),
        }
    }

    /// Puts it back, if it is aside, and removes the other one.
    pub(super) fn undo(&self, host: &mut Host) -> Result<(), Error> {
        match self {
            Database::Postgres(_) => postgres::undo(host, &self.beside()),
            Database::Mariadb(_) => mariadb::undo(&self.beside()),
        }
    }

    /// Removes what is beside it.
    pub(super) fn remove_beside(&self, host: &mut Host) -> Result<(), Error> {
        let names = self.beside();
        for name in [names.old, names.new] {
            self.named(name).remove(host)?;
        }
        Ok(())
    }

    /// Makes it anew, empty, for nobody but the server's own user.
    pub(super) fn make_scratch(&self, host: &mut Host) -> Result<(), Error> {
        match self {
            Database::Postgres(name) => postgres::scratch(host, name),
            Database::Mariadb(name) => mariadb::scratch(name),
        }
    }

    /// Removes it, if it is there.
    pub(super) fn remove(&self, host: &mut Host) -> Result<(), Error> {
        match self {
            Database::Postgres(name) => postgres::drop_database(host, name),
            Database::Mariadb(name) => mariadb::drop_database(name),
        }
    }

    /// Reads a dump from standard input into it.
    pub(super) fn loader(&self, host: &mut Host) -> Result<Program, Error> {
        match self {
            Database::Postgres(name) => postgres::loader(host, name),
            Database::Mariadb(name) => Ok(mariadb::loader(name)),
        }
    }

    /// Asks it a query that gives one number.
    pub(super) fn count(&self, host: &mut Host, query: &str) -> Result<String, Error> {
        match self {
            Database::Postgres(name) => postgres::count(host, name, query),
            Database::Mariadb(name) => mariadb::count(name, query),
        }
    }

    /// Takes all rows out of all of its tables.
    pub(super) fn empty(&self, host: &mut Host) -> Result<(), Error> {
        match self {
            Database::Postgres(name) => postgres::empty(host, name),
            Database::Mariadb(name) => mariadb::empty(name),
        }
    }

    fn beside(&self) -> Beside {
        let (Database::Postgres(name) | Database::Mariadb(name)) = self;
        Beside::of(name)
    }
}
