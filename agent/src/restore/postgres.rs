//! A database of PostgreSQL on its way back: loaded into a new one beside it, exchanged by renames.

use std::collections::BTreeSet;
use std::thread::sleep;
use std::time::Duration;

use super::names::Beside;
use crate::error::Error;
use crate::host::{Account, Host, identifier, postgres_literal, psql};
use crate::process::Program;

/// How often a database is renamed again whose last connections are still closing, half a second apart.
const TRIES: usize = 20;

/// Settings that are lists of names, which the catalogue keeps in one text.
const LISTS: &str =
    "'search_path', 'temp_tablespaces', 'session_preload_libraries', 'local_preload_libraries'";

/// PostgreSQL's own user.
fn account(host: &mut Host) -> Result<Account, Error> {
    host.account("postgres")
}

/// Makes the new database as the one that is there: owner, encoding, locale, rights and settings.
pub(super) fn prepare(host: &mut Host, names: &Beside) -> Result<(), Error> {
    let account = account(host)?;
    let found = psql(
        &account,
        &format!(
            "SELECT 1 FROM pg_database WHERE datname = {};\n",
            postgres_literal(&names.live)
        ),
    )
    .quietly()?;
    if found.text().trim() != "1" {
        return Err(Error::obstacle(
            format!("the database {} is not there", names.live),
            "apply the service first, so that it has a place to come back to",
        ));
    }
    psql(&account, &creation(names)).quietly()?;
    Ok(())
}

/// Reads a dump from standard input into `database`.
pub(super) fn loader(host: &mut Host, database: &str) -> Result<Program, Error> {
    let account = account(host)?;
    Ok(Program::new([
        "psql",
        "-X",
        "-q",
        "-o",
        "/dev/null",
        "-v",
        "ON_ERROR_STOP=1",
        "-d",
        database,
    ])
    .user(&account))
}

/// Puts the database that was there aside, and the new one in its place.
pub(super) fn exchange(host: &mut Host, names: &Beside) -> Result<(), Error> {
    let account = account(host)?;
    let mut tries = 0;
    loop {
        tries += 1;
        match psql(&account, &renames(names)).quietly() {
            Err(error) if error.says("is being accessed by other users") && tries < TRIES => {
                sleep(Duration::from_millis(500));
            }
            done => {
                done?;
                return Ok(());
            }
        }
    }
}

/// Puts the database back that was there, if it is aside, and removes the other one.
pub(super) fn undo(host: &mut Host, names: &Beside) -> Result<(), Error> {
    let account = account(host)?;
    psql(&account, &renames_back(names)).quietly()?;
    Ok(())
}

/// Removes a database, if it is there.
pub(super) fn drop_database(host: &mut Host, name: &str) -> Result<(), Error> {
    let account = account(host)?;
    psql(
        &account,
        &format!("DROP DATABASE IF EXISTS {} WITH (FORCE);\n", identifier(name)),
    )
    .quietly()?;
    Ok(())
}

/// Makes an empty database that nobody but PostgreSQL's own user may enter.
pub(super) fn scratch(host: &mut Host, name: &str) -> Result<(), Error> {
    let account = account(host)?;
    let name = identifier(name);
    let sql = format!(
        "DROP DATABASE IF EXISTS {name} WITH (FORCE);\n\
         CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LC_COLLATE 'C.UTF-8' LC_CTYPE 'C.UTF-8';\n\
         REVOKE ALL ON DATABASE {name} FROM PUBLIC;\n"
    );
    psql(&account, &sql).quietly()?;
    Ok(())
}

/// Asks `database` a query that gives one number.
pub(super) fn count(host: &mut Host, database: &str, query: &str) -> Result<String, Error> {
    let account = account(host)?;
    let sql = format!("\\connect {}\n{query};\n", identifier(database));
    Ok(psql(&account, &sql).quietly()?.text().trim().to_owned())
}

/// Takes all rows out of all tables of a scratch database.
pub(super) fn empty(host: &mut Host, database: &str) -> Result<(), Error> {
    let account = account(host)?;
    let sql = format!(
        "\\connect {}\n\
         SELECT 'TRUNCATE ' || string_agg(format('%I.%I', schemaname, tablename), ', ') || ' CASCADE' \
         FROM pg_tables WHERE schemaname NOT IN ('pg_catalog', 'information_schema') HAVING count(*) > 0 \\gexec\n",
        identifier(database)
    );
    psql(&account, &sql).quietly()?;
    Ok(())
}

/// Who is connected to these databases is sent away: the service is at rest, so it is somebody's forgotten terminal.
fn send_away(databases: BTreeSet<&str>) -> String {
    let names: Vec<String> = databases.into_iter().map(postgres_literal).collect();
    format!(
        "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname IN ({}) AND pid <> pg_backend_pid() \\g /dev/null\n",
        names.join(", ")
    )
}

fn creation(names: &Beside) -> String {
    let (live, new) = (postgres_literal(&names.live), postgres_literal(&names.new));
    format!(
        "DROP DATABASE IF EXISTS {old} WITH (FORCE);\nDROP DATABASE IF EXISTS {quoted} WITH (FORCE);\n\
         SELECT format('CREATE DATABASE %I TEMPLATE template0 OWNER %I ENCODING %L LC_COLLATE %L LC_CTYPE %L CONNECTION LIMIT %s', \
         {new}, pg_get_userbyid(datdba), pg_encoding_to_char(encoding), datcollate, datctype, datconnlimit) \
         FROM pg_database WHERE datname = {live} \\gexec\n\
         SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', {new}) \
         FROM pg_database WHERE datname = {live} AND datacl IS NOT NULL \\gexec\n\
         SELECT format('GRANT %s ON DATABASE %I TO %s%s', privilege_type, {new}, \
         CASE grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END, \
         CASE WHEN is_grantable THEN ' WITH GRANT OPTION' ELSE '' END) \
         FROM pg_database, aclexplode(datacl) WHERE datname = {live} \\gexec\n\
         SELECT format('ALTER%s DATABASE %I SET %s = %s', \
         CASE setrole WHEN 0 THEN '' ELSE ' ROLE ' || quote_ident(pg_get_userbyid(setrole)) || ' IN' END, {new}, \
         (SELECT string_agg(quote_ident(part), '.') FROM unnest(string_to_array(split_part(setting, '=', 1), '.')) AS part), \
         CASE WHEN split_part(setting, '=', 1) IN ({LISTS}) \
         THEN (SELECT string_agg(quote_literal(trim(BOTH ' \"' FROM part)), ', ') \
         FROM unnest(string_to_array(substr(setting, strpos(setting, '=') + 1), ',')) AS part) \
         ELSE quote_literal(substr(setting, strpos(setting, '=') + 1)) END) \
         FROM pg_db_role_setting, unnest(setconfig) AS setting \
         WHERE setdatabase = (SELECT oid FROM pg_database WHERE datname = {live}) \\gexec\n",
        quoted = identifier(&names.new),
        old = identifier(&names.old),
    )
}

/// In one transaction, so that there is always a database of the service's name.
fn renames(names: &Beside) -> String {
    format!(
        "{away}BEGIN;\nALTER DATABASE {live} RENAME TO {old};\nALTER DATABASE {new} RENAME TO {live};\nCOMMIT;\n",
        away = send_away(BTreeSet::from([names.live.as_str(), names.new.as_str()])),
        live = identifier(&names.live),
        old = identifier(&names.old),
        new = identifier(&names.new),
    )
}

fn renames_back(names: &Beside) -> String {
    format!(
        "SELECT EXISTS (SELECT FROM pg_database WHERE datname = {old_text}) AS aside, \
         EXISTS (SELECT FROM pg_database WHERE datname = {live_text}) AS there \\gset\n\
         \\if :aside\n{away}DROP DATABASE IF EXISTS {new} WITH (FORCE);\nBEGIN;\n\
         \\if :there\nALTER DATABASE {live} RENAME TO {new};\n\\endif\n\
         ALTER DATABASE {old} RENAME TO {live};\nCOMMIT;\n\\endif\n\
         DROP DATABASE IF EXISTS {new} WITH (FORCE);\n",
        away = send_away(BTreeSet::from([names.live.as_str(), names.old.as_str()])),
        old_text = postgres_literal(&names.old),
        live_text = postgres_literal(&names.live),
        live = identifier(&names.live),
        old = identifier(&names.old),
        new = identifier(&names.new),
    )
}
