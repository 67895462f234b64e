//! Connections and transactions of either database.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Error, PgConnection, PgPool, Postgres, Sqlite, SqliteConnection, SqlitePool};

/// Whoever writes holds this lock of the PostgreSQL database until its transaction ends: "allmende" in ASCII.
const WRITING: i64 = 0x616c_6c6d_656e_6465;

/// Connections that are used in turn.
#[derive(Clone)]
pub(super) enum Pool {
    Sqlite(SqlitePool),
    Postgres(PgPool),
}

/// The one connection of this process that writes.
///
/// Writing transactions come one after another, with all that they read: within a process they wait for the connection, which is
/// fairer than what either database does, and between processes for the database. SQLite does that by itself. On PostgreSQL it is
/// a lock that each takes before it reads anything; at the size of this database that costs nothing, and nobody ever has
/// to think about what two controllers might do to one another between reading and writing.
#[derive(Clone)]
pub(super) struct Writer(pub(super) Pool);

/// A connection, perhaps within a transaction.
pub(super) enum Connection {
    Sqlite(PoolConnection<Sqlite>),
    Postgres(PoolConnection<Postgres>),
    SqliteTransaction(sqlx::Transaction<'static, Sqlite>),
    PostgresTransaction(sqlx::Transaction<'static, Postgres>),
}

/// A transaction; without [`Transaction::commit`] nothing of it happened.
pub(super) struct Transaction(Connection);

/// What queries are sent through.
pub(super) enum Line<'c> {
    Sqlite(&'c mut SqliteConnection),
    Postgres(&'c mut PgConnection),
}

impl Pool {
    pub(super) async fn acquire(&self) -> Result<Connection, Error> {
        Ok(match self {
            Self::Sqlite(pool) => Connection::Sqlite(pool.acquire().await?),
            Self::Postgres(pool) => Connection::Postgres(pool.acquire().await?),
        })
    }

    /// A transaction that only reads, and sees everything as it was at one moment.
    pub(super) async fn snapshot(&self) -> Result<Transaction, Error> {
        Ok(Transaction(match self {
            Self::Sqlite(pool) => Connection::SqliteTransaction(pool.begin().await?),
            Self::Postgres(pool) => Connection::PostgresTransaction(
                pool.begin_with("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                    .await?,
            ),
        }))
    }

    #[cfg(test)]
    pub(super) async fn close(&self) {
        match self {
            Self::Sqlite(pool) => pool.close().await,
            Self::Postgres(pool) => pool.close().await,
        }
    }
}

impl Writer {
    /// A transaction that may read first and write afterwards: nobody else writes until it ends.
    pub(super) async fn begin(&self) -> Result<Transaction, Error> {
        match &self.0 {
            Pool::Sqlite(pool) => {
                let transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                Ok(Transaction(Connection::SqliteTransaction(transaction)))
            }
            Pool::Postgres(pool) => {
                // Each statement sees what was committed before it: all of it, once the lock is ours.
                let mut transaction = pool
                    .begin_with("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
                    .await?;
                sqlx::query("SELECT pg_advisory_xact_lock($1)")
                    .bind(WRITING)
                    .execute(&mut *transaction)
                    .await?;
                Ok(Transaction(Connection::PostgresTransaction(transaction)))
            }
        }
    }

    /// For a single statement, which SQLite makes a transaction by itself.
    pub(super) async fn statement(&self) -> Result<Transaction, Error> {
        match &self.0 {
            Pool::Sqlite(pool) => Ok(Transaction(Connection::Sqlite(pool.acquire().await?))),
            Pool::Postgres(_) => self.begin().await,
        }
    }
}

impl Connection {
    pub(super) fn line(&mut self) -> Line<'_> {
        match self {
            Self::Sqlite(connection) => Line::Sqlite(connection),
            Self::SqliteTransaction(transaction) => Line::Sqlite(transaction),
            Self::Postgres(connection) => Line::Postgres(connection),
            Self::PostgresTransaction(transaction) => Line::Postgres(transaction),
        }
    }
}

impl Transaction {
    /// Makes what was written so.
    pub(super) async fn commit(self) -> Result<(), Error> {
        match self.0 {
            Connection::SqliteTransaction(transaction) => transaction.commit().await,
            Connection::PostgresTransaction(transaction) => transaction.commit().await,
            // A single statement was committed when it was done.
            Connection::Sqlite(_) | Connection::Postgres(_) => Ok(()),
        }
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}
