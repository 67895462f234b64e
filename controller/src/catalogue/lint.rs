//! The linter: everything that can be said about a template without a host.

use std::collections::{BTreeMap, BTreeSet};

use allmende_agent::protocol::Facts;

use super::bindings::Surroundings;
use super::error::{CatalogueError, Problem};
use super::parameter::ParameterType;
use super::{Catalogue, ServiceTemplate};
use crate::model::{Name, Organisation, Parameters, Secret, Sector};

/// Something wrong with a template.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Finding(
    /// What and where, for the author.
    pub String,
);

/// Debian releases that a template is tried with.
const RELEASES: [(&str, &str); 2] = [("12", "bookworm"), ("13", "trixie")];

/// Everything that is wrong with a template.
///
/// It is bound and rendered with its examples for each supported release of Debian, each of its own releases and each value
/// of each choice.
pub fn lint(catalogue: &Catalogue, template: &ServiceTemplate) -> Vec<Finding> {
    let mut findings = BTreeSet::new();
    let manifest = &template.manifest;
    if let Err(error) = catalogue.with_requirements(&manifest.name) {
        findings.insert(error.to_string());
    }
    for (name, parameter) in &manifest.params {
        for (language, text) in [("de", &parameter.help.de), ("en", &parameter.help.en)] {
            if text.trim().is_empty() {
                findings.insert(format!("params, {name}, help, {language}: it is empty"));
            }
        }
        if parameter.required() && parameter.example.is_none() {
            findings.insert(format!(
                "params, {name}: it has no default, so it needs an example"
            ));
        }
        if let Some(example) = &parameter.example
            && let Err(expected) = parameter.check(example)
        {
            findings.insert(format!("params, {name}, example: {expected}"));
        }
        if (parameter.kind == ParameterType::Choice) == parameter.choices.is_empty() {
            findings.insert(format!(
                "params, {name}: choices belong to the type choice, and it needs some"
            ));
        }
    }
    if !manifest.releases.is_empty() && !manifest.params.contains_key("version") {
        findings.insert("releases: a template with releases needs a parameter version".to_owned());
    }
    if let Some(login) = &manifest.login
        && !manifest
            .params
            .get(&login.secret)
            .is_some_and(|parameter| parameter.is_secret())
    {
        findings.insert(format!(
            "login, secret: there is no secret parameter {}",
            login.secret
        ));
    }
    let mut rendered_once = false;
    for given in variations(template) {
        for (release, codename) in RELEASES {
            match render(catalogue, template, &given, release, codename) {
                Ok(()) => rendered_once = true,
                Err(CatalogueError::Requirement(_)) => {}
                Err(error) => {
                    findings.insert(error.to_string());
                }
            }
        }
    }
    if !rendered_once && findings.is_empty() {
        findings.insert("its requirements hold on no supported release of Debian".to_owned());
    }
    findings.extend(unused(catalogue, template));
    findings.into_iter().map(Finding).collect()
}

/// The examples, then one variation for each choice's value, each boolean's value and each release.
fn variations(template: &ServiceTemplate) -> Vec<Parameters> {
    let manifest = &template.manifest;
    let examples: Parameters = manifest
        .params
        .iter()
        .filter(|(_, parameter)| !parameter.is_secret())
        .filter_map(|(name, parameter)| Some((name.clone(), parameter.example.clone()?)))
        .collect();
    let mut all = vec![examples.clone()];
    let mut vary = |name: &str, value: String| {
        let mut given = examples.clone();
        given.insert(name.to_owned(), value);
        all.push(given);
    };
    for (name, parameter) in &manifest.params {
        for choice in &parameter.choices {
            vary(name, choice.clone());
        }
        if parameter.kind == ParameterType::Boolean {
            vary(name, "true".to_owned());
            vary(name, "false".to_owned());
        }
    }
    for release in &manifest.releases {
        vary("version", format!("{}.0.1", release.version));
    }
    all
}

fn render(
    catalogue: &Catalogue,
    template: &ServiceTemplate,
    given: &Parameters,
    release: &str,
    codename: &str,
) -> Result<(), CatalogueError> {
    let example = |name: &str| {
        name.parse::<Name>().map_err(|error| CatalogueError::Template {
            template: template.manifest.name.clone(),
            problem: Problem::new(error.to_string()),
        })
    };
    let organisation = Organisation {
        name: example("example")?,
        title: "Example".to_owned(),
        sector: Sector::Kita,
        place: None,
        contacts: Vec::new(),
    };
    let facts = Facts {
        hostname: "host".to_owned(),
        os: "debian".to_owned(),
        release: release.to_owned(),
        codename: codename.to_owned(),
        arch: "x86_64".to_owned(),
        memory_mb: 4096,
        cpus: 2,
        ..Facts::default()
    };
    let secrets: BTreeMap<String, Secret> = template
        .manifest
        .params
        .iter()
        .filter(|(_, parameter)| parameter.is_secret())
        .map(|(name, parameter)| {
            (
                name.clone(),
                Secret::new("x".repeat(parameter.generated_length())),
            )
        })
        .collect();
    let surroundings = Surroundings {
        service: "service",
        instance: "example_service",
        organisation: Some(&organisation),
        host: "host",
        address: "192.0.2.1",
        ssh_port: 22,
        facts: &facts,
        ca_certificate: "-----BEGIN CERTIFICATE-----\n",
    };
    let bindings = catalogue.bind(template, given, &secrets, &surroundings)?;
    catalogue.desired(template, &bindings).map(drop)
}

/// Parameters, variables, files, headings and handlers that nothing uses.
fn unused(catalogue: &Catalogue, template: &ServiceTemplate) -> Vec<String> {
    let manifest = &template.manifest;
    let renderer = &catalogue.renderer;
    let mut variables = BTreeSet::new();
    let mut files = BTreeSet::new();
    let mut headings = BTreeSet::new();
    let mut notified = BTreeSet::new();
    let texts = template
        .files
        .values()
        .map(|text| toml::Value::String(text.clone()))
        .chain(manifest.vars.values().cloned())
        .chain(
            manifest
                .params
                .values()
                .filter_map(|parameter| parameter.default.clone()),
        )
        .chain(manifest.url.clone().map(toml::Value::String))
        .chain(
            manifest
                .login
                .iter()
                .map(|login| toml::Value::String(login.user.clone())),
        )
        .chain(
            manifest
                .requirements
                .iter()
                .map(|r| toml::Value::String(r.message.en.clone())),
        )
        .chain(manifest.handlers.iter().cloned().map(toml::Value::Table));
    for text in texts {
        variables.extend(renderer.references(&text).unwrap_or_default());
    }
    let expressions = manifest.requirements.iter().map(|requirement| &requirement.that);
    let entries = &manifest.resources;
    let expressions = expressions.chain(entries.iter().flat_map(|e| e.when.iter().chain(&e.for_each)));
    for expression in expressions {
        variables.extend(renderer.expression_references(expression).unwrap_or_default());
    }
    variables.extend(manifest.login.iter().map(|login| login.secret.clone()));
    for entry in entries {
        let fields = toml::Value::Table(entry.fields.clone());
        variables.extend(renderer.references(&fields).unwrap_or_default());
        for key in ["template", "source"] {
            files.extend(
                entry
                    .fields
                    .get(key)
                    .and_then(|value| value.as_str())
                    .map(str::to_owned),
            );
        }
        headings.extend(entry.heading.clone());
        notified.extend(entry.notify.iter().cloned());
    }
    if !manifest.releases.is_empty() {
        variables.insert("version".to_owned());
    }
    let mut findings = Vec::new();
    let mut report = |what: &str, name: &String, used: bool| {
        if !used {
            findings.push(format!("{what} {name:?} is used nowhere"));
        }
    };
    for name in manifest.params.keys() {
        report("the parameter", name, variables.contains(name));
    }
    for name in manifest.vars.keys() {
        report("the variable", name, variables.contains(name));
    }
    for name in manifest.headings.keys() {
        report("the heading", name, headings.contains(name));
    }
    for name in template.files.keys() {
        report(
            "the file",
            name,
            files.contains(name) || files.iter().any(|file| file.contains("{{")),
        );
    }
    for id in manifest
        .handlers
        .iter()
        .filter_map(|handler| handler.get("id")?.as_str())
    {
        report("the handler", &id.to_owned(), notified.contains(id));
    }
    findings
}
