//! The vault over a real database.

use std::os::unix::fs::PermissionsExt;

use tempfile::TempDir;

use super::*;
use crate::model::{Organisation, Sector};

async fn vault() -> (TempDir, Vault) {
    let folder = TempDir::new().expect("a folder");
    Vault::init(folder.path()).expect("a key");
    let vault = open(folder.path()).await.expect("opens");
    let organisation = Organisation {
        name: name("kita-sonne"),
        title: "KiTa Sonne".to_owned(),
        sector: Sector::Kita,
        place: None,
        contacts: Vec::new(),
    };
    vault
        .store
        .organisations()
        .add(&organisation)
        .await
        .expect("added");
    (folder, vault)
}

async fn open(folder: &Path) -> Result<Vault, VaultError> {
    let store = Store::open(&folder.join("allmende.db")).await.expect("opens");
    Vault::open(store, folder).await
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn scope() -> SecretScope {
    SecretScope::Service(name("kita-sonne"), name("cloud"))
}

const PLAIN: &str = "correct-horse-battery";

#[tokio::test]
async fn a_secret_comes_back_and_is_nowhere_in_the_files() {
    let (folder, vault) = vault().await;
    let secret = Secret::new(PLAIN.to_owned());
    vault
        .put(&scope(), "admin_password", &secret)
        .await
        .expect("kept");
    assert_eq!(
        vault.get(&scope(), "admin_password").await.expect("read"),
        Some(secret)
    );
    vault.store.close().await;
    for entry in std::fs::read_dir(folder.path()).expect("listed") {
        let bytes = std::fs::read(entry.expect("an entry").path()).expect("read");
        let found = bytes
            .windows(PLAIN.len())
            .any(|window| window == PLAIN.as_bytes());
        assert!(!found);
    }
}

#[tokio::test]
async fn a_secret_that_was_moved_does_not_open() {
    let (_folder, vault) = vault().await;
    let secret = Secret::new(PLAIN.to_owned());
    vault.put(&scope(), "a", &secret).await.expect("kept");
    let key = vault
        .store
        .secrets()
        .key("organisation kita-sonne")
        .await
        .expect("read")
        .expect("there");
    let sealed = vault
        .store
        .secrets()
        .get(key.id, "service cloud/a")
        .await
        .expect("read");
    let sealed = sealed.expect("there");
    vault
        .store
        .secrets()
        .put(key.id, "service cloud/b", &sealed)
        .await
        .expect("moved");
    let error = vault.get(&scope(), "b").await.expect_err("refused");
    assert!(matches!(error, VaultError::Damaged { .. }), "{error}");
}

#[tokio::test]
async fn another_key_is_refused_when_the_vault_is_opened() {
    let (folder, vault) = vault().await;
    let secret = Secret::new(PLAIN.to_owned());
    vault
        .put(&SecretScope::Controller, "x", &secret)
        .await
        .expect("kept");
    std::fs::remove_file(folder.path().join(KEY_FILE)).expect("removed");
    assert!(matches!(open(folder.path()).await, Err(VaultError::NoKey { .. })));
    Vault::init(folder.path()).expect("another key");
    assert!(matches!(open(folder.path()).await, Err(VaultError::WrongKey)));
}

#[tokio::test]
async fn a_key_that_others_may_read_is_refused() {
    let (folder, _vault) = vault().await;
    let path = folder.path().join(KEY_FILE);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).expect("changed");
    let error = open(folder.path()).await.err().expect("refused").to_string();
    assert!(error.contains("chmod 600"), "{error}");
}

#[tokio::test]
async fn a_scope_is_forgotten_alone() {
    let (_folder, vault) = vault().await;
    let other = SecretScope::Service(name("kita-sonne"), name("wiki"));
    let secret = Secret::new(PLAIN.to_owned());
    vault.put(&scope(), "a", &secret).await.expect("kept");
    vault.put(&other, "a", &secret).await.expect("kept");
    vault.remove_scope(&scope()).await.expect("forgotten");
    assert_eq!(vault.get(&scope(), "a").await.expect("read"), None);
    assert!(vault.get(&other, "a").await.expect("read").is_some());
}

#[tokio::test]
async fn what_opens_backups_stays_when_their_service_and_organisation_go() {
    let (_folder, vault) = vault().await;
    let backups = SecretScope::Backups(name("kita-sonne"));
    let secret = Secret::new(PLAIN.to_owned());
    vault.put(&scope(), "a", &secret).await.expect("kept");
    vault.put(&backups, "a", &secret).await.expect("kept");
    vault.remove_scope(&scope()).await.expect("forgotten");
    let organisation = name("kita-sonne");
    vault
        .store
        .organisations()
        .remove(&organisation)
        .await
        .expect("removed");
    assert_eq!(vault.get(&backups, "a").await.expect("read"), Some(secret));
    assert_eq!(vault.get(&scope(), "a").await.expect("read"), None);
}

#[test]
fn passwords_have_their_length_and_differ() {
    let one = generate_password(24).expect("made");
    assert_eq!(one.reveal().len(), 24);
    assert_ne!(one, generate_password(24).expect("made"));
}

#[test]
fn a_password_on_paper_has_groups_of_letters_that_nobody_mistakes() {
    let one = generate_on_paper().expect("made");
    let groups: Vec<&str> = one.reveal().split('-').collect();
    assert_eq!(groups.len(), 6, "{}", one.reveal());
    for group in groups {
        assert_eq!(group.len(), 4);
        assert!(!group.contains(['i', 'l', 'o']) && group.bytes().all(|letter| letter.is_ascii_lowercase()));
    }
    assert_ne!(one, generate_on_paper().expect("made"));
}
