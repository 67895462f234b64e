//! The store's tests take a store, and run over every database that there is.

mod audit;
mod backups;
mod checks;
mod inventory;
mod jobs;
mod opening;
mod postgres;
mod queue;
mod schedules;
mod secrets;

use std::path::Path;

use allmende_agent::protocol::Facts;
use allmende_tests::{Cluster, Database};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::*;
use crate::model::{Host, HostKey, Name, Organisation, Sector, Service, ServiceRef};

/// Runs tests that take a store over every database.
macro_rules! over_every_database {
    ($($test:ident),+ $(,)?) => {
        mod sqlite {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let (_folder, store) = crate::store::tests::in_sqlite().await;
                    super::$test(store).await;
                }
            )+
        }

        mod postgres {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $test() {
                    let (_database, store) = crate::store::tests::in_postgres().await;
                    super::$test(store).await;
                }
            )+
        }
    };
}
pub(crate) use over_every_database;

/// A new database in a folder that goes away with the first value.
pub(crate) async fn in_sqlite() -> (TempDir, Store) {
    let folder = TempDir::new().expect("a folder");
    let store = Store::open(&folder.path().join(FILE_NAME)).await.expect("opens");
    store.set_seal(Box::new(TestSeal("key")));
    (folder, store)
}

/// A new database in PostgreSQL that goes away with the first value.
pub(crate) async fn in_postgres() -> (Database, Store) {
    // Copying one that is up to date is faster than making each.
    static TEMPLATE: OnceCell<Database> = OnceCell::const_new();
    let make = async || {
        let template = tokio::task::block_in_place(|| Cluster::of_this_process().database(None));
        let store = Store::connect(&address(&template)).await.expect("is made");
        store.close().await;
        template
    };
    let template = TEMPLATE.get_or_init(make).await;
    let database = tokio::task::block_in_place(|| Cluster::of_this_process().database(Some(template)));
    let store = Store::connect(&address(&database)).await.expect("opens");
    store.set_seal(Box::new(TestSeal("key")));
    (database, store)
}

pub(super) fn address(database: &Database) -> PostgresAddress {
    PostgresAddress::new(&database.address(), None).expect("an address")
}

/// The same database, opened once more, as another controller does; without a seal.
pub(crate) async fn another(store: &Store) -> Store {
    let opened = match &store.read {
        Pool::Sqlite(_) => Store::open(Path::new(store.place())).await,
        Pool::Postgres(_) => {
            let address = PostgresAddress::new(store.place(), None).expect("an address");
            Store::connect(&address).await
        }
    };
    opened.expect("opens")
}

/// What somebody with a database tool can do.
pub(super) async fn by_hand(store: &Store, sql: &'static str) -> Result<(), sqlx::Error> {
    let sql = sqlx::raw_sql(sql);
    match &store.write.0 {
        Pool::Sqlite(pool) => sql.execute(pool).await.map(drop),
        Pool::Postgres(pool) => sql.execute(pool).await.map(drop),
    }
}

/// A seal that somebody without the key cannot make.
pub(super) struct TestSeal(pub &'static str);

impl Seal for TestSeal {
    fn seal(&self, bytes: &[u8]) -> Vec<u8> {
        Sha256::digest([self.0.as_bytes(), bytes].concat()).to_vec()
    }

    fn fits(&self, bytes: &[u8], seal: &[u8]) -> bool {
        self.seal(bytes) == seal
    }
}

pub(super) fn name(text: &str) -> Name {
    text.parse().expect(text)
}

pub(super) fn reference(text: &str) -> ServiceRef {
    text.parse().expect(text)
}

pub(crate) fn organisation(text: &str) -> Organisation {
    Organisation {
        name: name(text),
        title: format!("{text} e.V."),
        sector: Sector::FlatShare,
        place: None,
        contacts: vec![
            "Anna Muster, Leitung, anna@kita.example"
                .parse()
                .expect("a contact"),
        ],
    }
}

pub(super) fn host(text: &str, organisation: Option<&str>) -> Host {
    Host {
        name: name(text),
        organisation: organisation.map(name),
        address: "192.0.2.7".to_owned(),
        port: 22,
        host_key: HostKey("ssh-ed25519 AAAA".to_owned()),
        jumps: Vec::new(),
        lock: None,
        location: None,
        provider: None,
        monthly_cost: None,
        settings: [("timezone".to_owned(), "Europe/Berlin".to_owned())].into(),
        facts: Facts {
            hostname: text.to_owned(),
            os: "debian".to_owned(),
            release: "13".to_owned(),
            codename: "trixie".to_owned(),
            arch: "x86_64".to_owned(),
            kernel: "6.12".to_owned(),
            memory_mb: 2048,
            cpus: 2,
            disk_mb: 20_000,
            disk_free_mb: 15_000,
            container: false,
            boot_id: "1".to_owned(),
            uptime_seconds: 60,
        },
        seen_at: now(),
    }
}

pub(super) fn service(full: &str, host: &str) -> Service {
    let reference = reference(full);
    Service {
        name: reference.service,
        organisation: reference.organisation.expect("a full name"),
        host: name(host),
        template: "nextcloud".to_owned(),
        parameters: [("domain".to_owned(), "cloud.example.org".to_owned())].into(),
        begun: None,
        applied: None,
    }
}

/// Two organisations, a shared host and one with an owner, a service of each organisation with the same name.
pub(crate) async fn furnish(store: &Store) {
    for each in ["kita-sonne", "wg-nord"] {
        store
            .organisations()
            .add(&organisation(each))
            .await
            .expect("added");
    }
    for each in [host("web1", None), host("web2", Some("wg-nord"))] {
        store.hosts().add(&each).await.expect("added");
    }
    for each in [
        service("kita-sonne/cloud", "web1"),
        service("wg-nord/cloud", "web2"),
    ] {
        store.services().add(&each).await.expect("added");
    }
}
