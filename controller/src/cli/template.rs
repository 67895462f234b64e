//! `allmende template`: the service templates there are, and whether they are right.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::Json;
use super::style::Style;
use super::template_try::{self, Try};
use super::{Answer, CliError, care_view, print_json, table};
use crate::catalogue::{Catalogue, CatalogueError, Scope, ServiceTemplate, lint, write_skeleton};
use crate::model::Name;

/// Service templates: what kinds of services there are
#[derive(Debug, Subcommand)]
pub enum TemplateCommand {
    /// Lists all service templates
    List(Json),
    /// Shows what a service template asks for
    Show(Show),
    /// Checks service templates for mistakes; exit code 3 if there are any
    Lint(Lint),
    /// Writes a small service template that works, to begin with
    New(New),
    /// Tries a service template on a practice host, which is removed again; exit code 3 if something is wrong
    Try(Try),
}

/// Arguments of `template show`.
#[derive(Debug, Args)]
pub struct Show {
    /// Name of the template
    name: String,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `template lint`.
#[derive(Debug, Args)]
pub struct Lint {
    /// Folders of templates; without any, all templates of the catalogue
    folders: Vec<PathBuf>,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `template new`.
#[derive(Debug, Args)]
pub struct New {
    /// Name of the template: its folder is called so
    name: Name,
    /// Folder that holds it, beside others
    #[arg(long, default_value = ".", value_name = "DIR")]
    into: PathBuf,
}

/// Runs it, with these folders of templates beside the program's own. The answer is no when something is wrong with a template.
pub async fn run(
    command: &TemplateCommand,
    folders: &[PathBuf],
    data_dir: &Path,
    style: Style,
) -> Result<Answer, CliError> {
    let catalogue = Catalogue::load(folders)?;
    match command {
        TemplateCommand::List(Json { json: true }) => {
            print_json(&catalogue.all().map(describe).collect::<Vec<_>>());
        }
        TemplateCommand::List(_) => {
            let rows = catalogue.all().map(|template| {
                let manifest = &template.manifest;
                let scope = match manifest.scope {
                    Scope::Service => "service",
                    Scope::Host => "host",
                    Scope::Part => "part of others",
                };
                vec![
                    manifest.name.clone(),
                    scope.to_owned(),
                    manifest.summary.en.clone(),
                ]
            });
            println!("{}", table(["TEMPLATE", "FOR", "WHAT IT IS"], rows));
        }
        TemplateCommand::Show(show) => {
            let template = catalogue.get(&show.name)?;
            if show.json.json {
                print_json(&describe(template));
            } else {
                print!("{}", page(template, style));
            }
        }
        TemplateCommand::Lint(arguments) => return run_lint(arguments, catalogue).map(Answer::from),
        TemplateCommand::New(New { name, into }) => {
            let folder = write_skeleton(name, into)?.display().to_string();
            println!("{folder} is a small service that works. Go on with:");
            println!("  allmende template lint {folder}");
            println!("  allmende --templates {} template try {name}", into.display());
        }
        TemplateCommand::Try(arguments) => {
            return template_try::run(arguments, &catalogue, folders, data_dir, style).await;
        }
    }
    Ok(Answer::Yes)
}

/// The folders are looked at beside the templates that they require, and in place of one of the same name.
fn run_lint(arguments: &Lint, mut catalogue: Catalogue) -> Result<bool, CliError> {
    let mut findings = Vec::new();
    let mut names = Vec::new();
    for folder in &arguments.folders {
        let folder = folder.canonicalize().map_err(|source| CliError::File {
            path: folder.clone(),
            source,
        })?;
        let inserted = ServiceTemplate::load(&folder)
            .and_then(|template| catalogue.insert(&template).map(|()| template.manifest.name));
        match inserted {
            Ok(name) => names.push(name),
            Err(error @ CatalogueError::Template { .. }) => {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                findings.push((name.into_owned(), error.to_string()));
            }
            Err(error) => return Err(error.into()),
        }
    }
    if arguments.folders.is_empty() {
        let broken = catalogue.broken();
        findings.extend(broken.map(|(name, error)| (name.to_owned(), error.to_string())));
    }
    let templates: Vec<&ServiceTemplate> = catalogue
        .all()
        .filter(|template| arguments.folders.is_empty() || names.contains(&template.manifest.name))
        .collect();
    for template in &templates {
        for finding in lint(&catalogue, template) {
            findings.push((template.manifest.name.clone(), finding.0));
        }
    }
    if arguments.json.json {
        let findings: Vec<_> = findings
            .iter()
            .map(|(template, problem)| serde_json::json!({ "template": template, "problem": problem }))
            .collect();
        print_json(&findings);
    } else {
        for (template, problem) in &findings {
            println!("{template}: {problem}");
        }
        if findings.is_empty() {
            println!(
                "{} checked, no mistakes found.",
                super::plan_view::counted(templates.len(), "template")
            );
        }
    }
    Ok(findings.is_empty())
}

/// The documented JSON shape of a template.
fn describe(template: &ServiceTemplate) -> serde_json::Value {
    let manifest = &template.manifest;
    serde_json::json!({
        "name": manifest.name,
        "title": manifest.title,
        "summary": manifest.summary,
        "scope": manifest.scope,
        "requires": manifest.requires,
        "include": manifest.include,
        "params": manifest.params,
        "releases": manifest.releases,
        "checks": manifest.checks.iter().map(|check| serde_json::json!({ "id": check.id, "title": check.title })).collect::<Vec<_>>(),
        "actions": care_view::actions(manifest),
        "folder": template.folder,
    })
}

fn page(template: &ServiceTemplate, style: Style) -> String {
    let manifest = &template.manifest;
    let mut text = format!("{}\n{}\n", style.bold(&manifest.title.en), manifest.summary.en);
    if !manifest.requires.is_empty() {
        text.push_str(&format!("Brings along: {}\n", manifest.requires.join(", ")));
    }
    let (required, others): (Vec<_>, Vec<_>) = manifest
        .params
        .iter()
        .partition(|(_, parameter)| parameter.required());
    for (heading, params) in [("You have to give", required), ("You may give", others)] {
        if params.is_empty() {
            continue;
        }
        text.push_str(&format!("\n{}\n", style.bold(heading)));
        let width = params.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
        for (name, parameter) in params {
            let value = match (&parameter.default, &parameter.example) {
                _ if parameter.is_secret() => "generated unless given".to_owned(),
                (Some(toml::Value::String(text)), _) if text.contains("{{") || text.contains("{%") => {
                    "worked out unless given".to_owned()
                }
                (Some(toml::Value::String(text)), _) if text.is_empty() => "empty unless given".to_owned(),
                (Some(default), _) => format!("{} unless given", default.to_string().trim_matches('"')),
                (None, Some(example)) => format!("for example {example}"),
                (None, None) => "left out unless given".to_owned(),
            };
            let choices = if parameter.choices.is_empty() {
                String::new()
            } else {
                format!("; one of {}", parameter.choices.join(", "))
            };
            text.push_str(&format!("  {name:width$}  {}\n", parameter.help.en));
            text.push_str(&format!(
                "  {:width$}  {}\n",
                "",
                style.dim(&format!("{value}{choices}"))
            ));
        }
    }
    if !manifest.releases.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold("Supported versions")));
        for release in &manifest.releases {
            let end = match release.end_of_life {
                Some(end) => format!("security fixes until {end}"),
                None => "end of security fixes not known yet".to_owned(),
            };
            let with = match &release.host {
                Some(system) => format!("with {system}, "),
                None => String::new(),
            };
            text.push_str(&format!(
                "  {}  {}\n",
                release.version,
                style.dim(&format!("{with}{end}"))
            ));
        }
    }
    text.push_str(&care_view::summary(manifest, style));
    text
}
