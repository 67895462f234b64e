//! A database of MariaDB on its way back: loaded into a new one beside it, whose tables change places with those that are
//! there. The database itself, and the rights on it, stay.

use super::names::Beside;
use crate::error::Error;
use crate::host::{mariadb, mariadb_literal};
use crate::process::Program;

/// Refuses a database with what cannot be moved by renaming tables.
pub(super) fn movable(database: &str) -> Result<(), Error> {
    let name = mariadb_literal(database);
    let found = ask(&format!(
        "SELECT CONCAT('the view ', table_name) FROM information_schema.views WHERE table_schema = {name} \
         UNION ALL SELECT CONCAT('the trigger ', trigger_name) FROM information_schema.triggers WHERE trigger_schema = {name} \
         UNION ALL SELECT CONCAT('the ', LOWER(routine_type), ' ', routine_name) FROM information_schema.routines WHERE routine_schema = {name} \
         UNION ALL SELECT CONCAT('the event ', event_name) FROM information_schema.events WHERE event_schema = {name};\n"
    ))?;
    match found.lines().next() {
        None => Ok(()),
        Some(first) => Err(Error::obstacle(
            format!("the database {database} has {first}, and MariaDB cannot move it to another database"),
            "restore beside with `--into` and load the dump by hand",
        )),
    }
}

/// Makes the new database with the collation of the one that is there.
pub(super) fn prepare(names: &Beside) -> Result<(), Error> {
    let collation = ask(&format!(
        "SELECT default_collation_name FROM information_schema.schemata WHERE schema_name = {};\n",
        mariadb_literal(&names.live)
    ))?;
    let Some(collation) = collation.lines().next() else {
        return Err(Error::obstacle(
            format!("the database {} is not there", names.live),
            "apply the service first, so that it has a place to come back to",
        ));
    };
    let new = quoted(&names.new);
    let old = quoted(&names.old);
    ask(&format!(
        "DROP DATABASE IF EXISTS {old};\nDROP DATABASE IF EXISTS {new};\nCREATE DATABASE {new} COLLATE {collation};\n"
    ))?;
    Ok(())
}

/// Reads a dump from standard input into `database`.
pub(super) fn loader(database: &str) -> Program {
    Program::new([
        "mariadb",
        "--no-defaults",
        "--protocol=socket",
        "--user=root",
        "--default-character-set=utf8mb4",
        "--binary-mode",
        database,
    ])
}

/// Puts the tables that are there aside, and the new ones in their place: one statement, so all or none.
pub(super) fn exchange(names: &Beside) -> Result<(), Error> {
    let new = tables(&names.new)?;
    if new.is_empty() {
        return Err(Error::obstacle(
            format!("the dump of {} holds no tables", names.live),
            "restore another backup",
        ));
    }
    let old = quoted(&names.old);
    ask(&format!(
        "DROP DATABASE IF EXISTS {old};\nCREATE DATABASE {old};\n"
    ))?;
    let mut moves = moves(&tables(&names.live)?, &names.live, &names.old);
    moves.extend(self::moves(&new, &names.new, &names.live));
    rename(&moves)
}

/// Puts the tables back that were there, if they are aside, and removes the others.
pub(super) fn undo(names: &Beside) -> Result<(), Error> {
    let exists = |name: &str| -> Result<bool, Error> {
        let found = ask(&format!(
            "SELECT 1 FROM information_schema.schemata WHERE schema_name = {};\n",
            mariadb_literal(name)
        ))?;
        Ok(!found.is_empty())
    };
    // What is aside was exchanged for what was new, of which nothing is left in that case.
    if exists(&names.old)? && exists(&names.new)? && tables(&names.new)?.is_empty() {
        let mut moves = moves(&tables(&names.live)?, &names.live, &names.new);
        moves.extend(self::moves(&tables(&names.old)?, &names.old, &names.live));
        rename(&moves)?;
    }
    remove(names)
}

/// Removes what was put aside.
pub(super) fn remove(names: &Beside) -> Result<(), Error> {
    drop_database(&names.old)?;
    drop_database(&names.new)
}

/// Removes a database, if it is there.
pub(super) fn drop_database(name: &str) -> Result<(), Error> {
    ask(&format!("DROP DATABASE IF EXISTS {};\n", quoted(name)))?;
    Ok(())
}

/// Makes an empty database.
pub(super) fn scratch(name: &str) -> Result<(), Error> {
    let name = quoted(name);
    ask(&format!(
        "DROP DATABASE IF EXISTS {name};\nCREATE DATABASE {name} COLLATE utf8mb4_unicode_ci;\n"
    ))?;
    Ok(())
}

/// Asks `database` a query that gives one number.
pub(super) fn count(database: &str, query: &str) -> Result<String, Error> {
    Ok(ask(&format!("USE {};\n{query};\n", quoted(database)))?
        .trim()
        .to_owned())
}

/// Takes all rows out of all tables of a scratch database.
pub(super) fn empty(database: &str) -> Result<(), Error> {
    let mut sql = String::from("SET foreign_key_checks = 0;\n");
    for table in tables(database)? {
        sql.push_str(&format!("DELETE FROM {}.{};\n", quoted(database), quoted(&table)));
    }
    ask(&sql)?;
    Ok(())
}

fn tables(database: &str) -> Result<Vec<String>, Error> {
    let found = ask(&format!(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = {} AND table_type <> 'VIEW';\n",
        mariadb_literal(database)
    ))?;
    Ok(found.lines().map(str::to_owned).collect())
}

fn moves(tables: &[String], from: &str, to: &str) -> Vec<String> {
    tables
        .iter()
        .map(|table| {
            let table = quoted(table);
            format!("{}.{table} TO {}.{table}", quoted(from), quoted(to))
        })
        .collect()
}

fn rename(moves: &[String]) -> Result<(), Error> {
    if !moves.is_empty() {
        ask(&format!(
            "SET foreign_key_checks = 0;\nRENAME TABLE {};\n",
            moves.join(", ")
        ))?;
    }
    Ok(())
}

fn ask(sql: &str) -> Result<String, Error> {
    Ok(mariadb(sql).quietly()?.text())
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}
