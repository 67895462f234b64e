//! Organisations, hosts and services.

use super::*;
use crate::model::{Applied, MonthlyCost};

over_every_database!(
    what_was_added_comes_back,
    a_name_is_taken_once,
    unknown_names_are_answered_with_near_ones,
    a_service_is_found_by_its_name_unless_two_organisations_have_it,
    nothing_is_removed_that_something_depends_on,
    changes_of_two_at_once_are_both_kept,
    names_stay_whatever_a_change_says,
    what_was_applied_is_remembered_and_forgotten,
);

async fn what_was_added_comes_back(store: Store) {
    furnish(&store).await;
    assert_eq!(
        store
            .organisations()
            .get(&name("kita-sonne"))
            .await
            .expect("there"),
        organisation("kita-sonne")
    );
    let added = Host {
        monthly_cost: Some(MonthlyCost(450)),
        location: Some("Keller; DROP TABLE hosts;--".to_owned()),
        provider: Some("Ümläut 'quoted' \"twice\" \u{1f331}".to_owned()),
        ..host("web3", Some("kita-sonne"))
    };
    store.hosts().add(&added).await.expect("added");
    assert_eq!(store.hosts().get(&added.name).await.expect("there"), added);
    let names: Vec<String> = store
        .hosts()
        .list()
        .await
        .expect("listed")
        .into_iter()
        .map(|host| host.name.to_string())
        .collect();
    assert_eq!(names, ["web1", "web2", "web3"]);
    assert_eq!(
        store
            .services()
            .find(&reference("kita-sonne/cloud"))
            .await
            .expect("there"),
        service("kita-sonne/cloud", "web1")
    );
    let there = store.services().on_host(&name("web2")).await.expect("listed");
    assert_eq!(there, [service("wg-nord/cloud", "web2")]);
}

async fn a_name_is_taken_once(store: Store) {
    furnish(&store).await;
    let error = store.organisations().add(&organisation("kita-sonne")).await;
    assert_eq!(
        error.expect_err("refused").to_string(),
        "there is already an organisation kita-sonne"
    );
    let error = store.hosts().add(&host("web1", None)).await;
    assert_eq!(
        error.expect_err("refused").to_string(),
        "there is already a host web1"
    );
    let error = store.services().add(&service("kita-sonne/cloud", "web2")).await;
    assert_eq!(
        error.expect_err("refused").to_string(),
        "there is already a service kita-sonne/cloud"
    );
}

async fn unknown_names_are_answered_with_near_ones(store: Store) {
    furnish(&store).await;
    let error = store.hosts().get(&name("wbe1")).await.expect_err("unknown");
    assert_eq!(error.to_string(), "no host \"wbe1\"; did you mean web1?");
    let error = store.organisations().remove(&name("kita-sone")).await;
    assert_eq!(
        error.expect_err("unknown").to_string(),
        "no organisation \"kita-sone\"; did you mean kita-sonne?"
    );
    let error = store.hosts().add(&host("web9", Some("wg-nrod"))).await;
    assert!(matches!(
        error,
        Err(StoreError::Unknown {
            noun: "organisation",
            ..
        })
    ));
    let error = store.services().find(&reference("kita-sonne/clout")).await;
    assert!(
        error
            .expect_err("unknown")
            .to_string()
            .contains("kita-sonne/cloud")
    );
    let error = store.services().find(&reference("kita-sone/cloud")).await;
    assert!(matches!(
        error,
        Err(StoreError::Unknown {
            noun: "organisation",
            ..
        })
    ));
}

async fn a_service_is_found_by_its_name_unless_two_organisations_have_it(store: Store) {
    furnish(&store).await;
    let wiki = service("wg-nord/wiki", "web2");
    store.services().add(&wiki).await.expect("added");
    assert_eq!(
        store.services().find(&reference("wiki")).await.expect("found"),
        wiki
    );
    let error = store
        .services()
        .find(&reference("cloud"))
        .await
        .expect_err("ambiguous");
    assert_eq!(
        error.to_string(),
        "there are several services \"cloud\": say which one: kita-sonne/cloud, wg-nord/cloud"
    );
}

async fn nothing_is_removed_that_something_depends_on(store: Store) {
    furnish(&store).await;
    let error = store.organisations().remove(&name("wg-nord")).await;
    match error {
        Err(StoreError::InUse { by, .. }) => assert_eq!(by, ["host web2", "service wg-nord/cloud"]),
        other => panic!("{other:?}"),
    }
    let error = store.hosts().remove(&name("web2")).await.expect_err("refused");
    assert!(error.to_string().contains("service wg-nord/cloud"), "{error}");
    store
        .services()
        .remove(&reference("wg-nord/cloud"))
        .await
        .expect("removed");
    store.hosts().remove(&name("web2")).await.expect("removed");
    store
        .organisations()
        .remove(&name("wg-nord"))
        .await
        .expect("removed");
    assert_eq!(store.organisations().list().await.expect("listed").len(), 1);
}

async fn changes_of_two_at_once_are_both_kept(store: Store) {
    furnish(&store).await;
    let tasks: Vec<_> = (0..20)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move {
                let change = |host: &mut Host| {
                    host.settings.insert(format!("setting{number}"), "1".to_owned());
                };
                store.hosts().update(&name("web1"), change).await
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("no panic").expect("changed");
    }
    let settings = store.hosts().get(&name("web1")).await.expect("there").settings;
    assert_eq!(settings.len(), 21);
}

async fn names_stay_whatever_a_change_says(store: Store) {
    furnish(&store).await;
    let changed = store
        .services()
        .update(&reference("kita-sonne/cloud"), |service| {
            service.name = name("other");
            service.organisation = name("wg-nord");
            service.host = name("web2");
        })
        .await
        .expect("changed");
    assert_eq!(changed.full_name(), "kita-sonne/cloud");
    assert_eq!(changed.host, name("web2"));
    assert_eq!(
        store
            .services()
            .find(&reference("kita-sonne/cloud"))
            .await
            .expect("there"),
        changed
    );
    let error = store
        .hosts()
        .update(&name("web1"), |host| host.organisation = Some(name("nobody")))
        .await;
    assert!(matches!(error, Err(StoreError::Unknown { .. })));
}

async fn what_was_applied_is_remembered_and_forgotten(store: Store) {
    furnish(&store).await;
    let reference = reference("kita-sonne/cloud");
    let begun = now();
    let later = begun + jiff::SignedDuration::from_secs(60);
    assert_eq!(
        store.services().find(&reference).await.expect("there").begun,
        None
    );
    for at in [begun, later] {
        store.services().set_begun(&reference, at).await.expect("kept");
    }
    assert_eq!(
        store.services().find(&reference).await.expect("there").begun,
        Some(begun),
        "the first time counts"
    );
    let applied = Applied {
        at: later,
        job: 7,
        parameters: [("version".to_owned(), "34".to_owned())].into(),
    };
    store
        .services()
        .set_applied(&reference, Some(&applied))
        .await
        .expect("kept");
    let there = store.services().find(&reference).await.expect("there");
    assert_eq!(there.applied, Some(applied));
    store
        .services()
        .set_applied(&reference, None)
        .await
        .expect("forgotten");
    assert_eq!(
        store.services().find(&reference).await.expect("there").applied,
        None
    );
}
