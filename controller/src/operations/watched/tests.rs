//! The list of what is watched, over a real data directory.

use allmende_agent::protocol::Facts;
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::catalogue::Question;
use crate::model::{Applied, HostKey, Parameters, Sector};

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn host(text: &str) -> Host {
    Host {
        name: name(text),
        organisation: None,
        address: "192.0.2.7".to_owned(),
        port: 22,
        host_key: HostKey("ssh-ed25519 AAAA".to_owned()),
        jumps: Vec::new(),
        lock: None,
        location: None,
        provider: None,
        monthly_cost: None,
        settings: Parameters::new(),
        facts: Facts {
            os: "debian".to_owned(),
            release: "13".to_owned(),
            codename: "trixie".to_owned(),
            memory_mb: 2048,
            cpus: 2,
            ..Facts::default()
        },
        seen_at: jiff::Timestamp::UNIX_EPOCH,
    }
}

/// A controller with two organisations, and these hosts.
async fn controller(hosts: impl IntoIterator<Item = Host>) -> (TempDir, Controller) {
    let folder = TempDir::new().expect("a folder");
    Controller::init(folder.path()).await.expect("is made");
    let controller = Controller::open(folder.path(), &[]).await.expect("opens");
    for text in ["kita-sonne", "wg-nord"] {
        let organisation = Organisation {
            name: name(text),
            title: text.to_owned(),
            sector: Sector::Kita,
            place: None,
            contacts: Vec::new(),
        };
        controller
            .store
            .organisations()
            .add(&organisation)
            .await
            .expect("added");
    }
    for host in hosts {
        controller.store.hosts().add(&host).await.expect("added");
    }
    (folder, controller)
}

async fn serve(controller: &Controller, organisation: &str, service: &str, host: &str, domain: &str) {
    let service = Service {
        name: name(service),
        organisation: name(organisation),
        host: name(host),
        template: "dokuwiki".to_owned(),
        parameters: [("domain".to_owned(), domain.to_owned())].into(),
        begun: None,
        applied: None,
    };
    controller.store.services().add(&service).await.expect("added");
    let applied = Applied {
        at: jiff::Timestamp::UNIX_EPOCH,
        job: 1,
        parameters: Parameters::new(),
    };
    let services = controller.store.services();
    services
        .set_applied(&service.reference(), Some(&applied))
        .await
        .expect("set");
}

fn added(key: &str, definition: serde_json::Value) -> AddedCheck {
    AddedCheck {
        key: key.parse().expect(key),
        definition,
    }
}

fn page(id: &str) -> serde_json::Value {
    json!({
        "id": id, "kind": "http", "url": "https://example.org/", "every": 60,
        "title": { "de": "x", "en": "x" }, "advice": { "de": "x", "en": "x" },
    })
}

fn keys(list: &WatchList) -> Vec<String> {
    list.watched
        .iter()
        .map(|watched| watched.key.to_string())
        .collect()
}

fn find<'a>(list: &'a WatchList, key: &str) -> &'a Watched {
    let mut all = list.watched.iter();
    all.find(|watched| watched.key.to_string() == key)
        .unwrap_or_else(|| panic!("{key} is not watched: {:?}", keys(list)))
}

#[tokio::test]
async fn a_broken_template_takes_its_service_out_of_the_list_and_not_its_host() {
    let (folder, controller) = controller([host("web1")]).await;
    serve(&controller, "kita-sonne", "wiki", "web1", "wiki.kita.test").await;
    let templates = folder.path().join("templates");
    std::fs::create_dir_all(templates.join("dokuwiki")).expect("made");
    std::fs::write(templates.join("dokuwiki/service.toml"), "format = 1\n").expect("written");
    let controller = Controller::open(folder.path(), &[templates])
        .await
        .expect("opens");
    let list = controller.watched().await.expect("listed");
    assert!(
        list.watched
            .iter()
            .any(|watched| watched.key.to_string() == "web1:contact")
    );
    let problems: Vec<String> = list
        .problems
        .iter()
        .map(|(subject, _)| subject.to_string())
        .collect();
    assert_eq!(problems, ["kita-sonne/wiki"]);
}

#[tokio::test]
async fn checks_of_templates_and_of_people_are_watched_with_whom_they_concern() {
    let (_folder, controller) = controller([host("web1"), host("web2")]).await;
    serve(&controller, "kita-sonne", "wiki", "web1", "wiki.kita-sonne.test").await;
    serve(&controller, "wg-nord", "wiki", "web1", "wiki.wg-nord.de").await;
    for check in [
        added("allmende:internet", page("internet")),
        added("web2:page", page("page")),
        // It counts where a template has one of the same name.
        added("wg-nord/wiki:page", page("page")),
    ] {
        controller.store.checks().add(&check).await.expect("added");
    }
    let list = controller.watched().await.expect("is worked out");
    assert_eq!(list.problems, []);
    let shared = find(&list, "web1:contact");
    let concerned = BTreeSet::from([name("kita-sonne"), name("wg-nord")]);
    assert_eq!((*shared.organisations).clone(), concerned);
    assert!(!shared.added && shared.host.is_some());
    assert!(find(&list, "allmende:internet").host.is_none());
    let own = find(&list, "wg-nord/wiki:page");
    assert!(own.added && own.organisations.len() == 1);
    assert!(!find(&list, "kita-sonne/wiki:page").added);
    assert_eq!(
        find(&list, "kita-sonne/wiki:page")
            .host
            .as_ref()
            .map(|host| host.name.as_str()),
        Some("web1")
    );
    // Only a name that everybody may look up is looked up.
    find(&list, "wg-nord/wiki:name");
    let keys = keys(&list);
    assert!(!keys.iter().any(|key| key == "kita-sonne/wiki:name"), "{keys:?}");
    let mut once = keys.clone();
    once.sort();
    once.dedup();
    assert_eq!(once.len(), keys.len(), "{keys:?}");
}

#[tokio::test]
async fn the_end_of_support_is_watched_of_each_system_and_of_what_it_ships() {
    let mut ubuntu = host("noble");
    (ubuntu.facts.os, ubuntu.facts.release) = ("ubuntu".to_owned(), "24.04".to_owned());
    let mut unknown = host("sid");
    unknown.facts.release = "sid".to_owned();
    let (_folder, controller) = controller([host("web1"), ubuntu, unknown]).await;
    serve(&controller, "kita-sonne", "wiki", "web1", "wiki.kita.test").await;
    let list = controller.watched().await.expect("is worked out");
    let end = |key: &str| match &find(&list, key).check.question {
        Question::Date(check) => check.date.to_string(),
        other => panic!("{key}: {other:?}"),
    };
    assert_eq!(end("web1:support"), "2030-06-30");
    assert_eq!(end("noble:support"), "2029-05-31");
    assert_eq!(end("kita-sonne/wiki:end-of-life"), "2030-06-30");
    assert_eq!(
        find(&list, "kita-sonne/wiki:end-of-life").check.needs,
        ["support"]
    );
    assert!(!keys(&list).contains(&"sid:support".to_owned()));
    assert_eq!(list.problems, []);
}

#[tokio::test]
async fn what_was_never_set_up_is_not_watched_and_what_cannot_be_is_told() {
    let (_folder, controller) = controller([host("web1")]).await;
    let template = |template: &str| Service {
        name: name(template),
        organisation: name("kita-sonne"),
        host: name("web1"),
        template: template.to_owned(),
        parameters: [("domain".to_owned(), "wiki.kita-sonne.test".to_owned())].into(),
        begun: None,
        applied: None,
    };
    controller
        .store
        .services()
        .add(&template("dokuwiki"))
        .await
        .expect("added");
    serve(&controller, "kita-sonne", "wiki", "web1", "no domain").await;
    controller
        .store
        .checks()
        .add(&added("web1:old", json!({ "kind": "gopher" })))
        .await
        .expect("added");
    let list = controller.watched().await.expect("is worked out");
    let keys = keys(&list);
    assert!(keys.iter().all(|key| key.starts_with("web1:")), "{keys:?}");
    let problems: Vec<String> = list
        .problems
        .iter()
        .map(|(subject, problem)| format!("{subject} {problem}"))
        .collect();
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("web1 the check web1:old cannot be read"),
        "{problems:?}"
    );
    assert!(
        problems[1].starts_with("kita-sonne/wiki") && problems[1].contains("domain"),
        "{problems:?}"
    );
}

#[tokio::test]
async fn only_what_has_changed_is_rendered_anew() {
    let (_folder, controller) = controller([host("web1"), host("web2")]).await;
    serve(&controller, "kita-sonne", "wiki", "web1", "wiki.kita-sonne.test").await;
    let mut watching = Watching::default();
    let first = watching.list(&controller).await.expect("is worked out");
    let hosts = controller.store.hosts();
    // How full a host is, and when it was seen, is no reason.
    let facts = Facts {
        disk_free_mb: 7,
        uptime_seconds: 99,
        ..host("web1").facts
    };
    hosts
        .set_facts(&name("web1"), &facts, jiff::Timestamp::now())
        .await
        .expect("set");
    hosts
        .update(&name("web2"), |host| host.port = 2222)
        .await
        .expect("changed");
    let second = watching.list(&controller).await.expect("is worked out");
    assert_eq!(keys(&first), keys(&second));
    let same = |key: &str| Arc::ptr_eq(&find(&first, key).check, &find(&second, key).check);
    assert!(same("web1:contact") && same("kita-sonne/wiki:page"));
    assert!(!same("web2:contact"));
    controller
        .store
        .services()
        .remove(&"kita-sonne/wiki".parse().expect("a reference"))
        .await
        .expect("removed");
    let third = watching.list(&controller).await.expect("is worked out");
    assert!(keys(&third).iter().all(|key| !key.starts_with("kita-sonne")));
}

/// For `tests/bench/probes.sh`.
#[tokio::test]
#[ignore = "a benchmark"]
async fn benchmark_of_a_thousand_hosts() {
    let (_folder, controller) = controller((0..1000).map(|number| host(&format!("web{number}")))).await;
    for number in 0..1000 {
        let host = format!("web{number}");
        for service in ["a", "b"] {
            let service = format!("{service}{number}");
            serve(
                &controller,
                "kita-sonne",
                &service,
                &host,
                &format!("{service}.test"),
            )
            .await;
        }
    }
    let mut watching = Watching::default();
    for what in ["first", "again", "again"] {
        let begun = std::time::Instant::now();
        let list = watching.list(&controller).await.expect("is worked out");
        let took = begun.elapsed().as_millis();
        println!(
            "list of {} checks of 1,000 hosts and 2,000 services, {what}: {took} ms",
            list.watched.len()
        );
    }
}
