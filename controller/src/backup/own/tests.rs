//! Copies out of each kind of database, and back into each.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::model::Secret;
use crate::settings::Settings;
use crate::store::tests::{another, furnish, in_postgres, in_sqlite, over_every_database};
use crate::store::{AuditPhase, AuditRecord, PostgresAddress, Store};
use crate::vault::{SecretScope, Vault};

fn passphrase() -> Secret {
    Secret::new("vier Worte reichen hier".to_owned())
}

/// A copy of a furnished store, in a folder that is its data directory.
async fn copied(store: &Store) -> (TempDir, PathBuf) {
    // Sealed by the key that is in the copy.
    let store = &another(store).await;
    let folder = TempDir::new().expect("a folder");
    Vault::init(folder.path()).expect("a key");
    fs::write(folder.path().join("allmende.toml"), "parallel_hosts = 3\n").expect("written");
    furnish(store).await;
    let vault = Vault::open(store.clone(), folder.path()).await.expect("opens");
    let (scope, secret) = (SecretScope::Controller, Secret::new("Sonnenblume".to_owned()));
    vault.put(&scope, "word", &secret).await.expect("kept");
    let parameters = serde_json::json!({ "ü": 1 });
    let record = AuditRecord {
        actor: "anna",
        operation: "host.add",
        parameters: &parameters,
        phase: AuditPhase::Asked,
        job: None,
        message: "add host web1",
    };
    store.audit().append(record).await.expect("written");
    let contents = Contents::of(folder.path(), &Settings::default()).expect("read");
    let path = folder.path().join("copy.tar.gz.age");
    let written = write(&path, &passphrase(), store, &contents)
        .await
        .expect("written");
    assert!(written.rows > 8 && written.bytes > 60_000, "{written:?}");
    (folder, path)
}

/// Everything in a store, as one text.
async fn everything(store: &Store) -> String {
    let mut snapshot = store.snapshot().await.expect("begun");
    let mut all = String::new();
    for table in snapshot.tables().await.expect("listed") {
        let mut rows = Vec::new();
        let each = |row| {
            rows.push(format!("{row:?}"));
            Ok::<_, StoreError>(())
        };
        snapshot.rows(&table, each).await.expect("read");
        rows.sort();
        all += &format!("{table:?}\n{}\n", rows.join("\n"));
    }
    all
}

over_every_database!(
    a_copy_is_brought_back_into_either_kind_of_database,
    what_is_written_meanwhile_is_not_half_in_it,
);

async fn a_copy_is_brought_back_into_either_kind_of_database(store: Store) {
    let (folder, path) = copied(&store).await;
    let mode = fs::metadata(&path).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let copy = read(&path, &passphrase()).expect("whole");
    assert_eq!(copy.rows["hosts"], 2);
    let names: Vec<&Path> = copy.files.iter().map(|file| file.path.as_path()).collect();
    assert_eq!(names, [Path::new("vault.key"), Path::new("allmende.toml")]);

    let file = Store::open_as_it_is(&folder.path().join("back.db"))
        .await
        .expect("opens");
    let empty = tokio::task::block_in_place(|| allmende_tests::Cluster::of_this_process().database(None));
    let address = PostgresAddress::new(&empty.address(), None).expect("an address");
    let postgres = Store::connect_as_it_is(&address).await.expect("opens");
    for back in [file, postgres] {
        copy.fill(&back).await.expect("filled");
        assert_eq!(everything(&back).await, everything(&store).await);
        let vault = Vault::open(back.clone(), folder.path())
            .await
            .expect("the key fits");
        let word = vault.get(&SecretScope::Controller, "word").await.expect("read");
        assert_eq!(word.expect("there").reveal(), "Sonnenblume");
        assert!(back.audit().verify().await.expect("looked at").intact());
        // New rows go on where the old ones ended.
        let organisation = crate::store::tests::organisation("later");
        back.organisations().add(&organisation).await.expect("added");
        let again = copy.fill(&back).await.expect_err("there are data");
        assert!(again.to_string().contains("only an empty one"), "{again}");
    }
}

async fn what_is_written_meanwhile_is_not_half_in_it(store: Store) {
    furnish(&store).await;
    let mut snapshot = store.snapshot().await.expect("begun");
    let tables = snapshot.tables().await.expect("listed");
    let later = crate::store::tests::organisation("later");
    store
        .organisations()
        .add(&later)
        .await
        .expect("nobody is kept waiting");
    let table = tables
        .iter()
        .find(|table| table.table == "organisations")
        .expect("there");
    let mut rows = 0;
    let each = |_| {
        rows += 1;
        Ok::<_, StoreError>(())
    };
    snapshot.rows(table, each).await.expect("read");
    assert_eq!(rows, 2);
}

#[tokio::test]
async fn a_newer_copy_and_one_whose_key_does_not_fit_are_refused() {
    let (_folder, store) = in_sqlite().await;
    let (folder, path) = copied(&store).await;
    let said = |result: Result<OwnCopy, OwnBackupError>| match result {
        Ok(_) => "it was read".to_owned(),
        Err(error) => error.to_string(),
    };
    let other = Secret::new("vier andere Worte hier".to_owned());
    assert!(said(read(&path, &other)).contains("this passphrase does not open it"));
    let bytes = fs::read(&path).expect("read");
    let cut = folder.path().join("cut");
    fs::write(&cut, &bytes[..bytes.len() - 1]).expect("written");
    assert!(said(read(&cut, &passphrase())).contains("its end was cut off"));

    let forge = |manifest: Option<&str>, key: &str| {
        let forged = folder.path().join("forged");
        let file = fs::File::create(&forged).expect("made");
        let sealing = crate::vault::SealingWriter::new(file, &passphrase()).expect("begun");
        let gz = flate2::write::GzEncoder::new(sealing, flate2::Compression::fast());
        let mut tar = tar::Builder::new(gz);
        let mut old = tar::Archive::new(flate2::read::GzDecoder::new(
            crate::vault::OpeningReader::new(bytes.as_slice(), &passphrase()).expect("opened"),
        ));
        for entry in old.entries().expect("entries") {
            let mut entry = entry.expect("an entry");
            let name = entry.path().expect("a name").display().to_string();
            let mut content = Vec::new();
            io::Read::read_to_end(&mut entry, &mut content).expect("read");
            match (name.as_str(), manifest) {
                (MANIFEST, Some(manifest)) => content = manifest.into(),
                ("files/vault.key", _) if !key.is_empty() => content = key.into(),
                _ => {}
            }
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            tar.append_data(&mut header, name, content.as_slice())
                .expect("added");
        }
        let sealing = tar.into_inner().and_then(flate2::write::GzEncoder::finish);
        sealing.expect("ended").finish().expect("ended");
        said(read(&forged, &passphrase()))
    };
    assert_eq!(forge(None, ""), "it was read");
    let newer = forge(Some(r#"{"format": 2, "allmende": "7.1.0"}"#), "");
    assert!(newer.contains("newer version of Allmende (7.1.0)"), "{newer}");
    let manifest = r#"{"format":1,"allmende":"3.0.0","migration":9000,"made_at":"2026-12-01T00:00:00Z","machine":"","left_out":[]}"#;
    let newer = forge(Some(manifest), "");
    assert!(newer.contains("newer version of Allmende (3.0.0)"), "{newer}");
    let key = forge(None, &"0f".repeat(32));
    assert!(key.contains("the key to the secrets does not fit"), "{key}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tables_of_an_older_version_are_brought_up_to_date() {
    let folder = TempDir::new().expect("a folder");
    let (_database, postgres) = in_postgres().await;
    let newest = Store::newest_migration();
    let old = Store::open_as_it_is(&folder.path().join("old.db"))
        .await
        .expect("opens");
    old.fill(newest - 1)
        .await
        .expect("begun")
        .finish()
        .await
        .expect("ended");
    let tables = old
        .snapshot()
        .await
        .expect("begun")
        .tables()
        .await
        .expect("listed");
    let expected = postgres
        .snapshot()
        .await
        .expect("begun")
        .tables()
        .await
        .expect("listed");
    let names = |tables: Vec<crate::store::Table>| -> Vec<_> {
        tables
            .into_iter()
            .map(|table| (table.table, table.columns))
            .collect()
    };
    assert_eq!(names(tables), names(expected));
}
