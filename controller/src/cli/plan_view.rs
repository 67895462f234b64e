//! How a plan is shown: short and grouped; every detail with `--verbose`.

use std::fmt::Write as _;

use allmende_agent::protocol::{Action, Change, Report, ResourceReport};

use super::style::Style;
use crate::provision::{HostPlan, Part};

/// Lines of a difference that are shown without `--verbose`.
const SHORT_DIFF: usize = 12;

/// How many resources alike are told one by one without `--verbose`.
const LONGEST_RUN: usize = 3;

/// Shows a host's plan.
pub fn show(plan: &HostPlan, verbose: bool, style: Style) -> String {
    let mut text = String::new();
    let line = |text: &mut String, content: &str| {
        text.push_str(content);
        text.push('\n');
    };
    for part in &plan.parts {
        let resources: Vec<&ResourceReport> = in_section(&plan.report, &part.section).collect();
        let changes = resources.iter().filter(|r| r.action != Action::None).count();
        let summary = match changes {
            0 => format!("{} as they should be", counted(resources.len(), "resource")),
            _ => format!("{changes} of {} to change", counted(resources.len(), "resource")),
        };
        line(
            &mut text,
            &format!(
                "{}  {}",
                style.bold(&format!("{} on {}", part.title, plan.host)),
                style.dim(&summary)
            ),
        );
        for note in &part.notes {
            line(&mut text, &format!("  {} {note}", style.yellow("!")));
        }
        show_resources(&mut text, part, &resources, verbose, style);
        for handler in plan.report.handlers.iter().filter(|h| h.section == part.section) {
            let left_over = if handler.left_over {
                " (left over from an apply that did not end)"
            } else {
                ""
            };
            line(
                &mut text,
                &format!("  {} afterwards: {}{left_over}", style.yellow("↻"), handler.what),
            );
        }
        text.push('\n');
    }
    text
}

/// "3 to create, 2 to change", or that nothing is to be done.
pub fn totals(reports: &[&Report]) -> String {
    let count = |wanted: Action| {
        reports
            .iter()
            .flat_map(|report| &report.resources)
            .filter(|resource| resource.action == wanted)
            .count()
    };
    let parts: Vec<String> = [
        (Action::Create, "to create"),
        (Action::Change, "to change"),
        (Action::Remove, "to remove"),
        (Action::Run, "to run"),
    ]
    .into_iter()
    .map(|(action, words)| (count(action), words))
    .filter(|(count, _)| *count > 0)
    .map(|(count, words)| format!("{count} {words}"))
    .collect();
    if parts.is_empty() {
        let left_over = reports.iter().map(|report| report.handlers.len()).sum::<usize>();
        if left_over > 0 {
            return format!(
                "{} left to do from an apply that did not end.",
                counted(left_over, "step")
            );
        }
        return "Nothing to change.".to_owned();
    }
    format!("{}.", parts.join(", "))
}

/// The sign of an action: readable without colour.
pub fn sign(action: Action, style: Style) -> String {
    match action {
        Action::None => style.dim("="),
        Action::Create => style.green("+"),
        Action::Change => style.yellow("~"),
        Action::Remove => style.red("-"),
        Action::Run => style.yellow("»"),
    }
}

fn in_section<'a>(report: &'a Report, section: &'a str) -> impl Iterator<Item = &'a ResourceReport> {
    report
        .resources
        .iter()
        .filter(move |resource| resource.section == section)
}

fn show_resources(
    text: &mut String,
    part: &Part,
    resources: &[&ResourceReport],
    verbose: bool,
    style: Style,
) {
    let heading_of =
        |resource: &ResourceReport| part.headings.get(&resource.id).map(|heading| heading.en.as_str());
    let shown: Vec<&ResourceReport> = resources
        .iter()
        .copied()
        .filter(|resource| resource.action != Action::None || verbose)
        .collect();
    let alike = |a: &&ResourceReport, b: &&ResourceReport| {
        !verbose
            && a.action == Action::Create
            && b.action == Action::Create
            && a.kind == b.kind
            && heading_of(a) == heading_of(b)
    };
    let mut heading = None;
    for run in shown.chunk_by(alike) {
        let [resource, ..] = run else { continue };
        let own = heading_of(resource);
        if own != heading {
            heading = own;
            if let Some(own) = own {
                let _ = writeln!(text, "  {}", style.bold(own));
            }
        }
        if run.len() > LONGEST_RUN {
            let _ = writeln!(
                text,
                "    {} {} {}",
                sign(resource.action, style),
                run.len(),
                several(run)
            );
            continue;
        }
        for resource in run {
            show_resource(text, resource, verbose, style);
        }
    }
}

fn show_resource(text: &mut String, resource: &ResourceReport, verbose: bool, style: Style) {
    let _ = writeln!(
        text,
        "    {} {}",
        sign(resource.action, style),
        headline(resource, verbose)
    );
    let changes = &resource.changes;
    if resource.kind == "package" && !verbose {
        let missing: Vec<&str> = changes.iter().map(|change| change.property.as_str()).collect();
        if resource.action == Action::Change {
            let _ = writeln!(text, "        missing: {}", missing.join(", "));
        }
    } else if resource.action == Action::Change || verbose {
        for change in changes {
            show_change(text, change, verbose, style);
        }
    }
}

/// "directories: /srv/kita-sonne_cloud, … /srv/kita-sonne_cloud/tmp": many alike, told in one line.
fn several(run: &[&ResourceReport]) -> String {
    let kind = run
        .first()
        .map_or("", |resource| resource.kind.as_str())
        .replace('_', " ");
    let kind = match kind.strip_suffix('y') {
        Some(stem) => format!("{stem}ies"),
        None => format!("{kind}s"),
    };
    let subjects: Vec<&str> = run.iter().map(|resource| resource.subject.as_str()).collect();
    format!("{kind}: {}, … {}", subjects[0], subjects[subjects.len() - 1])
}

fn headline(resource: &ResourceReport, verbose: bool) -> String {
    const LONGEST: usize = 90;
    let kind = resource.kind.replace('_', " ");
    let mut subject = resource.subject.clone();
    if !verbose && subject.chars().count() > LONGEST {
        subject = subject.chars().take(LONGEST - 1).chain(['…']).collect();
    }
    format!("{kind} {subject}")
}

fn show_change(text: &mut String, change: &Change, verbose: bool, style: Style) {
    const INDENT: &str = "        ";
    if let Some(diff) = &change.diff {
        let lines: Vec<&str> = diff.lines().collect();
        let shown = if verbose { lines.len() } else { SHORT_DIFF };
        for line in lines.iter().take(shown) {
            let painted = match line.as_bytes().first() {
                Some(b'+') => style.green(line),
                Some(b'-') => style.red(line),
                _ => style.dim(line),
            };
            let _ = writeln!(text, "{INDENT}{painted}");
        }
        if lines.len() > shown {
            let more = counted(lines.len() - shown, "more line");
            let _ = writeln!(text, "{INDENT}{}", style.dim(&format!("… {more}, see --verbose")));
        }
        return;
    }
    let property = &change.property;
    let sentence = match (&change.from, &change.to) {
        (Some(from), Some(to)) => format!("{property}: {from} → {to}"),
        (None, Some(to)) => format!("{property}: {to}"),
        // Why a command runs is nothing that goes away.
        (Some(reason), None) if property == "guard" => format!("because {reason}"),
        (Some(from), None) => format!("{property}: {from} → gone"),
        (None, None) => property.clone(),
    };
    let _ = writeln!(text, "{INDENT}{sentence}");
}

/// "1 resource", "2 resources".
pub fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::Text;

    fn resource(id: &str, action: Action, changes: Vec<Change>) -> ResourceReport {
        ResourceReport {
            section: "kita-sonne_cloud".to_owned(),
            id: id.to_owned(),
            kind: "file".to_owned(),
            subject: format!("/etc/{id}"),
            action,
            changes,
        }
    }

    fn plan() -> HostPlan {
        let web = Text {
            de: "Webserver".to_owned(),
            en: "Web server".to_owned(),
        };
        let diff = "@@ -1 +1 @@\n-workers 2\n+workers 4\n".to_owned();
        let content = Change {
            property: "content".to_owned(),
            diff: Some(diff),
            ..Change::default()
        };
        let mode = Change {
            property: "mode".to_owned(),
            from: Some("0600".to_owned()),
            to: Some("0644".to_owned()),
            diff: None,
        };
        HostPlan {
            host: "web1".parse().expect("a name"),
            parts: vec![Part {
                section: "kita-sonne_cloud".to_owned(),
                title: "kita-sonne/cloud".to_owned(),
                headings: BTreeMap::from([("b".to_owned(), web.clone()), ("c".to_owned(), web)]),
                service: None,
                parameters: BTreeMap::new(),
                url: None,
                login: None,
                notes: Vec::new(),
                removal: Vec::new(),
                deletion: Vec::new(),
            }],
            report: Report {
                resources: vec![
                    resource("a", Action::None, Vec::new()),
                    resource("b", Action::Create, Vec::new()),
                    resource("c", Action::Change, vec![content, mode]),
                ],
                handlers: Vec::new(),
                stopped: None,
            },
        }
    }

    #[test]
    fn a_plan_is_short_and_grouped() {
        insta::assert_snapshot!(show(&plan(), false, Style::PLAIN), @r"
        kita-sonne/cloud on web1  2 of 3 resources to change
          Web server
            + file /etc/b
            ~ file /etc/c
                @@ -1 +1 @@
                -workers 2
                +workers 4
                mode: 0600 → 0644
        ");
    }

    #[test]
    fn a_verbose_plan_shows_what_stays() {
        assert!(show(&plan(), true, Style::PLAIN).contains("= file /etc/a"));
    }

    #[test]
    fn totals_count_each_action() {
        assert_eq!(totals(&[&plan().report]), "1 to create, 1 to change.");
        assert_eq!(totals(&[&Report::default()]), "Nothing to change.");
    }
}
