//! Whether checks, backup, restore, actions and privacy say what they have to, and nothing that nobody may see.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{STAND_IN, parameters, stand_ins, values};
use crate::catalogue::template::Manifest;
use crate::catalogue::{Bindings, Care, Catalogue, ServiceTemplate};
use crate::model::Name;

/// What can be seen without rendering anything.
pub(super) fn names(manifest: &Manifest) -> Vec<String> {
    let mut findings = Vec::new();
    for check in &manifest.checks {
        findings.extend(no_name("checks", &check.id));
    }
    for (name, action) in &manifest.actions {
        let place = format!("actions, {name}");
        findings.extend(no_name("actions", name));
        findings.extend(
            action
                .contradictions()
                .iter()
                .map(|what| format!("{place}, {what}")),
        );
        findings.extend(parameters(&action.params, &format!("{place}, params")));
        for (field, text) in [
            ("title", Some(&action.title)),
            ("help", Some(&action.help)),
            ("preview", action.preview.as_ref()),
        ] {
            for (language, text) in text
                .into_iter()
                .flat_map(|text| [("de", &text.de), ("en", &text.en)])
            {
                if text.trim().is_empty() {
                    findings.push(format!("{place}, {field}, {language}: it is empty"));
                }
            }
        }
    }
    if manifest.backup.is_some() && manifest.verify.is_none() {
        findings.push("verify: a backup needs something that proves that it can be restored".to_owned());
    }
    findings
}

fn no_name(place: &str, text: &str) -> Option<String> {
    let error = text.parse::<Name>().err()?;
    Some(format!("{place}, {text}: {error}"))
}

/// What shows when the sections are rendered.
pub(super) fn rendered(
    catalogue: &Catalogue,
    template: &ServiceTemplate,
    bindings: &Bindings,
) -> Vec<String> {
    let mut findings = Vec::new();
    match catalogue.care(template, bindings) {
        Ok(care) => {
            findings.extend(needs(catalogue, template, &care));
            if let Ok(value) = serde_json::to_value(&care) {
                look_at(&value, "", &mut findings);
            }
        }
        Err(error) => findings.push(error.to_string()),
    }
    for (name, action) in &template.manifest.actions {
        let secrets = stand_ins(&action.params);
        for given in values(&action.params) {
            match catalogue.call(template, bindings, name, &given, &secrets) {
                Ok(call) => {
                    let said = serde_json::json!({ "argv": call.step.argv, "preview": call.preview });
                    look_at(&said, &format!("actions, {name}"), &mut findings);
                }
                Err(error) => findings.push(error.to_string()),
            }
        }
    }
    findings
}

/// Checks that depend on what nobody asks.
fn needs(catalogue: &Catalogue, template: &ServiceTemplate, care: &Care) -> Vec<String> {
    let of_host = catalogue.with_requirements(&template.manifest.name);
    let known: BTreeSet<&str> = of_host
        .iter()
        .flatten()
        .flat_map(|required| &required.manifest.checks)
        .map(|check| check.id.as_str())
        .collect();
    let checks = care.checks.iter();
    checks
        .flat_map(|check| check.needs.iter().map(move |needed| (check, needed)))
        .filter(|(check, needed)| !known.contains(needed.as_str()) || **needed == check.id)
        .map(|(check, needed)| {
            format!(
                "checks, {}, needs: there is no other check {needed} in this template and in those that it requires",
                check.id
            )
        })
        .collect()
}

/// Texts that are empty in one language, and secrets outside of standard input and environment.
fn look_at(value: &Value, place: &str, findings: &mut Vec<String>) {
    let inside = |name: &str| match place {
        "" => name.to_owned(),
        place => format!("{place}, {name}"),
    };
    match value {
        Value::String(text) if text.contains(STAND_IN) => findings.push(format!(
            "{place}: a secret stands where others can read it; only stdin and env are places for it"
        )),
        Value::Array(list) => {
            for (number, item) in list.iter().enumerate() {
                let name = item.get("id").and_then(Value::as_str).map(str::to_owned);
                let name = name.unwrap_or_else(|| format!("number {}", number + 1));
                look_at(item, &inside(&name), findings);
            }
        }
        Value::Object(fields) => {
            for (name, item) in fields
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "stdin" | "env"))
            {
                let is_language = matches!(name.as_str(), "de" | "en") && fields.len() == 2;
                if is_language && item.as_str().is_some_and(|text| text.trim().is_empty()) {
                    findings.push(format!("{}: it is empty", inside(name)));
                }
                look_at(item, &inside(name), findings);
            }
        }
        _ => {}
    }
}
