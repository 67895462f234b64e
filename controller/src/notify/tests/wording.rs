//! What the messages say.

use super::message::{Message, compose};
use super::*;
use crate::model::{
    Content, Delivery, DeliveryKind, DeliveryState, Digest, DigestIncident, DigestJob, IncidentNotice,
    NoticeKind, Parcel, Text,
};

fn text(de: &str, en: &str) -> Text {
    Text {
        de: de.to_owned(),
        en: en.to_owned(),
    }
}

fn notice(incident: i64, severity: Status, kind: NoticeKind) -> IncidentNotice {
    IncidentNotice {
        event: incident,
        incident,
        kind,
        severity,
        subject: "kita-sonne/cloud".to_owned(),
        organisation: Some(name("kita-sonne")),
        title: text("Die Webseite", "The web page"),
        sentence: match kind {
            NoticeKind::Recovered => text("Die Seite antwortet wieder.", "The page answers again."),
            _ => text(
                "Die Seite antwortet nicht: Fehler 502 (Bad Gateway).",
                "The page does not answer: error 502 (Bad Gateway).",
            ),
        },
        advice: Some(text(
            "Sieh nach, ob der Dienst läuft: allmende service show kita-sonne/cloud",
            "See whether the service is running: allmende service show kita-sonne/cloud",
        )),
        since: at("2026-11-23T08:57:00Z"),
        at: at("2026-11-23T12:20:00Z"),
        acknowledged_until: None,
    }
}

fn parcel(kind: DeliveryKind, content: Content, notices: Vec<IncidentNotice>) -> Parcel {
    Parcel {
        delivery: Delivery {
            id: 1,
            uid: "0123456789abcdef".to_owned(),
            kind,
            person: name("bea"),
            channel: name("mail"),
            state: DeliveryState::Sending,
            created_at: at("2026-11-23T12:20:00Z"),
            due_at: at("2026-11-23T12:20:00Z"),
            attempts: 1,
            sent_at: None,
            answer: None,
            about: Vec::new(),
        },
        content,
        notices,
        reply_to: None,
    }
}

/// Every message that there is.
fn all() -> Vec<Parcel> {
    let failing = |person: Option<&str>| Content::Channel {
        channel: name("mail"),
        error:
            "smtp.example.org:587 did not take the mail: permanent error (535): 5.7.8 authentication failed"
                .to_owned(),
        since: at("2026-11-23T09:00:00Z"),
        undelivered: vec![text(
            "kita-sonne/cloud: Die Webseite (für Anna Muster)",
            "kita-sonne/cloud: The web page (for Anna Muster)",
        )],
        person: person.map(str::to_owned),
    };
    let mut disk = notice(13, Status::Warning, NoticeKind::Opened);
    disk.subject = "web1".to_owned();
    disk.organisation = None;
    disk.title = text("Speicherplatz", "Disk space");
    disk.sentence = text("Es sind noch 4 % frei.", "4 % are left.");
    disk.advice = None;
    let digest = Digest {
        organisation: name("kita-sonne"),
        from: at("2026-11-16T06:00:00Z"),
        until: at("2026-11-23T06:00:00Z"),
        added: vec![text("Dienst wiki (dokuwiki)", "service wiki (dokuwiki)")],
        removed: vec![text("Server alt1", "host alt1")],
        incidents: vec![
            DigestIncident {
                subject: "kita-sonne/cloud".to_owned(),
                title: text("Die Webseite", "The web page"),
                since: at("2026-11-18T09:00:00Z"),
                until: Some(at("2026-11-18T09:42:00Z")),
            },
            DigestIncident {
                subject: "web1".to_owned(),
                title: text("Speicherplatz", "Disk space"),
                since: at("2026-11-20T09:00:00Z"),
                until: None,
            },
        ],
        done: vec![
            DigestJob {
                title: "apply web1".to_owned(),
                at: at("2026-11-19T03:00:00Z"),
                succeeded: true,
            },
            DigestJob {
                title: "apply web2".to_owned(),
                at: at("2026-11-18T03:00:00Z"),
                succeeded: false,
            },
        ],
        uptime: vec![("kita-sonne/cloud".to_owned(), 99.58)],
        attention: vec![text(
            "web1 – Speicherplatz ist noch gestört",
            "web1 – Disk space is still not well",
        )],
    };
    let critical = notice(12, Status::Critical, NoticeKind::Opened);
    vec![
        parcel(DeliveryKind::Alert, Content::Incidents, vec![critical.clone()]),
        parcel(DeliveryKind::Alert, Content::Incidents, vec![disk, critical]),
        parcel(
            DeliveryKind::Alert,
            Content::Incidents,
            vec![notice(12, Status::Critical, NoticeKind::Flapping)],
        ),
        parcel(
            DeliveryKind::Reminder,
            Content::Incidents,
            vec![notice(12, Status::Critical, NoticeKind::Reminder)],
        ),
        parcel(
            DeliveryKind::Recovery,
            Content::Incidents,
            vec![notice(12, Status::Ok, NoticeKind::Recovered)],
        ),
        parcel(
            DeliveryKind::Digest,
            Content::Digest(Box::new(digest)),
            Vec::new(),
        ),
        parcel(DeliveryKind::ChannelFailing, failing(None), Vec::new()),
        parcel(
            DeliveryKind::ChannelFailing,
            failing(Some("Anna Muster")),
            Vec::new(),
        ),
        parcel(DeliveryKind::ChannelRecovered, failing(None), Vec::new()),
        parcel(
            DeliveryKind::Away,
            Content::Away {
                from: at("2026-11-23T02:10:00Z"),
                until: at("2026-11-23T06:45:00Z"),
            },
            Vec::new(),
        ),
        parcel(DeliveryKind::Test, Content::Test, Vec::new()),
    ]
}

fn written(parcel: &Parcel, language: Language) -> Message {
    let mut bea = person("bea");
    bea.title = "Bea Beispiel".to_owned();
    bea.language = language;
    let organisation = Organisation {
        name: name("kita-sonne"),
        title: "KiTa Sonne e.V.".to_owned(),
        sector: Sector::Kita,
        place: None,
        contacts: vec!["Anna Muster, Leitung, 0431 123456".parse().expect("a contact")],
    };
    let now = at("2026-11-23T12:20:00Z");
    compose(parcel, &bea, &[organisation], now).unwrap_or_else(|error| panic!("{error:#}"))
}

#[test]
fn every_message_can_be_written_in_both_languages() {
    for language in [Language::De, Language::En] {
        let texts: String = all()
            .iter()
            .map(|parcel| {
                let message = written(parcel, language);
                assert!(!message.subject.contains(['{', '\n']), "{}", message.subject);
                assert!(!message.brief.is_empty());
                assert!(!message.body.contains("\n\n\n"), "{}", message.body);
                format!(
                    "==== {}\n{}\n---- {:?}\n{}\n\n",
                    message.subject, message.body, message.severity, message.brief
                )
            })
            .collect();
        insta::assert_snapshot!(format!("messages_{language}"), texts);
    }
}

#[test]
fn what_a_host_says_cannot_add_a_header_or_fill_the_subject() {
    let mut bad = notice(12, Status::Critical, NoticeKind::Opened);
    bad.title = text("x\r\nBcc: everybody@example.org", &"x".repeat(1000));
    let parcel = parcel(DeliveryKind::Alert, Content::Incidents, vec![bad]);
    let german = written(&parcel, Language::De);
    assert!(!german.subject.contains(['\r', '\n']), "{}", german.subject);
    let english = written(&parcel, Language::En);
    assert!(english.subject.chars().count() <= 150, "{}", english.subject);
}
