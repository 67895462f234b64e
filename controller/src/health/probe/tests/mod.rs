//! Asking real servers on loopback, good ones and all kinds of bad ones.

mod any_bytes;
mod certificates;
mod names;
mod pages;
mod ports;
mod servers;

use serde_json::{Value, json};

use super::{Means, Prober};
use crate::catalogue::Check;
use crate::fleet::test_host::TestHost;
use crate::model::{Answer, Host, Status};

/// A check as people write it, with its question.
fn check(question: Value) -> Check {
    let mut check = json!({
        "id": "x",
        "title": { "de": "x", "en": "x" },
        "advice": { "de": "Warten.", "en": "Wait." },
    });
    for (field, value) in question.as_object().expect("a question") {
        check[field] = value.clone();
    }
    let check: Check = serde_json::from_value(check).expect("a check");
    assert_eq!(check.mistake(), None);
    check
}

/// A host whose address is loopback.
async fn host() -> Host {
    TestHost::start(|_, _| async {}).await.host
}

async fn asked_with(means: Means, question: Value) -> Answer {
    let prober = Prober::new(4, means);
    let answer = prober.ask(&check(question), Some(&host().await)).await;
    let answer = answer.expect("it is asked from outside");
    for text in [&answer.sentence.de, &answer.sentence.en] {
        assert!(!text.starts_with("outside."), "a sentence is missing: {text}");
    }
    if let Some(advice) = &answer.advice {
        assert!(
            !advice.de.starts_with("next."),
            "advice is missing: {}",
            advice.de
        );
        assert!(
            !advice.en.starts_with("next."),
            "advice is missing: {}",
            advice.en
        );
    }
    answer
}

async fn asked(question: Value) -> Answer {
    asked_with(Means::default(), question).await
}

/// What a question finds: its status, and words of its sentence.
async fn finds(question: Value, status: Status, words: &str) -> Answer {
    let shown = question.to_string();
    let answer = asked(question).await;
    assert_is(&answer, status, words, &shown);
    answer
}

fn assert_is(answer: &Answer, status: Status, words: &str, shown: &str) {
    let said = &answer.sentence.en;
    assert_eq!(answer.status, status, "{shown}: {said}");
    assert!(said.contains(words), "{shown}: {said}");
}

/// Every key that stands in the sources has a sentence.
#[test]
fn every_finding_has_its_words() {
    let sources = concat!(env!("CARGO_MANIFEST_DIR"), "/src/health/probe");
    let locale = concat!(env!("CARGO_MANIFEST_DIR"), "/../templates/locales/outside.toml");
    let table: toml::Table = std::fs::read_to_string(locale)
        .expect("readable")
        .parse()
        .expect("a table");
    let mut looked_at = 0;
    for entry in std::fs::read_dir(sources).expect("readable") {
        let path = entry.expect("an entry").path();
        let Ok(source) = std::fs::read_to_string(&path) else {
            continue;
        };
        for literal in source.split('"').skip(1).step_by(2) {
            if !literal.starts_with("outside.") && !literal.starts_with("next.") {
                continue;
            }
            looked_at += 1;
            let mut place = Some(&toml::Value::Table(table.clone())).cloned();
            for part in literal.split('.') {
                place = place.and_then(|place| place.get(part).cloned());
            }
            let has = |language| place.as_ref().is_some_and(|place| place.get(language).is_some());
            assert!(has("de") && has("en"), "{literal} of {}", path.display());
        }
    }
    assert!(looked_at > 60, "{looked_at}");
}
