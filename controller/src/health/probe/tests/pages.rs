//! Pages.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

use super::servers::{page, request, says, server};
use super::{asked, check, finds, host};
use crate::health::probe::{Means, Prober};
use crate::model::Status;

/// A question about a page at this port, with further fields.
fn about(port: u16, further: Value) -> Value {
    let mut question =
        json!({ "kind": "http", "url": format!("http://cloud.kita.test:{port}/start?key=t0p") });
    for (field, value) in further.as_object().expect("fields") {
        question[field] = value.clone();
    }
    question
}

#[tokio::test]
async fn a_page_that_answers_as_it_should_is_ok_with_the_time_it_took() {
    let port = says(page(200, "", "Guten Tag")).await;
    let answer = finds(
        about(port, json!({ "contains": "Guten" })),
        Status::Ok,
        "answers as it should (200",
    )
    .await;
    let figure = answer.figure.expect("a figure");
    assert_eq!(figure.unit, "ms");
    assert!(figure.value > 0.0 && answer.advice.is_none());
}

#[tokio::test]
async fn a_page_is_asked_at_the_host_by_its_own_name_and_as_nobody_in_particular() {
    let port = server(|mut stream| async move {
        let heard = request(&mut stream).await;
        let _ = stream.write_all(page(200, "", &heard).as_bytes()).await;
    })
    .await;
    for words in [
        "GET /start?key=t0p HTTP/1.1",
        &format!("host: cloud.kita.test:{port}"),
        "user-agent: Allmende/",
        "accept-encoding: identity",
    ] {
        finds(
            about(port, json!({ "contains": words })),
            Status::Ok,
            "as it should",
        )
        .await;
    }
    for words in ["cookie", "authorization", "proxy"] {
        finds(about(port, json!({ "lacks": words })), Status::Ok, "as it should").await;
    }
}

#[tokio::test]
async fn each_bad_answer_has_its_own_words() {
    let json_page = page(200, "", r#"{"installed":true,"version":[31,0.0]}"#);
    let cases = [
        (
            page(502, "", ""),
            json!({}),
            "the program behind it does not answer (502)",
        ),
        (page(500, "", ""), json!({}), "a fault in the program (500)"),
        (page(503, "", ""), json!({}), "overloaded or in maintenance"),
        (page(404, "", ""), json!({}), "does not exist (404)"),
        (page(403, "", ""), json!({}), "asks for a login"),
        (page(429, "", ""), json!({}), "too often"),
        (page(418, "", ""), json!({}), "with the code 418"),
        (page(200, "", ""), json!({ "status": [204] }), "with the code 200"),
        (
            page(301, "Location: https://www.kita.test/?key=t0p\r\n", ""),
            json!({}),
            "sends people on to https://www.kita.test/ (301)",
        ),
        (
            page(302, "Location: /login\r\n", ""),
            json!({ "redirect": "https://www.kita.test/" }),
            "instead of https://www.kita.test/",
        ),
        (
            page(302, "", ""),
            json!({ "redirect": "https://www.kita.test/" }),
            "does not say where to",
        ),
        (
            page(200, "", "Tag"),
            json!({ "contains": "Nacht" }),
            "does not say \"Nacht\"",
        ),
        (
            page(200, "", "Fehler"),
            json!({ "lacks": "Fehler" }),
            "which it should not",
        ),
        (
            page(200, "", ""),
            json!({ "headers": { "x-a": "" } }),
            "lacks the header x-a",
        ),
        (
            page(200, "X-A: b\r\n", ""),
            json!({ "headers": { "x-a": "c" } }),
            "header x-a says \"b\", expected is \"c\"",
        ),
        (
            page(200, "", "<html>"),
            json!({ "json": { "pointer": "/a", "equals": 1 } }),
            "not answer in the expected form (JSON)",
        ),
        (
            json_page.clone(),
            json!({ "json": { "pointer": "/a", "equals": 1 } }),
            "lacks /a",
        ),
        (
            json_page,
            json!({ "json": { "pointer": "/installed", "equals": false } }),
            "/installed is true, expected is false",
        ),
        ("SSH-2.0-OpenSSH_9\r\n".to_owned(), json!({}), "is no web server"),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nless".to_owned(),
            json!({}),
            "hung up",
        ),
        (String::new(), json!({}), "hung up"),
    ];
    for (answer, further, words) in cases {
        let port = says(answer).await;
        let answer = finds(about(port, further), Status::Critical, words).await;
        for text in [&answer.sentence.en, &answer.sentence.de] {
            assert!(!text.contains("t0p"), "what may be a key is said: {text}");
        }
    }
}

#[tokio::test]
async fn good_answers_of_every_kind_are_ok() {
    let cases = [
        (page(204, "", ""), json!({ "status": [200, 204] })),
        (
            page(308, "Location: https://WWW.kita.test\r\n", ""),
            json!({ "redirect": "https://www.kita.test/" }),
        ),
        (
            page(200, "X-A: one\r\nX-A: Two\r\n", ""),
            json!({ "headers": { "X-a": "two" } }),
        ),
        (
            page(200, "", r#"{"a":{"b/c":[1,{"d":2.0}]}}"#),
            json!({ "json": { "pointer": "/a/b~1c/1/d", "equals": 2 } }),
        ),
        (
            page(200, "", "{\"a\":1}"),
            json!({ "json": { "pointer": "", "equals": { "a": 1 } } }),
        ),
        (
            page(200, "Content-Length: 5\r\n", ""),
            json!({ "method": "head" }),
        ),
    ];
    for (answer, further) in cases {
        // A page without text has one length only.
        let answer = match further["method"].as_str() {
            Some(_) => answer.replacen("Content-Length: 0\r\n", "", 1),
            None => answer,
        };
        let port = says(answer).await;
        finds(about(port, further), Status::Ok, "as it should").await;
    }
    let mut latin = page(200, "", "")
        .replace("Content-Length: 0\r\n", "")
        .into_bytes();
    latin.extend(b"Begr\xfc\xdfung");
    let port = says(latin).await;
    finds(
        about(port, json!({ "contains": "Begrüßung" })),
        Status::Ok,
        "as it should",
    )
    .await;
}

#[tokio::test]
async fn a_circle_of_redirections_is_asked_once() {
    let asked = Arc::<AtomicUsize>::default();
    let counted = Arc::clone(&asked);
    let port = server(move |mut stream| {
        counted.fetch_add(1, Ordering::SeqCst);
        async move {
            request(&mut stream).await;
            let _ = stream
                .write_all(page(302, "Location: /start\r\n", "").as_bytes())
                .await;
        }
    })
    .await;
    let answer = finds(about(port, json!({})), Status::Critical, "sends people on").await;
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    let next = answer.advice.expect("a next step").en;
    assert!(next.contains("--redirect http://cloud.kita.test"), "{next}");
}

#[tokio::test]
async fn a_slow_page_is_a_warning_and_a_slower_one_critical() {
    let port = server(|mut stream| async move {
        request(&mut stream).await;
        tokio::time::sleep(Duration::from_millis(60)).await;
        let _ = stream.write_all(page(200, "", "").as_bytes()).await;
    })
    .await;
    let answer = finds(
        about(port, json!({ "warning_ms": 50 })),
        Status::Warning,
        "but slowly",
    )
    .await;
    assert!(answer.figure.expect("a figure").value >= 60.0);
    let limits = json!({ "warning_ms": 1, "critical_ms": 50 });
    finds(about(port, limits), Status::Critical, "50 ms are allowed").await;
}

#[tokio::test]
async fn a_page_that_hangs_is_left_when_its_time_is_over() {
    for begun in ["", "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nin the middle"] {
        let port = server(move |mut stream| async move {
            request(&mut stream).await;
            let _ = stream.write_all(begun.as_bytes()).await;
            std::future::pending::<()>().await;
        })
        .await;
        finds(
            about(port, json!({ "timeout": 1 })),
            Status::Critical,
            "had not finished its answer after 1",
        )
        .await;
    }
}

#[tokio::test]
async fn an_endless_page_is_not_read_to_its_end() {
    let port = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n{\"a\":1,").await;
        while stream.write_all(&[b' '; 4096]).await.is_ok() {}
    })
    .await;
    finds(about(port, json!({})), Status::Ok, "as it should").await;
    finds(
        about(port, json!({ "contains": "end" })),
        Status::Critical,
        "does not say \"end\"",
    )
    .await;
    let wanted = json!({ "json": { "pointer": "/a", "equals": 1 } });
    finds(about(port, wanted), Status::Unknown, "longer than 256 KiB").await;
}

#[tokio::test]
async fn endless_headers_are_refused() {
    let port = server(|mut stream| async move {
        request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream
            .write_all(b"X-Y: zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz\r\n")
            .await
            .is_ok()
        {}
    })
    .await;
    assert_eq!(asked(about(port, json!({}))).await.status, Status::Critical);
}

#[tokio::test]
async fn no_more_questions_are_under_way_than_the_limit_allows() {
    let open = Arc::<AtomicUsize>::default();
    let most = Arc::<AtomicUsize>::default();
    let (now, peak) = (Arc::clone(&open), Arc::clone(&most));
    let port = server(move |mut stream| {
        let (now, peak) = (Arc::clone(&now), Arc::clone(&peak));
        async move {
            peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            request(&mut stream).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            now.fetch_sub(1, Ordering::SeqCst);
            let _ = stream.write_all(page(200, "", "").as_bytes()).await;
        }
    })
    .await;
    let prober = Prober::new(3, Means::default());
    let (check, host) = (check(about(port, json!({}))), host().await);
    let asking = (0..30).map(|_| prober.ask(&check, Some(&host)));
    for answer in futures_util::future::join_all(asking).await {
        assert_eq!(answer.expect("asked").status, Status::Ok);
    }
    assert_eq!(most.load(Ordering::SeqCst), 3);
}
