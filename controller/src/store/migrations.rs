//! Bringing a database up to date.
//!
//! Each database has a folder of migrations, and both folders have the same numbers. A database remembers which ones it has and
//! a checksum of each; it is used only if all of them are this program's.

use std::collections::BTreeMap;

use sqlx::migrate::Migrator;

use super::connection::{Connection, Line, Pool};
use super::query::{query, query_scalar};
use super::{Store, StoreError};

pub(super) static SQLITE: Migrator = sqlx::migrate!("migrations/sqlite");
pub(super) static POSTGRES: Migrator = sqlx::migrate!("migrations/postgres");

impl Store {
    /// Brings the database up to date.
    ///
    /// # Errors
    /// When it is newer than this program, or another's.
    pub(super) async fn migrate(&self) -> Result<(), StoreError> {
        self.try_migrate().await.map_err(|error| error.at(&self.place))
    }

    async fn try_migrate(&self) -> Result<(), StoreError> {
        let migrator = match self.read {
            Pool::Sqlite(_) => &SQLITE,
            Pool::Postgres(_) => &POSTGRES,
        };
        let mut connection = self.write.0.acquire().await?;
        let applied = applied(&mut connection).await?;
        drop(connection);
        if self.is_current(migrator, &applied)? {
            return Ok(());
        }
        // Two processes may come here at once: the second waits, and finds nothing left to do.
        let mut transaction = self.begin().await?;
        run_to(migrator, &mut transaction, None).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whether the database has all of the program's migrations, and no others.
    fn is_current(&self, migrator: &Migrator, applied: &BTreeMap<i64, Vec<u8>>) -> Result<bool, StoreError> {
        let known: BTreeMap<i64, &[u8]> = migrator
            .iter()
            .map(|migration| (migration.version, migration.checksum.as_ref()))
            .collect();
        let newest = known.keys().max().copied().unwrap_or_default();
        if let Some(migration) = applied.keys().find(|migration| **migration > newest) {
            return Err(StoreError::Newer {
                place: self.place.clone(),
                migration: *migration,
            });
        }
        for (migration, checksum) in applied {
            if known.get(migration) != Some(&checksum.as_slice()) {
                return Err(StoreError::Unusable(format!(
                    "its migration {migration} is not the one of this version of Allmende: use the version that made it"
                )));
            }
        }
        Ok(applied.len() == known.len())
    }
}

/// Brings a database up to a migration, or up to date, within a transaction.
pub(super) async fn run_to(
    migrator: &Migrator,
    connection: &mut Connection,
    migration: Option<i64>,
) -> Result<(), StoreError> {
    match connection.line() {
        Line::Sqlite(line) => migrator.run_direct(migration, line, false).await?,
        Line::Postgres(line) => migrator.run_direct(migration, line, false).await?,
    }
    Ok(())
}

/// The migrations that the database has, with their checksums; none in a new database.
pub(super) async fn applied(connection: &mut Connection) -> Result<BTreeMap<i64, Vec<u8>>, StoreError> {
    let tables: Vec<String> = match connection.line() {
        Line::Sqlite(_) => query_scalar("SELECT name FROM sqlite_master"),
        Line::Postgres(_) => query_scalar(
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema()",
        ),
    }
    .fetch_all(&mut *connection)
    .await?;
    if tables.iter().any(|table| table == "_sqlx_migrations") {
        let rows: Vec<(i64, Vec<u8>)> = query("SELECT version, checksum FROM _sqlx_migrations")
            .fetch_all(connection)
            .await?;
        return Ok(rows.into_iter().collect());
    }
    if tables.is_empty() {
        return Ok(BTreeMap::new());
    }
    Err(StoreError::Unusable("it belongs to another program".to_owned()))
}
