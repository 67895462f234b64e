//! Connections and transactions of either database.

use std::ops::{Deref, DerefMut};

use jiff::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::{Error, PgConnection, PgPool, Postgres, Row as _, Sqlite, SqliteConnection, SqlitePool};

use super::now;

/// Whoever writes holds this lock of the PostgreSQL database until its transaction ends: "allmende" in ASCII.
const WRITING: i64 = 0x616c_6c6d_656e_6465;

/// Takes the lock, and looks at the server's clock.
const TAKE_LOCK: &str = "SELECT pg_advisory_xact_lock($1) AS held,
    CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000 AS BIGINT) AS clock";

/// How far apart, in milliseconds, this machine's clock and the database's may be. Leases are promises about time: two
/// controllers whose clocks differ by less than twice this never think each other dead who are alive.
const CLOCK_DIFFERENCE: i64 = 4000;

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
                let before = now();
                let row = sqlx::query(TAKE_LOCK)
                    .bind(WRITING)
                    .fetch_one(&mut *transaction)
                    .await?;
                check_clock(before, row.try_get("clock")?, now())?;
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

/// Refuses to write by a clock that is wrong. It was read at some moment between `before` and `after`, all in unix milliseconds.
///
/// Without this, a controller whose clock is ahead would take work away from another that is still at it. One that cannot write
/// loses its leases, and the others take over.
fn check_clock(before: Timestamp, there: i64, after: Timestamp) -> Result<(), Error> {
    let ahead = before.as_millisecond() - there;
    let behind = there - after.as_millisecond();
    let difference = ahead.max(behind);
    if difference <= CLOCK_DIFFERENCE {
        return Ok(());
    }
    Err(Error::Configuration(Box::new(ClocksDiffer {
        seconds: difference / 1000,
    })))
}

/// This machine and the database's do not agree what time it is.
#[derive(Debug, thiserror::Error)]
#[error(
    "this machine's clock and the database's differ by {seconds} seconds; correct the wrong one, see: timedatectl"
)]
pub(super) struct ClocksDiffer {
    seconds: i64,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_may_differ_a_little_and_waiting_for_the_lock_is_no_difference() {
        let at = |millis| Timestamp::from_millisecond(millis).expect("a time");
        let said = |before, there, after| match check_clock(at(before), there, at(after)) {
            Ok(()) => String::new(),
            Err(error) => error.to_string(),
        };
        assert_eq!(said(100_000, 100_001, 100_002), "");
        assert_eq!(said(100_000, 96_500, 100_002), "");
        assert_eq!(said(100_000, 119_000, 120_000), "", "it was waited for the lock");
        assert!(said(100_000, 93_000, 100_002).contains("differ by 7 seconds"));
        assert!(said(100_000, 129_002, 120_000).contains("differ by 9 seconds"));
    }
}
