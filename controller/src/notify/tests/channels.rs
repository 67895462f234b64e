//! Every channel against another side, in good and bad moods.

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::other_sides::{MailServer, Mood, Reply, WebServer};
use super::*;
use crate::model::{DeliveryState, Encryption, Server};

const PASSWORD: &str = "hunter2-hunter2";

fn mail(server: &MailServer, encryption: Encryption) -> Way {
    Way::Mail {
        server: Server {
            host: "127.0.0.1".to_owned(),
            port: Some(server.port),
        },
        encryption,
        from: "Allmende <allmende@example.org>".to_owned(),
        user: Some("allmende".to_owned()),
        ca: Some(server.certificate.clone()),
    }
}

async fn one_alert(world: &World, channel: &str) -> Timestamp {
    let start = at("2026-11-23T09:00:00Z");
    world.person(&person("anna")).await;
    world.rule(&rule("anna", channel, Threshold::Warning)).await;
    world.opens("page", Status::Critical, start).await;
    start
}

fn minutes(minutes: i64) -> jiff::SignedDuration {
    jiff::SignedDuration::from_mins(minutes)
}

/// What the store holds must not show a secret.
async fn assert_no_secret(world: &World, secrets: &[&str]) {
    let notifications = world.store.notifications();
    let kept = format!(
        "{} {:?}",
        serde_json::to_string(&notifications.deliveries(100).await.expect("a log")).expect("JSON"),
        notifications.channels().await.expect("channels"),
    );
    for secret in secrets {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }
}

#[tokio::test]
async fn mail_goes_out_encrypted_with_a_subject_and_text_that_people_can_read() {
    for wrapped in [false, true] {
        let world = World::new().await;
        let server = MailServer::start(wrapped).await;
        let encryption = if wrapped {
            Encryption::Tls
        } else {
            Encryption::Starttls
        };
        world
            .channel("mail", mail(&server, encryption), Some(PASSWORD))
            .await;
        let start = one_alert(&world, "mail").await;
        world.tick(start).await;
        let sent = world.tick(start + minutes(1)).await;
        let log = world.store.notifications().deliveries(10).await.expect("a log");
        assert_eq!(sent.arrived, 1, "{log:?}");
        let mails = server.taken();
        let [taken] = mails.as_slice() else {
            panic!("{mails:?}")
        };
        assert!(taken.encrypted && taken.account.is_some());
        assert_eq!(taken.to, "anna@example.org");
        for line in [
            "To: anna@example.org",
            "Auto-Submitted: auto-generated",
            "Content-Type: text/plain; charset=utf-8",
        ] {
            assert!(taken.text.contains(line), "{line} in {}", taken.text);
        }
        let id = format!("Message-ID: <{}@example.org>", log[0].uid);
        assert!(taken.text.contains(&id), "{id} in {}", taken.text);
        assert_eq!(log[0].state, DeliveryState::Sent);
        assert_eq!(log[0].answer.as_deref(), Some("250 2.0.0 taken as 4711"));
    }
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_gets_neither_mail_nor_password() {
    let world = World::new().await;
    let server = MailServer::start(false).await;
    let mut way = mail(&server, Encryption::Starttls);
    if let Way::Mail { ca, .. } = &mut way {
        *ca = None;
    }
    world.channel("mail", way, Some(PASSWORD)).await;
    world.person(&person("anna")).await;
    let outcome = world
        .sender()
        .try_out(&name("mail"), &name("anna"), at("2026-11-23T09:00:00Z"))
        .await
        .expect("is tried");
    let failure = outcome.expect_err("refused");
    assert!(failure.said.contains("certificate"), "{}", failure.said);
    assert!(server.taken().is_empty());
}

#[tokio::test]
async fn a_wrong_password_is_the_channels_fault_and_is_not_shown() {
    let world = World::new().await;
    let server = MailServer::start(false).await;
    server.set(Mood::WrongPassword);
    world
        .channel("mail", mail(&server, Encryption::Starttls), Some(PASSWORD))
        .await;
    let start = one_alert(&world, "mail").await;
    world.tick(start).await;
    let sent = world.tick(start + minutes(1)).await;
    assert_eq!((sent.arrived, sent.failed), (0, 1));
    assert_no_secret(&world, &[PASSWORD]).await;
    let (_, health) = world
        .store
        .notifications()
        .channel(&name("mail"))
        .await
        .expect("is there");
    let error = health.last_error.expect("an error");
    assert!(error.contains("535") && error.contains("•••"), "{error}");
    // The next attempt comes after a while, not at once.
    assert_eq!(world.tick(start + minutes(1)).await, Sent::default());
    server.set(Mood::Good);
    assert_eq!(world.tick(start + minutes(3)).await.arrived, 1);
}

#[tokio::test]
async fn an_address_that_nobody_has_is_reported_to_the_next_person_with_what_they_missed() {
    let world = World::new().await;
    let server = MailServer::start(false).await;
    let hook = WebServer::start().await;
    world
        .channel("mail", mail(&server, Encryption::Starttls), Some(PASSWORD))
        .await;
    world
        .channel(
            "hook",
            Way::Webhook {
                url: hook.url.clone(),
            },
            Some("signing-key"),
        )
        .await;
    let start = one_alert(&world, "mail").await;
    let mut bea = person("bea");
    bea.language = Language::En;
    bea.mail = None;
    world.person(&bea).await;
    world.rule(&rule("bea", "hook", Threshold::Nothing)).await;
    server.set(Mood::UnknownRecipient);
    world.tick(start).await;
    world.tick(start + minutes(1)).await;
    world.tick(start + minutes(2)).await;
    let taken = hook.taken();
    assert_eq!(taken.len(), 1, "{taken:?}");
    let told = taken[0].json();
    assert_eq!(told["kind"], "channel_failing");
    let text = told["text"].as_str().expect("text");
    assert!(text.contains("550") && text.contains("The web page"), "{text}");
    world.tick(start + minutes(90)).await;
    assert_eq!(hook.taken().len(), 1, "once");
}

#[tokio::test]
async fn what_may_pass_is_tried_again_under_the_same_name() {
    let world = World::new().await;
    let server = MailServer::start(false).await;
    world
        .channel("mail", mail(&server, Encryption::Starttls), Some(PASSWORD))
        .await;
    let start = one_alert(&world, "mail").await;
    server.set(Mood::Greylisting);
    world.tick(start).await;
    assert_eq!(world.tick(start + minutes(1)).await.failed, 1);
    let before = world.store.notifications().deliveries(10).await.expect("a log");
    assert_eq!(before[0].state, DeliveryState::Waiting);
    server.set(Mood::Good);
    assert_eq!(world.tick(start + minutes(2)).await.arrived, 1);
    let after = world.store.notifications().deliveries(10).await.expect("a log");
    assert_eq!((after[0].attempts, &after[0].uid), (2, &before[0].uid));
}

#[tokio::test]
async fn a_silent_server_is_given_up_on_and_does_not_hold_up_others() {
    let world = World::new().await;
    let server = MailServer::start(true).await;
    let hook = WebServer::start().await;
    server.set(Mood::Silent);
    world
        .channel("mail", mail(&server, Encryption::Tls), Some(PASSWORD))
        .await;
    world
        .channel(
            "hook",
            Way::Webhook {
                url: hook.url.clone(),
            },
            Some("signing-key"),
        )
        .await;
    let start = one_alert(&world, "mail").await;
    world.rule(&rule("anna", "hook", Threshold::Warning)).await;
    route(&world.store, start).await.expect("routes");
    let sender = world.sender().hurried(Duration::from_millis(300));
    let sent = sender.send_due(start + minutes(1)).await.expect("sends");
    assert_eq!((sent.arrived, sent.failed), (1, 1));
    let (_, health) = world
        .store
        .notifications()
        .channel(&name("mail"))
        .await
        .expect("is there");
    assert!(health.last_error.expect("an error").contains("no answer"));
}

#[tokio::test]
async fn a_web_hook_that_never_answers_is_tried_again_and_its_address_is_not_shown() {
    let world = World::new().await;
    let hook = WebServer::start().await;
    let url = format!("{}/confidential-path", hook.url);
    world
        .channel("hook", Way::Webhook { url }, Some("signing-key"))
        .await;
    let start = one_alert(&world, "hook").await;
    hook.next(Reply::Hang);
    route(&world.store, start).await.expect("routes");
    let sender = world.sender().hurried(Duration::from_millis(300));
    let sent = sender.send_due(start + minutes(1)).await.expect("sends");
    assert_eq!((sent.arrived, sent.failed), (0, 1));
    let log = world.store.notifications().deliveries(10).await.expect("a log");
    assert_eq!(log[0].state, DeliveryState::Waiting);
    let said = log[0].answer.as_deref().expect("an answer");
    assert!(
        said.contains("no answer") && !said.contains("confidential"),
        "{said}"
    );
    assert_eq!(world.tick(start + minutes(2)).await.arrived, 1);
}

#[tokio::test]
async fn a_web_hook_is_signed_over_time_and_body_and_says_all_that_a_program_needs() {
    let world = World::new().await;
    let hook = WebServer::start().await;
    let url = format!("{}/secret-path", hook.url);
    world
        .channel("hook", Way::Webhook { url }, Some("correct-horse-battery"))
        .await;
    let start = one_alert(&world, "hook").await;
    world.tick(start).await;
    assert_eq!(world.tick(start + minutes(1)).await.arrived, 1);
    let taken = hook.taken();
    let request = &taken[0];
    assert_eq!(request.line, "POST /secret-path HTTP/1.1");
    let signature = request.header(webhook::SIGNATURE).expect("a signature");
    let (time, code) = signature.split_once(",v1=").expect("two parts");
    let mut mac = Hmac::<Sha256>::new_from_slice(b"correct-horse-battery").expect("a key");
    mac.update(format!("{}.{}", &time[2..], request.body).as_bytes());
    let expected: String = mac
        .finalize()
        .into_bytes()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    assert_eq!(code, expected);
    let body = request.json();
    assert_eq!(body["version"], 1);
    assert_eq!(body["severity"], "critical");
    assert_eq!(body["incidents"][0]["subject"], "kita-sonne/cloud");
    assert_eq!(request.header(webhook::DELIVERY), body["id"].as_str());
}

#[tokio::test]
async fn ntfy_gets_title_priority_and_token_and_its_topic_is_treated_as_a_secret() {
    let world = World::new().await;
    let server = WebServer::start().await;
    world
        .channel(
            "ntfy",
            Way::Ntfy {
                url: server.url.clone(),
            },
            Some("tk_secret_token"),
        )
        .await;
    let start = one_alert(&world, "ntfy").await;
    server.next(Reply::Status(
        403,
        "",
        "no access to anna-long-topic with tk_secret_token".to_owned(),
    ));
    server.next(Reply::Status(200, "", r#"{"id":"abc"}"#.to_owned()));
    world.tick(start).await;
    assert_eq!(world.tick(start + minutes(1)).await.failed, 1);
    assert_no_secret(&world, &["tk_secret_token", "anna-long-topic"]).await;
    let sent = world.sender().send_due(start + minutes(2)).await.expect("sends");
    assert_eq!(sent.arrived, 1);
    let taken = server.taken();
    let body = taken[1].json();
    assert_eq!(body["topic"], "anna-long-topic");
    assert_eq!(
        (&body["priority"], &body["tags"][0]),
        (&json!(5), &json!("rotating_light"))
    );
    assert!(body["message"].as_str().expect("text").contains("502"));
    assert_eq!(taken[1].header("authorization"), Some("Bearer tk_secret_token"));
    assert_eq!(taken[0].json()["sequence_id"], body["sequence_id"]);
}

#[tokio::test]
async fn matrix_gets_the_same_transaction_for_every_attempt() {
    let world = World::new().await;
    let server = WebServer::start().await;
    world
        .channel(
            "matrix",
            Way::Matrix {
                url: server.url.clone(),
            },
            Some("syt_secret_token"),
        )
        .await;
    let start = one_alert(&world, "matrix").await;
    server.next(Reply::HangUp);
    server.next(Reply::Status(200, "", r#"{"event_id":"$abc"}"#.to_owned()));
    world.tick(start).await;
    // A request on which the connection broke is perhaps repeated at once: that must not matter either.
    world.tick(start + minutes(1)).await;
    world.tick(start + minutes(2)).await;
    let taken = server.taken();
    assert!(taken.len() >= 2, "{taken:?}");
    assert!(
        taken.iter().all(|request| request.line == taken[0].line),
        "{taken:?}"
    );
    assert!(
        taken[0]
            .line
            .starts_with("PUT /_matrix/client/v3/rooms/!anna:example.org/send/m.room.message/"),
        "{}",
        taken[0].line
    );
    let log = world.store.notifications().deliveries(10).await.expect("a log");
    assert_eq!(log[0].state, DeliveryState::Sent);
    assert_no_secret(&world, &["syt_secret_token"]).await;
}

#[tokio::test]
async fn a_side_that_asks_for_rest_is_left_alone() {
    let world = World::new().await;
    let server = WebServer::start().await;
    world
        .channel(
            "ntfy",
            Way::Ntfy {
                url: server.url.clone(),
            },
            None,
        )
        .await;
    let start = one_alert(&world, "ntfy").await;
    server.next(Reply::Status(429, "retry-after: 600\r\n", "slow down".to_owned()));
    world.tick(start).await;
    world.tick(start + minutes(1)).await;
    world.tick(start + minutes(9)).await;
    assert_eq!(server.taken().len(), 1);
    assert_eq!(world.tick(start + minutes(12)).await.arrived, 1);
}

#[tokio::test]
async fn a_token_is_not_carried_to_where_an_answer_points() {
    let world = World::new().await;
    let (server, elsewhere) = (WebServer::start().await, WebServer::start().await);
    world
        .channel(
            "ntfy",
            Way::Ntfy {
                url: server.url.clone(),
            },
            Some("tk_secret_token"),
        )
        .await;
    world.person(&person("anna")).await;
    let header: &'static str = format!("location: {}\r\n", elsewhere.url).leak();
    server.next(Reply::Status(307, header, String::new()));
    let outcome = world
        .sender()
        .try_out(&name("ntfy"), &name("anna"), at("2026-11-23T09:00:00Z"))
        .await
        .expect("is tried");
    assert!(outcome.expect_err("refused").said.contains("another address"));
    assert!(elsewhere.taken().is_empty());
}

#[tokio::test]
async fn the_dead_mans_switch_calls_its_address_and_keeps_it_to_itself() {
    let world = World::new().await;
    let server = WebServer::start().await;
    let settings = crate::settings::Deadman {
        url: Some(format!("{}/ping/uuid-like-a-password", server.url)),
        away_minutes: 10,
    };
    let now = at("2026-11-23T09:00:00Z");
    deadman::ping(&world.store, &settings, now)
        .await
        .expect("is called");
    assert_eq!(server.taken()[0].json()["failing_channels"], 0);
    server.next(Reply::Status(503, "", String::new()));
    let failure = deadman::ping(&world.store, &settings, now)
        .await
        .expect_err("fails");
    assert!(!failure.said.contains("uuid-like"), "{}", failure.said);
}
