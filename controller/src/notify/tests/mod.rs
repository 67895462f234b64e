//! Tests with real channels, against other sides that live in the test's process.

mod channels;
mod life;
mod other_sides;
mod promises;
mod wording;

use jiff::Timestamp;
use serde_json::json;
use tempfile::TempDir;

use super::sender::Sent;
use super::*;
use crate::model::{Language, Organisation, Recipient, Rule, Secret, Sector, Status, Threshold, Way, Zone};
use crate::store::{FILE_NAME, Store};
use crate::vault::{SecretScope, Vault};

/// A store and a vault, with incidents to tell of.
struct World {
    _folder: TempDir,
    store: Store,
    vault: Vault,
}

fn name(text: &str) -> Name {
    text.parse().expect(text)
}

fn at(text: &str) -> Timestamp {
    text.parse().expect(text)
}

fn person(text: &str) -> Recipient {
    Recipient {
        name: name(text),
        title: "Anna Muster".to_owned(),
        language: Language::De,
        mail: Some(format!("{text}@example.org")),
        ntfy: Some(format!("{text}-long-topic")),
        matrix: Some(format!("!{text}:example.org")),
        quiet: None,
        zone: Zone::default(),
        second: false,
    }
}

fn rule(person: &str, channel: &str, from: Threshold) -> Rule {
    Rule {
        id: 0,
        organisation: None,
        person: name(person),
        channel: name(channel),
        from,
        delay: 0,
        remind: None,
        digest: false,
    }
}

impl World {
    async fn new() -> Self {
        let folder = TempDir::new().expect("a folder");
        let store = Store::open(&folder.path().join(FILE_NAME)).await.expect("opens");
        Self::with(store, folder).await
    }

    /// In any database; the folder is for the vault's key.
    async fn with(store: Store, folder: TempDir) -> Self {
        Vault::init(folder.path()).expect("a key");
        let vault = Vault::open(store.clone(), folder.path()).await.expect("opens");
        let organisation = Organisation {
            name: name("kita-sonne"),
            title: "KiTa Sonne e.V.".to_owned(),
            sector: Sector::Kita,
            place: None,
            contacts: vec![
                "Anna Muster, Leitung, anna@example.org"
                    .parse()
                    .expect("a contact"),
                "Jörg Beispiel, Vorstand, 0431 123456".parse().expect("a contact"),
            ],
        };
        store.organisations().add(&organisation).await.expect("is added");
        Self {
            _folder: folder,
            store,
            vault,
        }
    }

    async fn channel(&self, channel: &str, way: Way, secret: Option<&str>) {
        let channel = Channel {
            name: name(channel),
            way,
        };
        self.store
            .notifications()
            .add_channel(&channel)
            .await
            .expect("is added");
        if let Some(secret) = secret {
            let secret = Secret::new(secret.to_owned());
            let called = secret_name(&channel.name);
            self.vault
                .put(&SecretScope::Controller, &called, &secret)
                .await
                .expect("is kept");
        }
    }

    async fn person(&self, person: &Recipient) {
        self.store
            .notifications()
            .add_person(person)
            .await
            .expect("is added");
    }

    async fn rule(&self, rule: &Rule) {
        self.store.notifications().add_rule(rule).await.expect("is added");
    }

    fn sender(&self) -> Sender<'_> {
        Sender::new(&self.store, &self.vault, "test").expect("a sender")
    }

    /// An incident of `kita-sonne/cloud`, opened at `at`; says its number.
    async fn opens(&self, check: &str, severity: Status, at: Timestamp) -> i64 {
        let title = json!({ "de": "Die Webseite", "en": "The web page" }).to_string();
        let notifications = self.store.notifications();
        let incident = notifications
            .make_incident(
                "kita-sonne/cloud",
                check,
                &title,
                "kita-sonne",
                severity.as_str(),
                at,
            )
            .await;
        self.happens(incident, "opened", severity, at).await;
        incident
    }

    async fn happens(&self, incident: i64, kind: &str, severity: Status, at: Timestamp) {
        let sentence = match kind {
            "recovered" => json!({
                "de": "Die Seite antwortet wieder in 120 ms.",
                "en": "The page answers again in 120 ms.",
            }),
            _ => json!({
                "de": "Die Seite antwortet nicht: Fehler 502 (Bad Gateway).",
                "en": "The page does not answer: error 502 (Bad Gateway).",
            }),
        };
        let advice = json!({
            "de": "Sieh nach, ob der Dienst läuft: allmende service show kita-sonne/cloud",
            "en": "See whether the service is running: allmende service show kita-sonne/cloud",
        });
        let notifications = self.store.notifications();
        notifications
            .make_event(
                incident,
                kind,
                severity.as_str(),
                &sentence.to_string(),
                &advice.to_string(),
                at,
            )
            .await;
    }

    /// Routes and sends, as a controller does again and again.
    async fn tick(&self, now: Timestamp) -> Sent {
        route(&self.store, now).await.expect("routes");
        self.sender().send_due(now).await.expect("sends")
    }
}
