//! Whatever comes back, an answer is made of it.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use serde_json::{Value, json};
use tokio::runtime::Builder;

use super::servers::{Authority, says};
use super::{asked, check};
use crate::catalogue::Trust;
use crate::health::probe::trust::Judges;
use crate::health::probe::{Means, Prober};
use crate::model::Status;

/// Answers that begin well, and go on anyhow.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let beginning = prop_oneof![
        Just(&b""[..]),
        Just(&b"HTTP/1.1 200 OK\r\n"[..]),
        Just(&b"HTTP/1.1 302 Found\r\nLocation: "[..]),
        Just(&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n"[..]),
        Just(&b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"[..]),
        Just(&b"\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03"[..]),
        Just(&b"\x15\x03\x01\x00\x02\x02"[..]),
    ];
    (beginning, vec(any::<u8>(), 0..400)).prop_map(|(beginning, rest)| [beginning, &rest].concat())
}

fn questions(port: u16) -> [Value; 4] {
    let pointer = json!({ "pointer": "/a", "equals": 1 });
    let location = "https://example.org/";
    [
        json!({ "kind": "http", "url": format!("http://a.test:{port}/"), "timeout": 1, "json": pointer }),
        json!({ "kind": "http", "url": format!("http://a.test:{port}/"), "timeout": 1, "redirect": location }),
        json!({ "kind": "tls", "domain": "a.test", "port": port, "timeout": 1, "trust": "anybody" }),
        json!({ "kind": "tcp", "port": port, "timeout": 1, "banner": "220" }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_become_an_answer_that_cannot_paint(bytes in bytes()) {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            // At once, not when a request was understood: not every question sends one.
            let port = super::servers::server(move |mut stream| {
                let bytes = bytes.clone();
                async move {
                    use tokio::io::AsyncWriteExt;
                    let _ = stream.write_all(&bytes).await;
                    let _ = stream.shutdown().await;
                    tokio::time::sleep(Duration::from_secs(2)).await;
                }
            })
            .await;
            for question in questions(port) {
                let answer = asked(question).await;
                for text in [answer.sentence.de, answer.sentence.en] {
                    assert!(!text.contains(|c: char| c.is_control()), "{text:?}");
                    assert!(text.chars().count() < 1000, "{text}");
                }
            }
        });
    }

    #[test]
    fn spoiled_certificates_are_judged(at in 0usize..600, to in any::<u8>(), length in 0usize..900) {
        let authority = Authority::new("Allmende authority");
        let served = authority.issue("a.test", (-1, 60));
        let mut spoiled = served.chain[0].to_vec();
        let place = at % spoiled.len();
        spoiled[place] = to;
        spoiled.truncate(length);
        let judges = Judges::new(Some(authority.certificate.der().clone()));
        let name = ServerName::try_from("a.test").expect("a name");
        for chain in [vec![spoiled.clone()], vec![served.chain[0].to_vec(), spoiled]] {
            let chain: Vec<CertificateDer<'_>> = chain.into_iter().map(CertificateDer::from).collect();
            for trust in [Trust::Internal, Trust::Anybody] {
                let _ = judges.judge(&chain, &name, trust, UnixTime::now());
            }
        }
    }

    #[test]
    fn any_text_as_an_address_is_asked_or_refused(url in "(https?://)?[a-z0-9.:@/?#\\[\\]%ä-]{0,30}") {
        let question = json!({
            "id": "x", "kind": "http", "url": url,
            "title": { "de": "x", "en": "x" }, "advice": { "de": "x", "en": "x" },
        });
        let check: crate::catalogue::Check = serde_json::from_value(question).expect("a check");
        let _ = check.mistake();
    }
}

#[tokio::test]
async fn a_number_as_long_as_it_likes_is_no_danger() {
    let port = says("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999999\r\n\r\n").await;
    let answer = asked(json!({ "kind": "http", "url": format!("http://a.test:{port}/") })).await;
    assert!(
        answer.sentence.en.contains("no web server"),
        "{}",
        answer.sentence.en
    );
    let port = says("HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551615\r\n\r\nx").await;
    let answer = asked(json!({ "kind": "http", "url": format!("http://a.test:{port}/") })).await;
    assert_eq!(answer.status, Status::Critical, "{}", answer.sentence.en);
    let prober = Prober::new(0, Means::default());
    let check = check(json!({ "kind": "http", "url": format!("http://a.test:{port}/") }));
    assert!(prober.ask(&check, None).await.is_some());
}
