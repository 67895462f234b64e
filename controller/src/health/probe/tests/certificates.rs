//! Certificates, good and bad.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::servers::{Authority, Served, page, says, server};
use super::{asked_with, assert_is};
use crate::health::probe::Means;
use crate::model::{Answer, Status};

const NAME: &str = "cloud.kita.test";

async fn judged(authority: &Authority, question: Value) -> Answer {
    let means = Means {
        authority: Some(authority.certificate.pem()),
        ..Means::default()
    };
    asked_with(means, question).await
}

fn about(port: u16) -> Value {
    json!({ "kind": "tls", "domain": NAME, "port": port, "trust": "internal", "timeout": 2 })
}

#[tokio::test]
async fn a_good_certificate_tells_its_days_and_a_short_one_warns() {
    let authority = Authority::new("Allmende authority");
    for (until, status, words) in [
        (60, Status::Ok, "is good, for 59 more days"),
        (14, Status::Warning, "expires in 13 days"),
        (3, Status::Critical, "expires in 2 days"),
    ] {
        let port = authority.issue(NAME, (-10, until)).says("").await;
        let answer = judged(&authority, about(port)).await;
        assert_is(&answer, status, words, &until.to_string());
        let figure = answer.figure.expect("a figure");
        assert_eq!((figure.value, figure.unit.as_str()), ((until - 1) as f64, "d"));
    }
}

#[tokio::test]
async fn each_bad_certificate_has_its_own_words_and_a_next_step() {
    let authority = Authority::new("Allmende authority");
    let stranger = Authority::new("Somebody else");
    let between = authority.below("Let's practise R3");
    let mut whole = between.issue(NAME, (-1, 60));
    whole.chain.push(between.certificate.der().clone());
    let port = whole.says("").await;
    assert_is(
        &judged(&authority, about(port)).await,
        Status::Ok,
        "is good",
        "whole chain",
    );
    let cases = [
        (authority.issue(NAME, (-90, -3)), "internal", "expired 3 days ago"),
        (authority.issue(NAME, (-90, 0)), "internal", "expired today"),
        (authority.issue(NAME, (2, 60)), "internal", "not valid yet"),
        (
            authority.issue("other.kita.test", (-1, 60)),
            "internal",
            "but for other.kita.test",
        ),
        (
            stranger.issue(NAME, (-1, 60)),
            "internal",
            "does not come from Allmende's own authority but from Somebody else",
        ),
        (
            Served::by_itself(NAME),
            "known",
            "issued the certificate for cloud.kita.test to itself",
        ),
        (
            between.issue(NAME, (-1, 60)),
            "known",
            "lacks the intermediate certificate of Let's practise R3",
        ),
        // Anybody may have signed it, but not for another name, and not long ago.
        (
            Served::by_itself("other.kita.test"),
            "anybody",
            "but for other.kita.test",
        ),
        (stranger.issue(NAME, (-90, -3)), "anybody", "expired 3 days ago"),
    ];
    for (served, trust, words) in cases {
        let port = served.says("").await;
        let mut question = about(port);
        question["trust"] = trust.into();
        let answer = judged(&authority, question).await;
        assert_is(&answer, Status::Critical, words, words);
        assert!(answer.advice.is_some(), "{words}");
    }
}

#[tokio::test]
async fn who_trusts_anybody_only_looks_at_name_and_days() {
    let authority = Authority::new("Allmende authority");
    let port = Served::by_itself(NAME).says("").await;
    let mut question = about(port);
    question["trust"] = "anybody".into();
    assert_is(&judged(&authority, question).await, Status::Ok, "is good", "");
}

#[tokio::test]
async fn what_speaks_no_tls_or_not_to_its_end_is_told() {
    let authority = Authority::new("Allmende authority");
    let plain = says("HTTP/1.1 400 Bad Request\r\n\r\n").await;
    // A plain server waits for the end of a request that it does not understand.
    let answer = judged(&authority, about(plain)).await;
    assert_is(&answer, Status::Critical, "had not finished", "plain");
    let quick = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let answer = judged(&authority, about(quick)).await;
    assert_is(&answer, Status::Critical, "speaks no encryption", "quick");
    let rude = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let answer = judged(&authority, about(rude)).await;
    assert_is(&answer, Status::Critical, "hung up", "rude");
    // An alert (fatal, protocol version), as old servers send it.
    let old = server(|mut stream| async move {
        let _ = stream.read(&mut [0; 4096]).await;
        let _ = stream.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).await;
        let _ = stream.read(&mut [0; 4096]).await;
    })
    .await;
    let answer = judged(&authority, about(old)).await;
    assert_is(&answer, Status::Critical, "outdated encryption", "old");
}

#[tokio::test]
async fn a_page_whose_certificate_is_bad_is_not_even_asked_for() {
    let authority = Authority::new("Allmende authority");
    let asked = Arc::<AtomicUsize>::default();
    for (days, good) in [((-1, 60), true), ((-90, -3), false)] {
        let counted = Arc::clone(&asked);
        let acceptor = authority.issue(NAME, days).acceptor();
        let port = server(move |stream| {
            let (acceptor, counted) = (acceptor.clone(), Arc::clone(&counted));
            async move {
                let Ok(mut stream) = acceptor.accept(stream).await else {
                    return;
                };
                if stream.read(&mut [0; 4096]).await.is_ok_and(|length| length > 0) {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let _ = stream.write_all(page(200, "", "hello").as_bytes()).await;
                }
            }
        })
        .await;
        let question =
            json!({ "kind": "http", "url": format!("https://{NAME}:{port}/"), "contains": "hello" });
        let answer = judged(&authority, question).await;
        let (status, words) = match good {
            true => (Status::Ok, "answers as it should"),
            false => (Status::Critical, "expired 3 days ago"),
        };
        assert_is(&answer, status, words, "");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}
