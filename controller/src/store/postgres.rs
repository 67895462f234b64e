//! Opening a PostgreSQL database.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgSslMode};
use sqlx::{ConnectOptions as _, Connection as _};
use url::Url;

use super::connection::{Pool, Writer};
use super::query::query_scalar;
use super::{Store, StoreError};

/// How long a connection may take to come about.
const PATIENCE: Duration = Duration::from_secs(10);

/// What every session asks of the server. A controller that stands still while it writes, or whose machine is gone, is sent away
/// before the others, who wait for its lock, give up.
const SESSION: [(&str, &str); 2] = [
    ("idle_in_transaction_session_timeout", "10s"),
    ("lock_timeout", "20s"),
];

/// What an address may say behind its question mark.
const OPTIONS: [&str; 6] = [
    "host",
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "application_name",
];

/// Where a PostgreSQL database is, and how to get in. Shown without the password.
#[derive(Clone)]
pub struct PostgresAddress {
    options: PgConnectOptions,
    shown: String,
}

impl PostgresAddress {
    /// Reads `postgres://user@host/database?sslmode=…`. The password is given apart, or lies in `PGPASSWORD` or in a file of
    /// PostgreSQL's own (`PGPASSFILE`, `~/.pgpass`). What is neither a socket nor this machine is reached by TLS with a
    /// certificate that is looked at, unless the address says otherwise.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] says what is wrong with the address; it never repeats a password that was written into it.
    pub fn new(address: &str, password: Option<&str>) -> Result<Self, StoreError> {
        let wrong =
            |reason: String| StoreError::Unusable(format!("the address in the settings is wrong: {reason}"));
        let url = Url::parse(address).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "postgres" | "postgresql") {
            return Err(wrong("it must begin with postgres://".to_owned()));
        }
        if url.password().is_some() {
            return Err(wrong(
                "a password does not belong into it; put it into a file and name that as database_password_file".to_owned(),
            ));
        }
        if let Some((option, _)) = url
            .query_pairs()
            .find(|(key, _)| !OPTIONS.contains(&key.as_ref()))
        {
            let known = OPTIONS.join(", ");
            return Err(wrong(format!("{option} is none of its options: {known}")));
        }
        if url.path().trim_matches('/').is_empty() {
            return Err(wrong(
                "it names no database, as in postgres://allmende@db.example.org/allmende".to_owned(),
            ));
        }
        let mut options = PgConnectOptions::from_str(address).map_err(|error| wrong(error.to_string()))?;
        if !url.query_pairs().any(|(key, _)| key == "sslmode") && !stays_here(&options) {
            options = options.ssl_mode(PgSslMode::VerifyFull);
        }
        if !url.query_pairs().any(|(key, _)| key == "application_name") {
            options = options.application_name("allmende");
        }
        if let Some(password) = password {
            options = options.password(password);
        }
        Ok(Self {
            options: options.options(SESSION).disable_statement_logging(),
            shown: address.to_owned(),
        })
    }

    /// Whether the other side has to prove by a certificate that it is who it should be.
    #[cfg(test)]
    pub(super) fn demands_proof(&self) -> bool {
        matches!(self.options.get_ssl_mode(), PgSslMode::VerifyFull)
    }
}

/// Whether nothing that is said on the way to the database leaves this machine.
fn stays_here(options: &PgConnectOptions) -> bool {
    let host = options.get_host().trim_matches(['[', ']']);
    options.get_socket().is_some()
        || host.starts_with('/')
        || host == "localhost"
        || host.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Display for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl fmt::Debug for PostgresAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresAddress({self})")
    }
}

impl Store {
    /// Opens a PostgreSQL database and brings it up to date. The database and its user must be there.
    ///
    /// # Errors
    /// Says what stands in the way: not reached, not let in, not ours, newer than this program.
    pub async fn connect(address: &PostgresAddress) -> Result<Self, StoreError> {
        let store = Self::connect_as_it_is(address).await?;
        store.migrate().await?;
        Ok(store)
    }

    /// The same, without bringing it up to date: for [`Store::fill`].
    ///
    /// # Errors
    /// As [`Store::connect`].
    pub async fn connect_as_it_is(address: &PostgresAddress) -> Result<Self, StoreError> {
        let PostgresAddress { options, shown } = address;
        // A pool would try until its time is over, and then not say why it failed.
        let probe = tokio::time::timeout(PATIENCE, sqlx::PgConnection::connect_with(options))
            .await
            .map_err(|_| StoreError::Unreachable(format!("no answer within {} seconds", PATIENCE.as_secs())))
            .and_then(|connected| connected.map_err(StoreError::from))
            .map_err(|error| error.at(shown))?;
        let pool = PgPoolOptions::new().acquire_timeout(PATIENCE);
        let write = pool.clone().max_connections(1).connect_lazy_with(options.clone());
        let read = pool
            .max_connections(4)
            .connect_lazy_with(options.clone().options([("default_transaction_read_only", "on")]));
        let store = Self {
            write: Writer(Pool::Postgres(write)),
            read: Pool::Postgres(read),
            place: shown.clone(),
            seal: Arc::new(OnceLock::new()),
        };
        // Closed already, if this fails: its socket goes away with it.
        let _ = probe.close().await;
        store.check_encoding().await.map_err(|error| error.at(shown))?;
        Ok(store)
    }

    /// Names and texts of all the world must fit in.
    async fn check_encoding(&self) -> Result<(), StoreError> {
        let encoding: String = query_scalar("SELECT current_setting('server_encoding')")
            .fetch_one(&self.read)
            .await?;
        if encoding == "UTF8" {
            return Ok(());
        }
        Err(StoreError::Unusable(format!(
            "its encoding is {encoding}; make one with: createdb --encoding=UTF8 --template=template0"
        )))
    }
}
