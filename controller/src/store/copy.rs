//! All rows as plain values: out of one database, and into an empty one, which may be of the other kind.
//!
//! Which tables and columns there are, the databases say themselves: a new table needs nothing here.

use std::collections::BTreeMap;

use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use sqlx::{ColumnIndex, Decode, Row, Type};

use super::connection::{Connection, Line, Pool, Transaction};
use super::migrations::{POSTGRES, SQLITE, applied, run_to};
use super::query::{Value, built, query, query_scalar};
use super::{Store, StoreError};

/// A value of a row, as both databases keep it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Cell {
    /// There is none.
    Null,
    /// A whole number.
    Integer(i64),
    /// A text.
    Text(String),
    /// A number with a fraction, in digits of which none is lost.
    Real {
        /// The digits.
        real: String,
    },
    /// Bytes, as numbers.
    Bytes {
        /// The bytes.
        bytes: Vec<u8>,
    },
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What it is called.
    pub table: String,
    /// What its columns are called, in the order of a row's values.
    pub columns: Vec<String>,
    /// The highest id that it ever gave; none where it gives none.
    pub last_id: Option<i64>,
}

/// What a column holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Integer,
    Real,
    Text,
    Bytes,
}

/// A database as it was at one moment, however long it is looked at.
pub struct Snapshot {
    transaction: Transaction,
}

/// An empty database that is being filled. Without [`Filling::finish`] it stays empty.
pub struct Filling {
    transaction: Transaction,
    migrator: &'static sqlx::migrate::Migrator,
}

/// A table that is being filled.
pub struct FillingTable {
    insert: String,
    kinds: Vec<Kind>,
}

impl Store {
    /// Looks at everything as it is now. Others may write meanwhile.
    ///
    /// # Errors
    /// What the database says.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot {
            transaction: self.read.snapshot().await?,
        })
    }

    /// The number of the newest migration that this program knows.
    pub fn newest_migration() -> i64 {
        SQLITE
            .iter()
            .map(|migration| migration.version)
            .max()
            .unwrap_or(0)
    }

    /// Begins to fill an empty database with the tables of this migration.
    ///
    /// # Errors
    /// What the database says.
    pub async fn fill(&self, migration: i64) -> Result<Filling, StoreError> {
        let mut transaction = self.begin().await?;
        if !applied(&mut transaction).await?.is_empty() {
            return Err(StoreError::NotEmpty(self.place.clone()));
        }
        let migrator = match self.read {
            Pool::Sqlite(_) => &SQLITE,
            Pool::Postgres(_) => &POSTGRES,
        };
        run_to(migrator, &mut transaction, Some(migration)).await?;
        Ok(Filling {
            transaction,
            migrator,
        })
    }
}

impl Snapshot {
    /// The number of its newest migration.
    ///
    /// # Errors
    /// What the database says.
    pub async fn migration(&mut self) -> Result<i64, StoreError> {
        let applied = applied(&mut self.transaction).await?;
        Ok(applied.into_keys().max().unwrap_or(0))
    }

    /// All tables, each after those that it refers to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn tables(&mut self) -> Result<Vec<Table>, StoreError> {
        let mut tables = Vec::new();
        for name in in_order(references(&mut self.transaction).await?) {
            let columns = columns(&mut self.transaction, &name).await?;
            tables.push(Table {
                last_id: last_id(&mut self.transaction, &name).await?,
                columns: columns.into_keys().collect(),
                table: name,
            });
        }
        Ok(tables)
    }

    /// Hands over each row of a table, its values in the order of the columns.
    ///
    /// # Errors
    /// What the database says, and what `each` says, after which nothing more is read.
    pub async fn rows<E: From<StoreError>>(
        &mut self,
        table: &Table,
        mut each: impl FnMut(Vec<Cell>) -> Result<(), E>,
    ) -> Result<(), E> {
        let kinds = columns(&mut self.transaction, &table.table).await?;
        let kinds: Vec<Kind> = kinds.into_values().collect();
        let select = format!("SELECT {} FROM {}", listed(&table.columns), quoted(&table.table));
        let select = built(select);
        let failed = |error: sqlx::Error| E::from(StoreError::from(error));
        match self.transaction.line() {
            Line::Sqlite(line) => {
                let mut rows = sqlx::query(select).fetch(line);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    each(cells(&row, &kinds).map_err(failed)?)?;
                }
            }
            Line::Postgres(line) => {
                let mut rows = sqlx::query(select).fetch(line);
                while let Some(row) = rows.try_next().await.map_err(failed)? {
                    each(cells(&row, &kinds).map_err(failed)?)?;
                }
            }
        }
        Ok(())
    }
}

impl Filling {
    /// Begins a table.
    ///
    /// # Errors
    /// When this migration has no such table or column, or what the database says.
    pub async fn table(&mut self, table: &Table) -> Result<FillingTable, StoreError> {
        let there = columns(&mut self.transaction, &table.table).await?;
        let kind = |column: &String| {
            let unknown = || StoreError::damaged(&table.table, format!("there is no column {column}"));
            there.get(column).copied().ok_or_else(unknown)
        };
        let kinds = table.columns.iter().map(kind).collect::<Result<_, _>>()?;
        let places: Vec<String> = (1..=table.columns.len())
            .map(|place| format!("${place}"))
            .collect();
        Ok(FillingTable {
            insert: format!(
                "INSERT INTO {} ({}) VALUES ({})",
                quoted(&table.table),
                listed(&table.columns),
                places.join(", ")
            ),
            kinds,
        })
    }

    /// Puts a row into a table.
    ///
    /// # Errors
    /// When a value is not of its column's kind, or what the database says.
    pub async fn row(&mut self, table: &FillingTable, cells: Vec<Cell>) -> Result<(), StoreError> {
        if cells.len() != table.kinds.len() {
            return Err(StoreError::damaged("a row", "it has another number of values"));
        }
        let mut insert = super::query::query_built(table.insert.clone());
        for (cell, kind) in cells.into_iter().zip(&table.kinds) {
            insert = insert.bind(value(cell, *kind)?);
        }
        insert.execute(&mut *self.transaction).await?;
        Ok(())
    }

    /// Lets a table go on counting its ids where the other one had come to.
    ///
    /// # Errors
    /// What the database says.
    pub async fn count_on(&mut self, table: &Table) -> Result<(), StoreError> {
        let Some(last_id) = table.last_id else {
            return Ok(());
        };
        match self.transaction.line() {
            Line::Sqlite(_) => {
                query("DELETE FROM sqlite_sequence WHERE name = $1")
                    .bind(&table.table)
                    .execute(&mut *self.transaction)
                    .await?;
                query("INSERT INTO sqlite_sequence (name, seq) VALUES ($1, $2)")
                    .bind(&table.table)
                    .bind(last_id)
                    .execute(&mut *self.transaction)
                    .await?;
            }
            Line::Postgres(_) => {
                let _: Vec<i64> = query_scalar("SELECT setval(pg_get_serial_sequence($1, 'id'), $2)")
                    .bind(&table.table)
                    .bind(last_id)
                    .fetch_all(&mut *self.transaction)
                    .await?;
            }
        }
        Ok(())
    }

    /// Brings the tables up to date, and makes all of it so.
    ///
    /// # Errors
    /// What the database says; it is empty then.
    pub async fn finish(mut self) -> Result<(), StoreError> {
        run_to(self.migrator, &mut self.transaction, None).await?;
        Ok(self.transaction.commit().await?)
    }
}

/// All tables, each with those that it refers to.
async fn references(connection: &mut Connection) -> Result<BTreeMap<String, Vec<String>>, StoreError> {
    let (tables, referred) = match connection.line() {
        Line::Sqlite(_) => (
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite~_%' ESCAPE '~'",
            "SELECT \"table\" FROM pragma_foreign_key_list($1)",
        ),
        Line::Postgres(_) => (
            "SELECT CAST(table_name AS TEXT) FROM information_schema.tables
             WHERE table_schema = current_schema() AND table_type = 'BASE TABLE'",
            "SELECT CAST(other.relname AS TEXT) FROM pg_constraint k
             JOIN pg_class own ON own.oid = k.conrelid JOIN pg_class other ON other.oid = k.confrelid
             WHERE k.contype = 'f' AND own.relname = $1
               AND own.relnamespace = CAST(current_schema() AS regnamespace)",
        ),
    };
    let tables: Vec<String> = query_scalar(tables).fetch_all(&mut *connection).await?;
    let mut references = BTreeMap::new();
    for table in tables {
        // How far the database is, the one that is filled knows of itself.
        if table != "_sqlx_migrations" {
            let others = query_scalar(referred)
                .bind(&table)
                .fetch_all(&mut *connection)
                .await?;
            references.insert(table, others);
        }
    }
    Ok(references)
}

/// Each table after those that it refers to.
fn in_order(mut references: BTreeMap<String, Vec<String>>) -> Vec<String> {
    let mut ordered: Vec<String> = Vec::new();
    while !references.is_empty() {
        let ready: Vec<String> = references
            .iter()
            .filter(|(table, others)| {
                let waits = |other: &&String| other != table && references.contains_key(*other);
                !others.iter().any(|other| waits(&other))
            })
            .map(|(table, _)| table.clone())
            .collect();
        if ready.is_empty() {
            // Tables that refer to one another in a circle: the database will refuse what it must.
            ordered.extend(std::mem::take(&mut references).into_keys());
        }
        for table in ready {
            references.remove(&table);
            ordered.push(table);
        }
    }
    ordered
}

/// A table's columns by name; none where there is no such table.
async fn columns(connection: &mut Connection, table: &str) -> Result<BTreeMap<String, Kind>, StoreError> {
    let columns: Vec<(String, String)> = match connection.line() {
        Line::Sqlite(_) => query("SELECT name, type FROM pragma_table_info($1)"),
        Line::Postgres(_) => query(
            "SELECT CAST(column_name AS TEXT), CAST(data_type AS TEXT) FROM information_schema.columns
             WHERE table_schema = current_schema() AND table_name = $1",
        ),
    }
    .bind(table)
    .fetch_all(connection)
    .await?;
    columns
        .into_iter()
        .map(|(name, kind)| match kind.to_lowercase().as_str() {
            "integer" | "bigint" => Ok((name, Kind::Integer)),
            "real" | "double precision" => Ok((name, Kind::Real)),
            "text" => Ok((name, Kind::Text)),
            "blob" | "bytea" => Ok((name, Kind::Bytes)),
            other => Err(StoreError::damaged(
                table,
                format!("{name} is of the kind {other}"),
            )),
        })
        .collect()
}

/// The highest id that a table ever gave.
async fn last_id(connection: &mut Connection, table: &str) -> Result<Option<i64>, StoreError> {
    let last = match connection.line() {
        Line::Sqlite(_) => query_scalar("SELECT seq FROM sqlite_sequence WHERE name = $1"),
        Line::Postgres(_) => query_scalar(
            "SELECT last_value FROM pg_sequences
             WHERE schemaname = current_schema() AND sequencename = $1 || '_id_seq' AND last_value IS NOT NULL",
        ),
    };
    Ok(last.bind(table).fetch_optional(connection).await?)
}

/// A row's values.
fn cells<'r, R>(row: &'r R, kinds: &[Kind]) -> Result<Vec<Cell>, sqlx::Error>
where
    R: Row,
    usize: ColumnIndex<R>,
    i64: Decode<'r, R::Database> + Type<R::Database>,
    f64: Decode<'r, R::Database> + Type<R::Database>,
    String: Decode<'r, R::Database> + Type<R::Database>,
    Vec<u8>: Decode<'r, R::Database> + Type<R::Database>,
{
    let cell = |(place, kind): (usize, &Kind)| {
        Ok(match kind {
            Kind::Integer => row.try_get::<Option<i64>, _>(place)?.map(Cell::Integer),
            Kind::Text => row.try_get::<Option<String>, _>(place)?.map(Cell::Text),
            Kind::Real => row.try_get::<Option<f64>, _>(place)?.map(|real| Cell::Real {
                real: format!("{real:?}"),
            }),
            Kind::Bytes => row
                .try_get::<Option<Vec<u8>>, _>(place)?
                .map(|bytes| Cell::Bytes { bytes }),
        }
        .unwrap_or(Cell::Null))
    };
    kinds.iter().enumerate().map(cell).collect()
}

/// What a cell is in a column of this kind.
fn value(cell: Cell, kind: Kind) -> Result<Value, StoreError> {
    Ok(match (cell, kind) {
        (Cell::Null, Kind::Integer) => Value::Integer(None),
        (Cell::Null, Kind::Real) => Value::Real(None),
        (Cell::Null, Kind::Text) => Value::Text(None),
        (Cell::Integer(number), Kind::Integer) => Value::Integer(Some(number)),
        (Cell::Text(text), Kind::Text) => Value::Text(Some(text)),
        (Cell::Bytes { bytes }, Kind::Bytes) => Value::Bytes(bytes),
        (Cell::Real { real }, Kind::Real) => {
            let real = real.parse().map_err(|error| StoreError::damaged(&real, error))?;
            Value::Real(Some(real))
        }
        (cell, kind) => {
            return Err(StoreError::damaged(
                "a row",
                format!("{cell:?} stands in a column of the kind {kind:?}"),
            ));
        }
    })
}

fn listed(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quoted(column)).collect();
    columns.join(", ")
}

/// A name as both databases read it, whatever it is.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_table_comes_after_those_that_it_refers_to() {
        let references = [
            ("hosts", vec!["organisations"]),
            ("services", vec!["hosts", "organisations"]),
            ("organisations", vec![]),
            ("tree", vec!["tree"]),
        ];
        let references = references.map(|(table, others)| {
            let others = others.into_iter().map(str::to_owned).collect();
            (table.to_owned(), others)
        });
        assert_eq!(
            in_order(references.into()),
            ["organisations", "tree", "hosts", "services"]
        );
    }

    #[test]
    fn cells_come_back_from_json_as_they_were() {
        let cells = vec![
            Cell::Null,
            Cell::Integer(i64::MIN),
            Cell::Text("ü\n\"".to_owned()),
            Cell::Real {
                real: format!("{:?}", 0.1_f64 + 0.2),
            },
            Cell::Bytes { bytes: vec![0, 255] },
        ];
        let text = serde_json::to_string(&cells).expect("written");
        assert_eq!(
            text,
            r#"[null,-9223372036854775808,"ü\n\"",{"real":"0.30000000000000004"},{"bytes":[0,255]}]"#
        );
        assert_eq!(serde_json::from_str::<Vec<Cell>>(&text).expect("read"), cells);
    }
}
