//! What a template defines and never uses.

use std::collections::BTreeSet;

use crate::catalogue::{Action, Catalogue, ServiceTemplate};

/// Parameters, variables, files, headings and handlers that nothing uses.
pub(super) fn unused(catalogue: &Catalogue, template: &ServiceTemplate) -> Vec<String> {
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
        .chain(manifest.handlers.iter().cloned().map(toml::Value::Table))
        .chain(
            manifest
                .checks
                .iter()
                .map(|check| toml::Value::Table(check.fields.clone())),
        )
        .chain(
            manifest
                .checks
                .iter()
                .map(|check| toml::Value::String(check.title.en.clone())),
        )
        .chain(
            [&manifest.backup, &manifest.restore, &manifest.verify]
                .into_iter()
                .flatten()
                .cloned()
                .map(toml::Value::Table),
        )
        .chain(manifest.privacy.iter().cloned().map(toml::Value::Table))
        .chain(manifest.actions.values().flat_map(Action::texts));
    for text in texts {
        variables.extend(renderer.references(&text).unwrap_or_default());
    }
    let expressions = manifest.requirements.iter().map(|requirement| &requirement.that);
    let entries = &manifest.resources;
    let expressions = expressions
        .chain(entries.iter().flat_map(|e| e.when.iter().chain(&e.for_each)))
        .chain(manifest.checks.iter().flat_map(|check| &check.when));
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
    if !manifest.releases.is_empty() && !manifest.released_by_host() {
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
    for (action, definition) in &manifest.actions {
        let mut used = BTreeSet::new();
        for text in definition.texts() {
            used.extend(renderer.references(&text).unwrap_or_default());
        }
        for name in definition.params.keys().filter(|name| !used.contains(*name)) {
            report(&format!("actions, {action}: the parameter"), name, false);
        }
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
