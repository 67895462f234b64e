//! Queries that run on SQLite and on PostgreSQL: one text, its values in `$1`, `$2` …, rows read into plain types.
//!
//! What both understand is enough: integers of 64 bits, floating point numbers, text and bytes. Booleans are kept as 0 and 1,
//! times as milliseconds.

use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Error, FromRow, SqlSafeStr as _, SqlStr};

use super::connection::{Connection, Line, Pool, Writer};

/// What a row can be read into: tuples, and structs that derive `sqlx::FromRow`.
pub(super) trait Record:
    for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin
{
}

impl<T> Record for T where T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow> + Send + Unpin {}

/// A value for a query. Even a missing one has a type: PostgreSQL wants to know.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Integer(Option<i64>),
    Real(Option<f64>),
    Text(Option<String>),
    Bytes(Vec<u8>),
}

/// Where a query runs.
pub(super) enum Place<'a> {
    /// On a connection for reading; it sees what was committed.
    Reading(&'a Pool),
    /// On the connection for writing, in a transaction of its own.
    Writing(&'a Writer),
    /// On this connection, and within its transaction if it has one.
    Here(&'a mut Connection),
}

/// A query, before it is run.
#[must_use = "a query does nothing before it is run"]
pub(super) struct Query {
    sql: SqlStr,
    values: Vec<Value>,
}

/// A query of which whole rows are wanted, or only what it changes.
pub(super) fn query(sql: &'static str) -> Query {
    Query {
        sql: sql.into_sql_str(),
        values: Vec::new(),
    }
}

/// The same, put together from names of tables and columns that the database itself gave; never from anything else.
pub(super) fn query_built(sql: String) -> Query {
    Query {
        sql: built(sql),
        values: Vec::new(),
    }
}

/// The text of such a query.
pub(super) fn built(sql: String) -> SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}

/// A query of which only the first column is wanted.
pub(super) fn query_scalar(sql: &'static str) -> ScalarQuery {
    ScalarQuery(query(sql))
}

impl Query {
    /// The value of the next `$`.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Runs it; how many rows it changed.
    pub(super) async fn execute(self, place: impl Into<Place<'_>>) -> Result<u64, Error> {
        match place.into() {
            Place::Reading(pool) => self.execute_here(&mut pool.acquire().await?).await,
            Place::Writing(writer) => {
                let mut statement = writer.statement().await?;
                let changed = self.execute_here(&mut statement).await?;
                statement.commit().await?;
                Ok(changed)
            }
            Place::Here(connection) => self.execute_here(connection).await,
        }
    }

    /// Runs it; all rows.
    pub(super) async fn fetch_all<T: Record>(self, place: impl Into<Place<'_>>) -> Result<Vec<T>, Error> {
        match place.into() {
            Place::Reading(pool) => self.fetch_here(&mut pool.acquire().await?).await,
            Place::Writing(writer) => {
                let mut statement = writer.statement().await?;
                let rows = self.fetch_here(&mut statement).await?;
                statement.commit().await?;
                Ok(rows)
            }
            Place::Here(connection) => self.fetch_here(connection).await,
        }
    }

    /// Runs it; the first row, if there is any.
    pub(super) async fn fetch_optional<T: Record>(
        self,
        place: impl Into<Place<'_>>,
    ) -> Result<Option<T>, Error> {
        Ok(self.fetch_all(place).await?.into_iter().next())
    }

    /// Runs it; the first row.
    ///
    /// # Errors
    /// [`Error::RowNotFound`] when there is none.
    pub(super) async fn fetch_one<T: Record>(self, place: impl Into<Place<'_>>) -> Result<T, Error> {
        self.fetch_optional(place).await?.ok_or(Error::RowNotFound)
    }

    async fn execute_here(self, connection: &mut Connection) -> Result<u64, Error> {
        match connection.line() {
            Line::Sqlite(line) => {
                let values = sqlite_arguments(self.values)?;
                let done = sqlx::query_with(self.sql, values).execute(line).await?;
                Ok(done.rows_affected())
            }
            Line::Postgres(line) => {
                let values = postgres_arguments(self.values)?;
                let done = sqlx::query_with(self.sql, values).execute(line).await?;
                Ok(done.rows_affected())
            }
        }
    }

    async fn fetch_here<T: Record>(self, connection: &mut Connection) -> Result<Vec<T>, Error> {
        match connection.line() {
            Line::Sqlite(line) => {
                let values = sqlite_arguments(self.values)?;
                sqlx::query_as_with(self.sql, values).fetch_all(line).await
            }
            Line::Postgres(line) => {
                let values = postgres_arguments(self.values)?;
                sqlx::query_as_with(self.sql, values).fetch_all(line).await
            }
        }
    }
}

/// A query of which only the first column is wanted; see [`query_scalar`].
#[must_use = "a query does nothing before it is run"]
pub(super) struct ScalarQuery(Query);

impl ScalarQuery {
    /// The value of the next `$`.
    pub(super) fn bind(self, value: impl Into<Value>) -> Self {
        Self(self.0.bind(value))
    }

    /// As [`Query::fetch_all`].
    pub(super) async fn fetch_all<T>(self, place: impl Into<Place<'_>>) -> Result<Vec<T>, Error>
    where
        (T,): Record,
    {
        let rows: Vec<(T,)> = self.0.fetch_all(place).await?;
        Ok(rows.into_iter().map(|(value,)| value).collect())
    }

    /// As [`Query::fetch_optional`].
    pub(super) async fn fetch_optional<T>(self, place: impl Into<Place<'_>>) -> Result<Option<T>, Error>
    where
        (T,): Record,
    {
        let row: Option<(T,)> = self.0.fetch_optional(place).await?;
        Ok(row.map(|(value,)| value))
    }

    /// As [`Query::fetch_one`].
    pub(super) async fn fetch_one<T>(self, place: impl Into<Place<'_>>) -> Result<T, Error>
    where
        (T,): Record,
    {
        let row: (T,) = self.0.fetch_one(place).await?;
        Ok(row.0)
    }
}

fn sqlite_arguments(values: Vec<Value>) -> Result<SqliteArguments, Error> {
    let mut arguments = SqliteArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

fn postgres_arguments(values: Vec<Value>) -> Result<PgArguments, Error> {
    let mut arguments = PgArguments::default();
    for value in values {
        match value {
            Value::Integer(value) => arguments.add(value),
            Value::Real(value) => arguments.add(value),
            Value::Text(value) => arguments.add(value),
            Value::Bytes(value) => arguments.add(value),
        }
        .map_err(Error::Encode)?;
    }
    Ok(arguments)
}

/// Text as both databases can keep it: PostgreSQL has no zero byte in texts, and hosts may say anything.
pub(super) fn storable(text: &str) -> String {
    text.replace('\0', "\u{fffd}")
}

macro_rules! values {
    ($($from:ty => |$value:ident| $into:expr),+ $(,)?) => {
        $(impl From<$from> for Value {
            fn from($value: $from) -> Self {
                $into
            }
        })+
    };
}

values! {
    i64 => |value| Self::Integer(Some(value)),
    &i64 => |value| Self::Integer(Some(*value)),
    u32 => |value| Self::Integer(Some(value.into())),
    u16 => |value| Self::Integer(Some(value.into())),
    Option<i64> => |value| Self::Integer(value),
    Option<u32> => |value| Self::Integer(value.map(i64::from)),
    Option<f64> => |value| Self::Real(value),
    &str => |value| Self::Text(Some(storable(value))),
    &String => |value| Self::Text(Some(storable(value))),
    String => |value| Self::Text(Some(storable(&value))),
    Option<&str> => |value| Self::Text(value.map(storable)),
    Option<String> => |value| Self::Text(value.as_deref().map(storable)),
    &Option<String> => |value| Self::Text(value.as_deref().map(storable)),
    &[u8] => |value| Self::Bytes(value.to_owned()),
    Vec<u8> => |value| Self::Bytes(value),
}

impl<'a> From<&'a Pool> for Place<'a> {
    fn from(pool: &'a Pool) -> Self {
        Self::Reading(pool)
    }
}

impl<'a> From<&'a Writer> for Place<'a> {
    fn from(writer: &'a Writer) -> Self {
        Self::Writing(writer)
    }
}

impl<'a> From<&'a mut Connection> for Place<'a> {
    fn from(connection: &'a mut Connection) -> Self {
        Self::Here(connection)
    }
}
