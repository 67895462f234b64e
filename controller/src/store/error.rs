//! What can go wrong in the store, in sentences that say what to do.

use std::fmt::Display;

use sqlx::error::DatabaseError;
use sqlx::migrate::MigrateError;
use sqlx::postgres::PgDatabaseError;
use sqlx::sqlite::SqliteError;

use crate::model::JobId;

/// Why the store did not do it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// Nothing has this name.
    #[error("no {noun} {name:?}{hint}")]
    Unknown {
        /// `organisation`, `host`, `service`, `job`.
        noun: &'static str,
        /// What was looked for.
        name: String,
        /// "; did you mean web1?", or what else may help, or nothing.
        hint: String,
    },
    /// Several services have this name.
    #[error("there are several services {name:?}: say which one: {}", candidates.join(", "))]
    Ambiguous {
        /// What was looked for.
        name: String,
        /// Full names: `kita-sonne/cloud`.
        candidates: Vec<String>,
    },
    /// The name is taken.
    #[error("there is already {} {noun} {name}", article(noun))]
    Exists {
        /// `organisation`, `host`, `service`.
        noun: &'static str,
        /// The name.
        name: String,
    },
    /// Something else depends on it.
    #[error("{noun} {name} is still needed by {}: remove or move what depends on it first", by.join(", "))]
    InUse {
        /// `organisation`, `host`.
        noun: &'static str,
        /// The name.
        name: String,
        /// What depends on it: "host web1", "service kita-sonne/cloud".
        by: Vec<String>,
    },
    /// The job belongs to somebody else by now, or has ended.
    #[error("job {0} is no longer held by this process: another one found its lease run out")]
    LeaseLost(JobId),
    /// The audit log has no key yet.
    #[error("the audit log cannot be written before the vault is open")]
    NoSeal,
    /// The database is from a newer Allmende.
    #[error(
        "{place} was written by a newer version of Allmende (it has migration {migration}): use that version"
    )]
    Newer {
        /// The database.
        place: String,
        /// The first migration that this version does not know.
        migration: i64,
    },
    /// It should be empty and is not.
    #[error("there are data in the database {0} already: only an empty one can be filled")]
    NotEmpty(String),
    /// It cannot be opened.
    #[error("cannot open the database {place}: {reason}")]
    Open {
        /// The database, its directory, or its address.
        place: String,
        /// What came back and what to do.
        reason: String,
    },
    /// It cannot be used because of the world around it.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// Another process keeps the database busy.
    #[error("the database is busy: another Allmende has been writing for too long; try again")]
    Locked,
    /// PostgreSQL does not answer, or no longer.
    #[error("there is no connection to the database: {0}; does PostgreSQL run, and is it reached from here?")]
    Unreachable(String),
    /// What is stored is not what can be stored.
    #[error("the database holds something unreadable: {what}: {reason}; restore it from a copy")]
    Damaged {
        /// Which row or field.
        what: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value cannot be written as JSON.
    #[error("a value cannot be stored: {0}")]
    Unstorable(#[source] serde_json::Error),
    /// Anything else the database says.
    #[error("the database refused: {0}")]
    Database(#[source] sqlx::Error),
}

impl StoreError {
    pub(super) fn damaged(what: &str, reason: impl Display) -> Self {
        Self::Damaged {
            what: what.to_owned(),
            reason: reason.to_string(),
        }
    }

    /// What a query's error means where a name must be new.
    pub(super) fn taken(error: sqlx::Error, noun: &'static str, name: &dyn Display) -> Self {
        match error {
            sqlx::Error::Database(error) if error.is_unique_violation() => Self::Exists {
                noun,
                name: name.to_string(),
            },
            error => error.into(),
        }
    }

    /// Nothing has this name; says what comes near.
    pub(super) fn unknown(noun: &'static str, name: impl Display, existing: &[String]) -> Self {
        let name = name.to_string();
        Self::Unknown {
            noun,
            hint: hint(&name, existing),
            name,
        }
    }

    /// Names the database in an error that came while opening it.
    pub(super) fn at(self, place: &str) -> Self {
        let reason = match self {
            Self::Unusable(reason) => reason,
            Self::Damaged { reason, .. } => reason,
            error @ (Self::Locked | Self::Unreachable(_)) => error.to_string(),
            Self::Database(error) => error.to_string(),
            other => return other,
        };
        Self::Open {
            place: place.to_owned(),
            reason,
        }
    }
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let known = match &error {
            sqlx::Error::Database(answer) => answered(answer.as_ref()),
            sqlx::Error::ColumnDecode { index, source } => Some(Self::damaged(index, source)),
            sqlx::Error::Io(reason) => Some(Self::Unreachable(reason.to_string())),
            sqlx::Error::Configuration(reason) => Some(Self::Unusable(reason.to_string())),
            sqlx::Error::Tls(reason) => Some(Self::Unreachable(format!("TLS: {reason}"))),
            sqlx::Error::Protocol(reason) => Some(Self::Unreachable(reason.clone())),
            sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
                Some(Self::Unreachable("none became free in time".to_owned()))
            }
            _ => None,
        };
        known.unwrap_or(Self::Database(error))
    }
}

/// What a database's answer means, if it is one of those that a person can do something about.
fn answered(answer: &dyn DatabaseError) -> Option<StoreError> {
    if let Some(answer) = answer.try_downcast_ref::<PgDatabaseError>() {
        return postgres_answered(answer);
    }
    let answer = answer.try_downcast_ref::<SqliteError>()?;
    sqlite_answered(answer)
}

/// The primary result codes of SQLite: https://www.sqlite.org/rescode.html
fn sqlite_answered(answer: &SqliteError) -> Option<StoreError> {
    let code: u32 = answer.code()?.parse().ok()?;
    let unusable = |reason: &str| StoreError::Unusable(reason.to_owned());
    Some(match code & 0xff {
        5 | 6 => StoreError::Locked,
        3 | 23 => unusable("its file may not be written by this user"),
        8 => unusable("its file or directory is read-only"),
        13 => unusable("the disk is full"),
        10 => unusable(&format!("the disk does not read or write: {answer}")),
        14 => unusable("its file cannot be opened; may this user write the directory?"),
        11 => StoreError::damaged("the file", "it is corrupt"),
        26 => StoreError::damaged("the file", "it is not an SQLite database, or it is corrupt"),
        _ => return None,
    })
}

/// The codes of PostgreSQL: https://www.postgresql.org/docs/current/errcodes-appendix.html
fn postgres_answered(answer: &PgDatabaseError) -> Option<StoreError> {
    let said = answer.message();
    let unusable = |advice: &str| StoreError::Unusable(format!("PostgreSQL says: {said}; {advice}"));
    Some(match answer.code() {
        "55P03" | "40001" | "40P01" => StoreError::Locked,
        "28000" | "28P01" => unusable("see docs/two-controllers.md for users and passwords"),
        "3D000" => unusable("make it with: createdb"),
        "42501" => unusable("the database should belong to the user that Allmende comes as"),
        "25006" => unusable("this is a copy that only reads; give the address of the one that writes"),
        "53100" => unusable("its disk is full"),
        "53300" => unusable("raise max_connections; each controller needs five"),
        // Shut down, starting up, ended by an administrator, and a transaction that stood still.
        "57P01" | "57P02" | "57P03" | "57P05" | "25P03" => StoreError::Unreachable(said.to_owned()),
        code if code.starts_with("08") => StoreError::Unreachable(said.to_owned()),
        code if code.starts_with("XX") => StoreError::damaged("the database", said),
        _ => return None,
    })
}

impl From<MigrateError> for StoreError {
    fn from(error: MigrateError) -> Self {
        match error {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => error.into(),
            other => Self::damaged("the table of migrations", other),
        }
    }
}

/// What to add to "no host x".
fn hint(name: &str, existing: &[String]) -> String {
    let short = |full: &str| {
        full.rsplit_once('/')
            .map_or(full.to_owned(), |(_, short)| short.to_owned())
    };
    let mut near: Vec<(usize, &String)> = existing
        .iter()
        .map(|candidate| {
            let whole = distance(name, candidate);
            let part = if name.contains('/') {
                whole
            } else {
                distance(name, &short(candidate))
            };
            (whole.min(part), candidate)
        })
        .filter(|(distance, candidate)| {
            *distance <= (name.chars().count() / 3).clamp(1, 3)
                || (name.len() > 2 && candidate.starts_with(name))
        })
        .collect();
    near.sort();
    let list = |names: Vec<&str>| names.join(" or ");
    match (near.is_empty(), existing.len()) {
        (false, _) => format!(
            "; did you mean {}?",
            list(near.iter().take(3).map(|(_, name)| name.as_str()).collect())
        ),
        (true, 1..=6) => format!("; there is {}", existing.join(", ")),
        (true, 0) => "; there is none yet".to_owned(),
        _ => String::new(),
    }
}

/// How many letters must be put in, left out, replaced or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = if i == 0 || j == 0 {
                i + j
            } else {
                let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                let best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    best.min(rows[i - 2][j - 2] + 1)
                } else {
                    best
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_names_are_offered() {
        let hosts = ["web1", "web2", "mail", "backup-nord"].map(str::to_owned);
        for (name, expected) in [
            ("wbe1", "no host \"wbe1\"; did you mean web1?"),
            ("web", "no host \"web\"; did you mean web1 or web2?"),
            ("back", "no host \"back\"; did you mean backup-nord?"),
            (
                "printer",
                "no host \"printer\"; there is web1, web2, mail, backup-nord",
            ),
        ] {
            assert_eq!(StoreError::unknown("host", name, &hosts).to_string(), expected);
        }
        let services = ["kita-sonne/cloud".to_owned()];
        assert_eq!(
            StoreError::unknown("service", "clod", &services).to_string(),
            "no service \"clod\"; did you mean kita-sonne/cloud?"
        );
        assert_eq!(
            StoreError::unknown("host", "x", &[]).to_string(),
            "no host \"x\"; there is none yet"
        );
    }
}
