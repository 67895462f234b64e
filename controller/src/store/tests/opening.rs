//! Opening databases that are new, old, newer, broken, or no databases.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::*;
use crate::model::{JobState, Outcome};

async fn refusal(path: &Path) -> String {
    match Store::open(path).await {
        Ok(_) => panic!("{} was opened", path.display()),
        Err(error) => error.to_string(),
    }
}

fn mode(path: PathBuf) -> u32 {
    fs::metadata(path).expect("there").permissions().mode() & 0o777
}

#[tokio::test]
async fn a_new_database_is_its_owners_alone() {
    let folder = TempDir::new().expect("a folder");
    let directory = folder.path().join("new/allmende");
    let path = directory.join(FILE_NAME);
    let store = Store::open(&path).await.expect("opens");
    store
        .organisations()
        .add(&organisation("kita-sonne"))
        .await
        .expect("added");
    assert_eq!(mode(directory.clone()), 0o700);
    for entry in fs::read_dir(&directory).expect("listed") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(path.clone()), 0o600, "{}", path.display());
    }
    store.close().await;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).expect("loosened");
    Store::open(&path).await.expect("opens");
    assert_eq!(mode(path), 0o600, "a looser mode is mended");
}

#[tokio::test]
async fn what_was_written_is_there_after_opening_again() {
    let (_folder, store) = in_sqlite().await;
    furnish(&store).await;
    let path = PathBuf::from(store.place());
    store.close().await;
    let again = Store::open(&path).await.expect("opens");
    assert_eq!(again.hosts().list().await.expect("listed").len(), 2);
}

/// People copy the one file, and never think of the journal beside it.
#[tokio::test]
async fn a_copy_of_the_one_file_has_what_was_done() {
    let (folder, store) = in_sqlite().await;
    furnish(&store).await;
    let new = NewJob {
        operation: "host.apply",
        parameters: &serde_json::Value::Null,
        title: "apply web1",
        actor: "anna",
        handed_over: false,
    };
    let id = store.jobs().add(new, []).await.expect("added");
    store
        .jobs()
        .finish(
            id,
            JobState::Succeeded,
            &Outcome::default(),
            AuditPhase::Succeeded,
        )
        .await
        .expect("finished");
    let copy = folder.path().join("copy.db");
    fs::copy(Path::new(store.place()), &copy).expect("copied");
    let copy = Store::open(&copy).await.expect("opens");
    let job = copy.jobs().get(id).await.expect("there");
    assert_eq!(job.state, JobState::Succeeded);
    assert_eq!(copy.hosts().list().await.expect("listed").len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn several_processes_may_make_the_same_database_at_once() {
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join(FILE_NAME);
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let path = path.clone();
            tokio::spawn(async move {
                let store = Store::open(&path).await?;
                let added = organisation(&format!("kita{number}"));
                store.organisations().add(&added).await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("opened and written");
    }
    let store = Store::open(&path).await.expect("opens");
    assert_eq!(store.organisations().list().await.expect("listed").len(), 6);
}

#[tokio::test]
async fn a_newer_database_is_refused() {
    let (_folder, store) = in_sqlite().await;
    by_hand(
        &store,
        "INSERT INTO _sqlx_migrations VALUES (9999, 'future', CURRENT_TIMESTAMP, TRUE, x'00', 0)",
    )
    .await
    .expect("written");
    let error = refusal(Path::new(store.place())).await;
    assert!(error.contains("newer version of Allmende"), "{error}");
}

#[tokio::test]
async fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let folder = TempDir::new().expect("a folder");
    let text = folder.path().join("letter.txt");
    fs::write(&text, "Dear Anna, this is no database. ".repeat(100)).expect("written");
    let before = fs::read(&text).expect("read");
    let error = refusal(&text).await;
    assert!(error.contains("not an SQLite database"), "{error}");
    assert_eq!(fs::read(&text).expect("read"), before);

    let other = folder.path().join("other.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new()
        .filename(&other)
        .create_if_missing(true);
    let pool = sqlx::SqlitePool::connect_with(options).await.expect("made");
    sqlx::raw_sql("CREATE TABLE photos (id INTEGER)")
        .execute(&pool)
        .await
        .expect("made");
    pool.close().await;
    let error = refusal(&other).await;
    assert!(error.contains("belongs to another program"), "{error}");

    let error = refusal(folder.path()).await;
    assert!(error.contains("is a directory"), "{error}");
    let error = refusal(&text.join(FILE_NAME)).await;
    assert!(error.contains("letter.txt"), "{error}");
}

#[tokio::test]
async fn a_corrupt_database_says_so() {
    let (_folder, store) = in_sqlite().await;
    furnish(&store).await;
    let path = PathBuf::from(store.place());
    store.close().await;
    let mut bytes = fs::read(&path).expect("read");
    // The header stays, so that it still looks like a database.
    bytes[100..].fill(0xaa);
    fs::write(&path, bytes).expect("written");
    let error = refusal(&path).await;
    assert!(error.contains("corrupt"), "{error}");
}

#[tokio::test]
async fn what_cannot_be_read_says_which_row() {
    let (_folder, store) = in_sqlite().await;
    furnish(&store).await;
    by_hand(&store, "UPDATE hosts SET facts = '{' WHERE name = 'web1'")
        .await
        .expect("written");
    let error = store.hosts().get(&name("web1")).await.expect_err("unreadable");
    assert!(error.to_string().contains("host web1"), "{error}");
}

/// The whole command line has 30 ms to start; opening an existing database takes a fraction of that even without
/// optimisation. The bound is loose, for machines that do other things as well.
#[tokio::test]
async fn an_existing_database_opens_fast() {
    let (_folder, store) = in_sqlite().await;
    furnish(&store).await;
    store.close().await;
    let mut best = u128::MAX;
    for _ in 0..5 {
        let begun = Instant::now();
        let store = Store::open(Path::new(store.place())).await.expect("opens");
        store.hosts().list().await.expect("listed");
        best = best.min(begun.elapsed().as_millis());
    }
    println!("opened in {best} ms");
    assert!(best < 200, "{best} ms");
}
