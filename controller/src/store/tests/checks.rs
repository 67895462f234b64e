//! Checks that people added.

use super::*;
use crate::model::{AddedCheck, CheckKey};

over_every_database!(
    an_added_check_comes_back_changes_and_goes,
    a_check_has_one_name_and_belongs_to_something_that_is_there,
    checks_go_with_their_host_or_service,
);

fn check(key: &str, url: &str) -> AddedCheck {
    AddedCheck {
        key: key.parse::<CheckKey>().expect(key),
        definition: serde_json::json!({ "kind": "http", "url": url }),
    }
}

async fn an_added_check_comes_back_changes_and_goes(store: Store) {
    furnish(&store).await;
    let added = [
        check("allmende:internet", "https://example.org/ü"),
        check(
            "kita-sonne/cloud:page2",
            "https://a.example/'; DROP TABLE checks;--",
        ),
        check("web1:page", "https://b.example/"),
    ];
    for each in &added {
        store.checks().add(each).await.expect("added");
    }
    assert_eq!(store.checks().list().await.expect("listed"), added);
    let changed = check("web1:page", "https://c.example/");
    store.checks().update(&changed).await.expect("changed");
    store.checks().remove(&added[0].key).await.expect("removed");
    assert_eq!(
        store.checks().list().await.expect("listed"),
        [added[1].clone(), changed]
    );
}

async fn a_check_has_one_name_and_belongs_to_something_that_is_there(store: Store) {
    furnish(&store).await;
    let one = check("web1:page", "https://a.example/");
    store.checks().add(&one).await.expect("added");
    let error = store.checks().add(&one).await.expect_err("refused");
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
    for key in ["web9:page", "kita-sonne/wiki:page", "nobody/cloud:page"] {
        let error = store.checks().add(&check(key, "https://a.example/")).await;
        let error = error.expect_err("refused");
        assert!(matches!(error, StoreError::Unknown { .. }), "{key}: {error}");
    }
    for key in ["web1:pages", "web2:page"] {
        let missing = check(key, "https://a.example/");
        let error = store.checks().update(&missing).await.expect_err("refused");
        assert!(error.to_string().contains("web1:page"), "{error}");
        store.checks().remove(&missing.key).await.expect_err("refused");
    }
}

async fn checks_go_with_their_host_or_service(store: Store) {
    furnish(&store).await;
    let keys = ["allmende:internet", "kita-sonne/cloud:page2", "web1:page"];
    for key in keys {
        store
            .checks()
            .add(&check(key, "https://a.example/"))
            .await
            .expect("added");
    }
    let left = async || -> Vec<String> {
        let list = store.checks().list().await.expect("listed");
        list.into_iter().map(|check| check.key.to_string()).collect()
    };
    store
        .services()
        .remove(&reference("kita-sonne/cloud"))
        .await
        .expect("removed");
    assert_eq!(left().await, ["allmende:internet", "web1:page"]);
    store.hosts().remove(&name("web1")).await.expect("removed");
    assert_eq!(left().await, ["allmende:internet"]);
}
