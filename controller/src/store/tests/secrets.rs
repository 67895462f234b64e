//! Sealed bytes, and texts that nobody expects.

use super::*;

over_every_database!(
    sealed_bytes_come_back_as_they_were,
    the_first_of_two_who_make_a_key_wins,
    keys_go_with_their_organisation,
    a_zero_byte_from_a_host_is_no_error,
    names_are_sorted_by_their_bytes,
    readers_cannot_write,
);

async fn sealed_bytes_come_back_as_they_were(store: Store) {
    let bytes: Vec<u8> = (0..=255).collect();
    let key = store
        .secrets()
        .key_or_add("controller", None, &bytes)
        .await
        .expect("added");
    assert_eq!(key.sealed, bytes);
    assert_eq!(
        store.secrets().key("controller").await.expect("read"),
        Some(key.clone())
    );
    store.secrets().put(key.id, "mail", &bytes).await.expect("kept");
    let kept = store
        .secrets()
        .get_or_put(key.id, "mail", b"other")
        .await
        .expect("kept");
    assert_eq!(kept, bytes, "what is there stays");
    store.secrets().put(key.id, "mail", b"new").await.expect("kept");
    assert_eq!(
        store.secrets().get(key.id, "mail").await.expect("read"),
        Some(b"new".to_vec())
    );
    assert!(store.secrets().remove(key.id, "mail").await.expect("removed"));
    assert!(!store.secrets().remove(key.id, "mail").await.expect("removed"));
}

async fn the_first_of_two_who_make_a_key_wins(store: Store) {
    let other = another(&store).await;
    let (secrets, others) = (store.secrets(), other.secrets());
    let (first, second) = tokio::join!(
        secrets.key_or_add("kita", None, b"one"),
        others.key_or_add("kita", None, b"two"),
    );
    assert_eq!(first.expect("a key"), second.expect("the same key"));
}

async fn keys_go_with_their_organisation(store: Store) {
    furnish(&store).await;
    let kita = name("wg-sued");
    store
        .organisations()
        .add(&organisation("wg-sued"))
        .await
        .expect("added");
    let key = store
        .secrets()
        .key_or_add("wg-sued", Some(&kita), b"sealed")
        .await
        .expect("added");
    store
        .secrets()
        .put(key.id, "door", b"sealed")
        .await
        .expect("kept");
    store.organisations().remove(&kita).await.expect("removed");
    assert_eq!(store.secrets().key("wg-sued").await.expect("read"), None);
    assert_eq!(store.secrets().get(key.id, "door").await.expect("read"), None);
}

/// PostgreSQL keeps no such text; what a host says must not stop what is told about it.
async fn a_zero_byte_from_a_host_is_no_error(store: Store) {
    let record = AuditRecord {
        actor: "anna",
        operation: "host.apply",
        parameters: &serde_json::json!({"said": "a\0b"}),
        phase: AuditPhase::Failed,
        job: None,
        message: "web1 said: a\0b",
    };
    store.audit().append(record).await.expect("written");
    let newest = &store.audit().list(1).await.expect("listed")[0];
    assert_eq!(newest.message, "web1 said: a\u{fffd}b");
    assert!(store.audit().verify().await.expect("verified").intact());
}

/// Whatever language the database sorts in.
async fn names_are_sorted_by_their_bytes(store: Store) {
    let key = store
        .secrets()
        .key_or_add("controller", None, b"sealed")
        .await
        .expect("added");
    let names = ["Zebra", "a-b", "a.c", "aB", "aa", "ä"];
    for each in names {
        store.secrets().put(key.id, each, b"x").await.expect("kept");
    }
    assert_eq!(store.secrets().names(key.id).await.expect("listed"), names);
}

async fn readers_cannot_write(store: Store) {
    let written = query::query("DELETE FROM organisations")
        .execute(&store.read)
        .await;
    assert!(written.is_err());
}
