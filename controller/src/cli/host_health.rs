//! `allmende host health`: how a host and its services are, asked from inside and now.

use std::collections::BTreeMap;

use super::arguments::Json;
use super::style::Style;
use super::{Answer, CliError, print_json};
use crate::catalogue::Check;
use crate::health::inside::Histories;
use crate::model::{Answer as Finding, CheckKey, Host, Language, Status};
use crate::operations::{Controller, Watched};

/// Runs it.
pub async fn run(
    host: &Host,
    json: &Json,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    let list = controller.watched().await?;
    let is_here = |watched: &Watched| watched.host.as_ref().is_some_and(|other| other.name == host.name);
    let checks: Vec<Watched> = list.watched.into_iter().filter(is_here).collect();
    let open = controller.open_ports(host).await?;
    let session = controller.session(host).await?;
    let answers = controller
        .observe(&session, &checks, &open, &Histories::new())
        .await;
    session.close().await;
    let mut answers = answers?;
    let problems = list.problems;
    let is_well = problems.is_empty() && answers.iter().all(|(_, answer)| answer.status == Status::Ok);
    if json.json {
        let shown: Vec<serde_json::Value> = answers
            .iter()
            .map(|(key, answer)| serde_json::json!({ "check": key.to_string(), "answer": answer }))
            .collect();
        let problems: Vec<serde_json::Value> = problems
            .iter()
            .map(|(subject, problem)| serde_json::json!({ "subject": subject.to_string(), "problem": problem }))
            .collect();
        print_json(&serde_json::json!({ "answers": shown, "problems": problems }));
        return Ok(is_well.into());
    }
    let checks: BTreeMap<&CheckKey, &Check> = checks
        .iter()
        .map(|watched| (&watched.key, &*watched.check))
        .collect();
    // What is worst first.
    answers.sort_by_key(|(_, answer)| std::cmp::Reverse(answer.status));
    let width = answers
        .iter()
        .map(|(key, _)| key.to_string().chars().count())
        .max();
    for (key, answer) in &answers {
        let advice = answer.advice.as_ref().or_else(|| Some(&checks.get(key)?.advice));
        println!(
            "{}  {:width$}  {}",
            word(answer, style),
            key.to_string(),
            answer.sentence.spoken(Language::En),
            width = width.unwrap_or_default()
        );
        if let Some(advice) = advice.filter(|_| answer.status != Status::Ok) {
            println!(
                "          {}",
                style.dim(&format!("→ {}", advice.spoken(Language::En)))
            );
        }
    }
    for (subject, problem) in &problems {
        println!(
            "{}  {subject}: its checks cannot be asked: {problem}",
            style.red("problem ")
        );
    }
    Ok(is_well.into())
}

fn word(answer: &Finding, style: Style) -> String {
    let word = format!("{:8}", answer.status.as_str());
    match answer.status {
        Status::Ok => style.green(&word),
        Status::Unknown | Status::Warning => style.yellow(&word),
        Status::Critical => style.red(&word),
    }
}
