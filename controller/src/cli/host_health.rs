//! `allmende host health`: how a host and its services are, asked from inside and now.

use std::collections::BTreeMap;

use super::style::Style;
use super::template::Json;
use super::{Answer, CliError, print_json};
use crate::catalogue::Check;
use crate::health::inside::Histories;
use crate::model::{Answer as Finding, CheckKey, Host, Language, Status};
use crate::operations::Controller;

/// Runs it.
pub async fn run(
    host: &Host,
    json: &Json,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    let watched = controller.watched(host).await?;
    let mut answers = controller.observe(host, &watched, &Histories::new()).await?;
    let is_well =
        watched.problems.is_empty() && answers.iter().all(|(_, answer)| answer.status == Status::Ok);
    if json.json {
        let shown: Vec<serde_json::Value> = answers
            .iter()
            .map(|(key, answer)| serde_json::json!({ "check": key.to_string(), "answer": answer }))
            .collect();
        let problems = watched.problems.iter();
        let problems: Vec<serde_json::Value> = problems
            .map(|(subject, problem)| serde_json::json!({ "subject": subject.to_string(), "problem": problem }))
            .collect();
        print_json(&serde_json::json!({ "answers": shown, "problems": problems }));
        return Ok(is_well.into());
    }
    let checks: BTreeMap<&CheckKey, &Check> =
        watched.checks.iter().map(|(key, check)| (key, check)).collect();
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
    for (subject, problem) in &watched.problems {
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
