//! The linter: everything that can be said about a template without a host.

#[cfg(test)]
mod effects;
mod sections;
mod unused;

use std::collections::{BTreeMap, BTreeSet};

use allmende_agent::protocol::Facts;
use indexmap::IndexMap;

use super::bindings::{Bindings, Surroundings};
use super::error::{CatalogueError, Problem};
use super::parameter::{Parameter, ParameterType};
use super::template::{Manifest, Scope};
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

/// What the stand-ins of secrets are made of: stands in no template by itself.
const STAND_IN: char = '§';

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
    findings.extend(parameters(&manifest.params, "params"));
    findings.extend(sections::names(manifest));
    findings.extend(releases(manifest));
    if manifest.scope == Scope::Service && manifest.backup.is_some() == manifest.no_backup.is_some() {
        findings.insert(
            "backup: a service has either [backup], or no_backup with the reason why nothing of it belongs in one".to_owned(),
        );
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
    let secrets = stand_ins(&manifest.params);
    let mut rendered_once = false;
    for given in variations(template) {
        for debian in RELEASES {
            let rendered = bind(catalogue, template, &given, &secrets, debian)
                .and_then(|bindings| catalogue.desired(template, &bindings).map(|_| bindings));
            match rendered {
                Ok(bindings) => {
                    rendered_once = true;
                    findings.extend(sections::rendered(catalogue, template, &bindings));
                }
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
    findings.extend(unused::unused(catalogue, template));
    findings.into_iter().map(Finding).collect()
}

/// What is wrong with the list of releases.
fn releases(manifest: &Manifest) -> Option<String> {
    if !manifest.released_by_host() {
        return (!manifest.releases.is_empty() && !manifest.params.contains_key("version")).then(|| {
            "releases: they need a parameter version, or each of them the host's system in the field host"
                .to_owned()
        });
    }
    let alone = manifest.releases.iter().find(|release| release.host.is_none());
    alone.map(|release| {
        format!(
            "releases, {}: others have the field host, so this one needs it, too",
            release.version
        )
    })
}

/// What is wrong with the definitions of parameters.
fn parameters(params: &IndexMap<String, Parameter>, place: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, parameter) in params {
        for (language, text) in [("de", &parameter.help.de), ("en", &parameter.help.en)] {
            if text.trim().is_empty() {
                findings.push(format!("{place}, {name}, help, {language}: it is empty"));
            }
        }
        if parameter.required() && parameter.example.is_none() {
            findings.push(format!(
                "{place}, {name}: it has no default, so it needs an example"
            ));
        }
        if let Some(example) = &parameter.example
            && let Err(expected) = parameter.check(example)
        {
            findings.push(format!("{place}, {name}, example: {expected}"));
        }
        if (parameter.kind == ParameterType::Choice) == parameter.choices.is_empty() {
            findings.push(format!(
                "{place}, {name}: choices belong to the type choice, and it needs some"
            ));
        }
    }
    findings
}

/// What a template is tried with: values for its parameters, and one variation for each of its releases.
fn variations(template: &ServiceTemplate) -> Vec<Parameters> {
    let manifest = &template.manifest;
    let mut all = values(&manifest.params);
    for release in manifest.releases.iter().filter(|release| release.host.is_none()) {
        let mut given = all[0].clone();
        given.insert("version".to_owned(), format!("{}.0.1", release.version));
        all.push(given);
    }
    all
}

/// The examples; then only what has to be given; then one variation for each choice's value and each boolean's.
fn values(params: &IndexMap<String, Parameter>) -> Vec<Parameters> {
    let examples = |wanted: &dyn Fn(&Parameter) -> bool| -> Parameters {
        params
            .iter()
            .filter(|(_, parameter)| !parameter.is_secret() && wanted(parameter))
            .filter_map(|(name, parameter)| Some((name.clone(), parameter.example.clone()?)))
            .collect()
    };
    let mut all = vec![examples(&|_| true), examples(&Parameter::required)];
    for (name, parameter) in params {
        let booleans: &[&str] = match parameter.kind {
            ParameterType::Boolean => &["true", "false"],
            _ => &[],
        };
        for value in parameter
            .choices
            .iter()
            .map(String::as_str)
            .chain(booleans.iter().copied())
        {
            let mut given = all[0].clone();
            given.insert(name.clone(), value.to_owned());
            all.push(given);
        }
    }
    all
}

/// Stand-ins for secrets, to be recognised wherever they turn up.
fn stand_ins(params: &IndexMap<String, Parameter>) -> BTreeMap<String, Secret> {
    params
        .iter()
        .filter(|(_, parameter)| parameter.is_secret())
        .map(|(name, parameter)| {
            let text = STAND_IN.to_string().repeat(parameter.generated_length());
            (name.clone(), Secret::new(text))
        })
        .collect()
}

/// The variables of a template in an example's surroundings.
fn bind(
    catalogue: &Catalogue,
    template: &ServiceTemplate,
    given: &Parameters,
    secrets: &BTreeMap<String, Secret>,
    (release, codename): (&str, &str),
) -> Result<Bindings, CatalogueError> {
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
    catalogue.bind(template, given, secrets, &surroundings)
}
