//! `allmende check`.

use clap::{Args, Subcommand};

use super::arguments::Json;
use super::check_view;
use super::organisation::Changing;
use super::style::Style;
use super::words::sign;
use super::{Answer, CliError, perform, print_json};
use crate::model::{self, CheckKey, Status, Subject};
use crate::operations::{AddCheck, Asked, Controller, EditCheck, RemoveCheck, Watched, ask_now};

/// What can be asked about checks.
#[derive(Debug, Subcommand)]
pub enum CheckCommand {
    /// Lists how everything that is watched stands, what is bad first; exit code 3 if anything is
    List(check_view::List),
    /// Shows a check: its last answer, its last day, its incidents; exit code 3 if it is bad
    Show(check_view::Show),
    /// Shows how much of a month services could be used
    Uptime(check_view::Uptime),
    /// Adds a check to a host or service
    #[command(after_help = "Examples:
  allmende check add kita-sonne/cloud login --http https://cloud.example.org/login --contains \"Log in\"
  allmende check add kita-sonne/cloud old-address --http http://cloud.example.org/ --redirect https://cloud.example.org/
  allmende check add web1 printer --tcp 631
  allmende check add kita-sonne/cloud mail --dns example.org --record mx --value mail.example.org
  allmende check add allmende internet --http https://example.org/")]
    Add(Box<Changing<AddCheck>>),
    /// Changes a check that somebody added
    Edit(Box<Changing<EditCheck>>),
    /// Removes a check that somebody added
    Remove(Changing<RemoveCheck>),
    /// Asks checks now; exit code 3 if an answer is not ok
    Run(Run),
}

/// Arguments of `check run`.
#[derive(Debug, Args)]
pub struct Run {
    /// A host, a service or one check (kita-sonne/cloud:page); without any, all
    what: Option<String>,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &CheckCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        CheckCommand::List(list) => check_view::list(list, controller, style).await,
        CheckCommand::Show(show) => check_view::show(show, controller, style).await,
        CheckCommand::Uptime(uptime) => check_view::uptime(uptime, controller).await,
        CheckCommand::Add(add) => perform(&add.operation, controller, &add.confirm, style).await,
        CheckCommand::Edit(edit) => perform(&edit.operation, controller, &edit.confirm, style).await,
        CheckCommand::Remove(remove) => perform(&remove.operation, controller, &remove.confirm, style).await,
        CheckCommand::Run(run) => ask(run, controller, style).await,
    }
}

async fn ask(run: &Run, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let list = controller.watched().await?;
    let about = |subject: &Subject, id: Option<&str>| {
        run.what
            .as_deref()
            .is_none_or(|what| points_at(what, subject, id))
    };
    let checks: Vec<Watched> = list
        .watched
        .into_iter()
        .filter(|watched| about(&watched.key.subject, Some(&watched.key.id)))
        .collect();
    let problems: Vec<(Subject, String)> = list
        .problems
        .into_iter()
        .filter(|(subject, _)| about(subject, None))
        .collect();
    if let Some(what) = &run.what
        && checks.is_empty()
        && problems.is_empty()
    {
        return Err(CliError::Declined(format!(
            "{what} has no checks. A service has some once it was applied; add one with: allmende check add {what} ID --http URL"
        )));
    }
    let asked = ask_now(controller, &checks).await?;
    let well = problems.is_empty() && asked.iter().all(|asked| is_well(asked.answer.as_ref()));
    if run.json.json {
        print_json(&described(&checks, &asked, &problems));
    } else {
        print(&checks, &asked, &problems, style);
    }
    Ok(well.into())
}

/// Whether a person means this subject, or this check of it. The organisation may be left out.
fn points_at(what: &str, subject: &Subject, id: Option<&str>) -> bool {
    let (wanted, wanted_id) = what
        .rsplit_once(':')
        .map_or((what, None), |(subject, id)| (subject, Some(id)));
    let short = match subject {
        Subject::Service(reference) => Some(reference.service.as_str()),
        _ => None,
    };
    let is_subject = subject.to_string() == wanted || short == Some(wanted);
    is_subject && wanted_id.is_none_or(|wanted| id.is_none_or(|id| id == wanted))
}

fn is_well(answer: Option<&model::Answer>) -> bool {
    answer.is_none_or(|answer| answer.status == Status::Ok)
}

/// The documented JSON shape.
fn described(checks: &[Watched], asked: &[Asked], problems: &[(Subject, String)]) -> serde_json::Value {
    let answers = checks.iter().zip(asked).map(|(watched, asked)| {
        serde_json::json!({
            "key": asked.key,
            "title": watched.check.title,
            "answer": asked.answer.as_ref().map(|answer| with_advice(watched, answer)),
        })
    });
    let problems = problems
        .iter()
        .map(|(subject, problem)| serde_json::json!({ "subject": subject, "problem": problem }));
    serde_json::json!({
        "checks": answers.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
    })
}

/// An answer with the check's own advice where it has none of its own.
fn with_advice(watched: &Watched, answer: &model::Answer) -> model::Answer {
    let mut answer = answer.clone();
    if answer.status != Status::Ok && answer.advice.is_none() {
        answer.advice = Some(watched.check.advice.clone());
    }
    answer
}

fn print(checks: &[Watched], asked: &[Asked], problems: &[(Subject, String)], style: Style) {
    let mut before: Option<&Subject> = None;
    for (watched, asked) in checks.iter().zip(asked) {
        let Some(answer) = &asked.answer else { continue };
        let CheckKey { subject, id } = &asked.key;
        if before != Some(subject) {
            println!("{}", style.bold(&subject.to_string()));
            before = Some(subject);
        }
        println!("  {} {id}: {}", sign(answer.status, style), answer.sentence.en);
        if answer.status != Status::Ok {
            let advice = with_advice(watched, answer).advice.unwrap_or_default();
            println!("      {} {}", style.dim("Next:"), advice.en);
        }
    }
    for (subject, problem) in problems {
        println!("{}", style.bold(&subject.to_string()));
        println!("  {} {problem}", sign(Status::Unknown, style));
    }
    let silent = asked.iter().filter(|asked| asked.answer.is_none()).count();
    match silent {
        0 => {}
        1 => println!(
            "{}",
            style.dim("1 further check is asked on the host itself, not from here.")
        ),
        silent => println!(
            "{}",
            style.dim(&format!(
                "{silent} further checks are asked on the hosts themselves, not from here."
            ))
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_points_at_subjects_and_checks() {
        let service: Subject = "kita-sonne/cloud".parse().expect("a subject");
        for what in ["kita-sonne/cloud", "cloud", "cloud:page", "kita-sonne/cloud:page"] {
            assert!(points_at(what, &service, Some("page")), "{what}");
        }
        for what in ["web1", "cloud:disk", "wg-nord/cloud", "page", "kita-sonne"] {
            assert!(!points_at(what, &service, Some("page")), "{what}");
        }
    }
}
