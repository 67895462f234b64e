//! What is PostgreSQL's alone: addresses, opening, two schemas that are one, connections that are lost.

use super::*;
use crate::store::migrations;
use crate::store::query::{query, query_scalar};

/// A database that nobody has used.
fn empty() -> Database {
    tokio::task::block_in_place(|| Cluster::of_this_process().database(None))
}

async fn refusal(address: &str) -> String {
    let opened = match PostgresAddress::new(address, Some("open-sesame")) {
        Ok(address) => Store::connect(&address).await.map(drop),
        Err(error) => Err(error),
    };
    let error = opened.expect_err(address).to_string();
    assert!(!error.contains("open-sesame"), "{error}");
    error
}

#[test]
fn both_databases_have_the_same_migrations() {
    let numbers = |migrator: &sqlx::migrate::Migrator| -> Vec<(i64, String)> {
        migrator
            .iter()
            .map(|migration| (migration.version, migration.description.to_string()))
            .collect()
    };
    assert_eq!(numbers(&migrations::SQLITE), numbers(&migrations::POSTGRES));
}

/// A table's columns, which of them may be missing, and its indexes.
type Shape = Vec<(String, String, i64)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_databases_have_the_same_tables() {
    let (_folder, sqlite) = in_sqlite().await;
    let (_database, postgres) = in_postgres().await;
    let of_sqlite: Shape = query(
        "SELECT t.name, c.name || ' ' || CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'TEXT' THEN 'text'
                    WHEN 'BLOB' THEN 'bytea' WHEN 'REAL' THEN 'double precision' ELSE c.type END,
                CASE WHEN c.\"notnull\" = 1 OR c.pk > 0 THEN 0 ELSE 1 END
         FROM sqlite_master t JOIN pragma_table_info(t.name) c
         WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' AND t.name <> '_sqlx_migrations' ORDER BY 1, 2",
    )
    .fetch_all(&sqlite.read)
    .await
    .expect("listed");
    let of_postgres: Shape = query(
        "SELECT CAST(table_name AS TEXT) COLLATE \"C\", CAST(column_name || ' ' || data_type AS TEXT) COLLATE \"C\",
                CAST(CASE is_nullable WHEN 'NO' THEN 0 ELSE 1 END AS BIGINT)
         FROM information_schema.columns WHERE table_schema = current_schema() AND table_name <> '_sqlx_migrations'
         ORDER BY 1, 2",
    )
    .fetch_all(&postgres.read)
    .await
    .expect("listed");
    assert!(of_sqlite.len() > 100, "{of_sqlite:?}");
    assert_eq!(of_sqlite, of_postgres);

    let of_sqlite: Vec<String> = query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )
    .fetch_all(&sqlite.read)
    .await
    .expect("listed");
    let of_postgres: Vec<String> = query_scalar(
        "SELECT CAST(c.relname AS TEXT) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
         JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = current_schema() AND c.relname NOT LIKE '%\\_pkey' AND c.relname NOT LIKE '%\\_key'
         ORDER BY CAST(c.relname AS TEXT) COLLATE \"C\"",
    )
    .fetch_all(&postgres.read)
    .await
    .expect("listed");
    assert_eq!(of_sqlite, of_postgres);
    let foreign_of_sqlite: i64 = query_scalar(
        "SELECT COUNT(*) FROM sqlite_master t JOIN pragma_foreign_key_list(t.name) f WHERE t.type = 'table'",
    )
    .fetch_one(&sqlite.read)
    .await
    .expect("counted");
    let foreign_of_postgres: i64 = query_scalar("SELECT COUNT(*) FROM pg_constraint WHERE contype = 'f'")
        .fetch_one(&postgres.read)
        .await
        .expect("counted");
    assert_eq!(foreign_of_sqlite, foreign_of_postgres);
    let unsorted: Vec<String> = query_scalar(
        "SELECT CAST(table_name || '.' || column_name AS TEXT) FROM information_schema.columns
         WHERE table_schema = current_schema() AND data_type = 'text' AND collation_name IS DISTINCT FROM 'C'
             AND table_name <> '_sqlx_migrations'",
    )
    .fetch_all(&postgres.read)
    .await
    .expect("listed");
    assert!(unsorted.is_empty(), "not sorted by bytes: {unsorted:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_controllers_may_make_the_same_database_at_once() {
    let database = empty();
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let address = address(&database);
            tokio::spawn(async move {
                let store = Store::connect(&address).await?;
                let added = organisation(&format!("kita{number}"));
                store.organisations().add(&added).await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("opened and written");
    }
    let store = Store::connect(&address(&database)).await.expect("opens");
    assert_eq!(store.organisations().list().await.expect("listed").len(), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_ours_is_refused_and_left_alone() {
    let database = empty();
    database.ask("CREATE TABLE photos (id BIGINT)");
    let error = refusal(&database.address()).await;
    assert!(error.contains("belongs to another program"), "{error}");
    assert_eq!(
        database.ask("SELECT COUNT(*) FROM pg_tables WHERE schemaname = 'public'"),
        "1"
    );

    let (database, store) = in_postgres().await;
    store.close().await;
    database.ask("INSERT INTO _sqlx_migrations VALUES (9999, 'future', now(), TRUE, '', 0)");
    let error = refusal(&database.address()).await;
    assert!(error.contains("newer version of Allmende"), "{error}");
    // The newest one alone would not tell.
    database.ask("DELETE FROM _sqlx_migrations WHERE version = 9999");
    database.ask("UPDATE _sqlx_migrations SET checksum = 'another' WHERE version = 2");
    let error = refusal(&database.address()).await;
    assert!(error.contains("migration 2"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_stands_in_the_way_of_opening_is_said_with_what_to_do() {
    let database = empty();
    let nowhere = database.address().replace("/test", "/nowhere");
    let error = refusal(&nowhere).await;
    assert!(error.contains("createdb"), "{error}");
    let stranger = database.address().replace("allmende@", "stranger@");
    let error = refusal(&stranger).await;
    assert!(error.contains("stranger"), "{error}");
    // Nobody listens there.
    let error = refusal("postgres://allmende@127.0.0.1:1/allmende").await;
    assert!(error.contains("does PostgreSQL run"), "{error}");
}

#[test]
fn an_address_is_looked_at_before_it_is_used() {
    for (address, expected) in [
        ("mysql://db.example.org/allmende", "postgres://"),
        ("db.example.org", "wrong"),
        ("postgres://allmende@db.example.org", "names no database"),
        (
            "postgres://allmende@db.example.org/allmende?sslmodus=require",
            "sslmodus",
        ),
        (
            "postgres://allmende@db.example.org/allmende?password=open-sesame",
            "password",
        ),
        (
            "postgres://allmende:open-sesame@db.example.org/allmende",
            "database_password_file",
        ),
        (
            "postgres://allmende@db.example.org/allmende?sslmode=perhaps",
            "perhaps",
        ),
    ] {
        let error = PostgresAddress::new(address, None)
            .expect_err(address)
            .to_string();
        assert!(error.contains(expected), "{error}");
        assert!(!error.contains("open-sesame"), "{error}");
    }
}

#[test]
fn a_password_is_shown_nowhere() {
    let address = PostgresAddress::new("postgres://allmende@db.example.org/allmende", Some("open-sesame"))
        .expect("an address");
    assert_eq!(address.to_string(), "postgres://allmende@db.example.org/allmende");
    assert!(!format!("{address:?}").contains("open-sesame"));
}

#[test]
fn another_machine_is_only_spoken_to_if_it_proves_who_it_is() {
    for (address, looks) in [
        ("postgres://allmende@db.example.org/allmende", true),
        ("postgres://allmende@192.0.2.7/allmende", true),
        ("postgres://allmende@[2001:db8::7]/allmende", true),
        ("postgres://allmende@127.0.0.1/allmende?host=db.example.org", true),
        (
            "postgres://allmende@db.example.org/allmende?sslmode=require",
            false,
        ),
        ("postgres://allmende@localhost/allmende", false),
        ("postgres://allmende@127.0.0.1/allmende", false),
        ("postgres://allmende@[::1]/allmende", false),
        ("postgres:///allmende?host=/run/postgresql", false),
    ] {
        let read = PostgresAddress::new(address, None).expect(address);
        assert_eq!(read.demands_proof(), looks, "{address}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_connection_is_said_so_and_made_anew() {
    let (database, store) = in_postgres().await;
    furnish(&store).await;
    let mut transaction = store.begin().await.expect("begun");
    database.ask(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
    let error: StoreError = query("DELETE FROM services")
        .execute(&mut *transaction)
        .await
        .expect_err("lost")
        .into();
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    drop(transaction);
    let hosts = store.hosts().list().await.expect("a new connection");
    assert_eq!(hosts.len(), 2);
    store
        .organisations()
        .add(&organisation("wg-sued"))
        .await
        .expect("written over a new connection");
    assert_eq!(store.services().list().await.expect("listed").len(), 2);
}

/// A controller that stands still in the middle of writing: the others wait, and then go on without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_stands_still_is_sent_away() {
    let (_database, store) = in_postgres().await;
    let other = another(&store).await;
    let mut asleep = other.begin().await.expect("begun");
    store
        .organisations()
        .add(&organisation("kita-sonne"))
        .await
        .expect("written in the end");
    let late = query("DELETE FROM organisations").execute(&mut *asleep).await;
    let error = StoreError::from(late.expect_err("sent away"));
    assert!(matches!(error, StoreError::Unreachable(_)), "{error:?}");
    assert_eq!(store.organisations().list().await.expect("listed").len(), 1);
}

/// What was read in a transaction is still so when it writes, whoever else would write meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_two_controllers_change_at_once_is_never_lost() {
    let (_database, store) = in_postgres().await;
    furnish(&store).await;
    let other = another(&store).await;
    let count = async |store: &Store| {
        for _ in 0..50 {
            store
                .hosts()
                .update(&name("web1"), |host| {
                    host.settings
                        .entry("timezone".to_owned())
                        .and_modify(|text| text.push('+'));
                })
                .await
                .expect("changed");
        }
    };
    tokio::join!(count(&store), count(&other));
    let host = store.hosts().get(&name("web1")).await.expect("there");
    assert_eq!(host.settings["timezone"].matches('+').count(), 100);
}
