//! Binding: from what was given, and what the host is, to the value of every variable.

use std::collections::BTreeMap;

use allmende_agent::protocol::Facts;
use indexmap::IndexMap;
use minijinja::Value;
use minijinja::value::Serde;

use super::error::{CatalogueError, Problem};
use super::parameter::Parameter;
use super::render::{Renderer, Variables, from_toml};
use super::sections::Action;
use super::template::{Manifest, Release};
use crate::model::{Organisation, Parameters, Secret};

/// What a template is bound to.
#[derive(Debug, Clone)]
pub struct Surroundings<'a> {
    /// The service's name; the host's for templates of hosts.
    pub service: &'a str,
    /// What it is called on the host.
    pub instance: &'a str,
    /// The organisation; none for a shared host.
    pub organisation: Option<&'a Organisation>,
    /// The host's name.
    pub host: &'a str,
    /// Where the host is reached.
    pub address: &'a str,
    /// The port of its SSH server.
    pub ssh_port: u16,
    /// What the host is.
    pub facts: &'a Facts,
    /// PEM of the controller's authority.
    pub ca_certificate: &'a str,
}

/// A template's variables with their values.
#[derive(Debug, Clone)]
pub struct Bindings {
    /// Everything that strings may use.
    pub variables: Variables,
    /// All parameters that are not secrets, with the values they have.
    pub parameters: Parameters,
    /// The release that the version belongs to, or that the host's system ships.
    pub release: Option<Release>,
}

/// Checks what was given and works out every variable.
///
/// # Errors
/// [`CatalogueError::Parameters`] with everything that is wrong with the given values,
/// [`CatalogueError::Template`] for the template's own faults.
pub fn bind(
    renderer: &Renderer,
    manifest: &Manifest,
    given: &Parameters,
    secrets: &BTreeMap<String, Secret>,
    surroundings: &Surroundings<'_>,
) -> Result<Bindings, CatalogueError> {
    let mut binder = Binder {
        renderer,
        params: &manifest.params,
        vars: &manifest.vars,
        releases: &manifest.releases,
        system: manifest
            .released_by_host()
            .then(|| format!("{} {}", surroundings.facts.os, surroundings.facts.release)),
        given,
        secrets,
        variables: surrounding_variables(manifest, surroundings),
        release: None,
        open: Vec::new(),
        wrong: unknown_parameters(&manifest.name, &manifest.params, given),
    };
    let release = (!manifest.releases.is_empty()).then_some("release");
    let names = manifest
        .params
        .keys()
        .chain(manifest.vars.keys())
        .map(String::as_str);
    let broken = |problem| CatalogueError::Template {
        template: manifest.name.clone(),
        problem,
    };
    binder.resolve_all(names.chain(release), broken)?;
    let parameters = manifest
        .params
        .iter()
        .filter(|(_, parameter)| !parameter.is_secret())
        .filter_map(|(name, _)| Some((name.clone(), binder.variables.get(name)?.to_string())))
        .map(|(name, value)| match value.as_str() {
            "True" => (name, "true".to_owned()),
            "False" => (name, "false".to_owned()),
            _ => (name, value),
        })
        .collect();
    Ok(Bindings {
        variables: binder.variables,
        parameters,
        release: binder.release,
    })
}

/// The variables of a bound template, and with them an action's parameters.
///
/// # Errors
/// [`CatalogueError::Parameters`] with everything that is wrong with the given values, else what `broken` makes of a fault of
/// the template.
pub fn bind_action(
    renderer: &Renderer,
    name: &str,
    action: &Action,
    given: &Parameters,
    secrets: &BTreeMap<String, Secret>,
    template: &Bindings,
    broken: impl Fn(Problem) -> CatalogueError,
) -> Result<Variables, CatalogueError> {
    let no_vars = IndexMap::new();
    let mut binder = Binder {
        renderer,
        params: &action.params,
        vars: &no_vars,
        releases: &[],
        system: None,
        given,
        secrets,
        variables: template.variables.clone(),
        release: None,
        open: Vec::new(),
        wrong: unknown_parameters(name, &action.params, given),
    };
    if let Some(taken) = action
        .params
        .keys()
        .find(|name| template.variables.contains_key(*name))
    {
        let problem = format!("{taken:?} is the name of another variable already");
        return Err(broken(Problem::new(problem).inside("params")));
    }
    binder.resolve_all(action.params.keys().map(String::as_str), broken)?;
    Ok(binder.variables)
}

/// Checks each given value on its own: what can be said before a host is known.
///
/// # Errors
/// [`CatalogueError::Parameters`] with everything that is wrong.
pub fn check_given(manifest: &Manifest, given: &Parameters) -> Result<(), CatalogueError> {
    let mut wrong = unknown_parameters(&manifest.name, &manifest.params, given);
    for (name, parameter) in &manifest.params {
        match given.get(name) {
            Some(text) => {
                if let Err(expected) = parameter.check(text) {
                    wrong.push(wrong_value(name, parameter, text, &expected));
                }
            }
            None if parameter.required() => wrong.push(missing_value(name, parameter)),
            None => {}
        }
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(CatalogueError::Parameters(wrong))
    }
}

/// `owner` is what has the parameters, for people.
fn unknown_parameters(owner: &str, params: &IndexMap<String, Parameter>, given: &Parameters) -> Vec<String> {
    let known: Vec<&str> = params.keys().map(String::as_str).collect();
    let known = if known.is_empty() {
        "it has none".to_owned()
    } else {
        format!("it has {}", known.join(", "))
    };
    given
        .keys()
        .filter(|name| !params.contains_key(*name))
        .map(|name| format!("{owner} has no parameter {name:?}; {known}"))
        .collect()
}

fn wrong_value(name: &str, parameter: &Parameter, text: &str, expected: &str) -> String {
    if parameter.is_secret() {
        format!("{name}: {expected}")
    } else {
        format!("{name}: {expected}, not {text:?}")
    }
}

fn missing_value(name: &str, parameter: &Parameter) -> String {
    let example = parameter.example.as_deref().unwrap_or("…");
    format!(
        "{name} is missing ({}): add --set {name}={example}",
        parameter.help.en
    )
}

fn surrounding_variables(manifest: &Manifest, surroundings: &Surroundings<'_>) -> Variables {
    fn table<const N: usize>(entries: [(&'static str, Value); N]) -> Value {
        Value::from_pairs(entries)
    }
    let facts = surroundings.facts;
    let organisation = surroundings.organisation;
    BTreeMap::from([
        (
            "service".to_owned(),
            table([
                ("name", Value::from(surroundings.service)),
                ("instance", Value::from(surroundings.instance)),
                ("template", Value::from(manifest.name.as_str())),
            ]),
        ),
        (
            "organisation".to_owned(),
            table([
                ("name", Value::from(organisation.map_or("", |o| o.name.as_str()))),
                (
                    "title",
                    Value::from(organisation.map_or("", |o| o.title.as_str())),
                ),
                (
                    "sector",
                    Value::from(organisation.map_or(String::new(), |o| o.sector.to_string())),
                ),
            ]),
        ),
        (
            "host".to_owned(),
            table([
                ("name", Value::from(surroundings.host)),
                ("address", Value::from(surroundings.address)),
                ("ssh_port", Value::from(surroundings.ssh_port)),
                ("os", Value::from(facts.os.as_str())),
                ("release", Value::from(facts.release.as_str())),
                ("codename", Value::from(facts.codename.as_str())),
                ("arch", Value::from(facts.arch.as_str())),
                ("memory_mb", Value::from(facts.memory_mb)),
                ("cpus", Value::from(facts.cpus)),
                ("container", Value::from(facts.container)),
            ]),
        ),
        (
            "ca_certificate".to_owned(),
            Value::from(surroundings.ca_certificate),
        ),
    ])
}

struct Binder<'a> {
    renderer: &'a Renderer,
    params: &'a IndexMap<String, Parameter>,
    vars: &'a IndexMap<String, toml::Value>,
    releases: &'a [Release],
    /// The host's system, where it decides on the release.
    system: Option<String>,
    given: &'a Parameters,
    secrets: &'a BTreeMap<String, Secret>,
    variables: Variables,
    release: Option<Release>,
    /// What is being resolved, outermost first.
    open: Vec<String>,
    wrong: Vec<String>,
}

impl Binder<'_> {
    /// Resolves these variables. What is wrong with the given values goes before a fault of the template.
    fn resolve_all<'n>(
        &mut self,
        names: impl Iterator<Item = &'n str>,
        broken: impl Fn(Problem) -> CatalogueError,
    ) -> Result<(), CatalogueError> {
        for name in names {
            // Once a value is known to be wrong, what is made from it would only add noise.
            if let Err(problem) = self.resolve(name)
                && self.wrong.is_empty()
            {
                return Err(broken(problem));
            }
        }
        self.wrong.dedup();
        if self.wrong.is_empty() {
            Ok(())
        } else {
            Err(CatalogueError::Parameters(std::mem::take(&mut self.wrong)))
        }
    }

    fn resolve(&mut self, name: &str) -> Result<(), Problem> {
        if self.variables.contains_key(name) {
            return Ok(());
        }
        if let Some(start) = self.open.iter().position(|open| open == name) {
            let circle = self.open[start..].join(" → ");
            return Err(Problem::new(format!("a circle: {circle} → {name}")));
        }
        self.open.push(name.to_owned());
        let value = self.value(name);
        self.open.pop();
        self.variables.insert(name.to_owned(), value?);
        Ok(())
    }

    fn value(&mut self, name: &str) -> Result<Value, Problem> {
        if let Some(parameter) = self.params.get(name) {
            return self
                .parameter(name, parameter)
                .map_err(|problem| problem.inside(name).inside("params"));
        }
        if name == "release" && !self.releases.is_empty() {
            return self.find_release();
        }
        match self.vars.get(name) {
            Some(raw) => self
                .rendered(raw)
                .map_err(|problem| problem.inside(name).inside("vars")),
            None => Err(Problem::new(format!("undefined variable {name}"))),
        }
    }

    fn rendered(&mut self, raw: &toml::Value) -> Result<Value, Problem> {
        for name in self.renderer.references(raw)? {
            self.resolve(&name)?;
        }
        Ok(from_toml(&self.renderer.toml(raw, &self.variables)?))
    }

    fn parameter(&mut self, name: &str, parameter: &Parameter) -> Result<Value, Problem> {
        if parameter.is_secret() {
            return self
                .secrets
                .get(name)
                .map(|secret| Value::from(secret.reveal()))
                .ok_or_else(|| Problem::new("the secret was not generated"));
        }
        let (text, is_given) = match (self.given.get(name), &parameter.default) {
            (Some(text), _) => (text.clone(), true),
            (None, Some(default)) => match self.rendered(default)? {
                value if value.kind() == minijinja::value::ValueKind::Bool => {
                    (if value.is_true() { "true" } else { "false" }.to_owned(), false)
                }
                value => (value.to_string(), false),
            },
            (None, None) if parameter.required() => {
                self.wrong.push(missing_value(name, parameter));
                return Err(Problem::new("missing"));
            }
            (None, None) => return Ok(parameter.empty()),
        };
        parameter.check(&text).map_err(|expected| {
            if is_given {
                self.wrong.push(wrong_value(name, parameter, &text, &expected));
            }
            Problem::new(format!("the default {text:?} does not fit: {expected}"))
        })
    }

    fn find_release(&mut self) -> Result<Value, Problem> {
        if let Some(system) = &self.system {
            let ships = |release: &&Release| release.host.as_ref() == Some(system);
            self.release = self.releases.iter().find(ships).cloned();
            return Ok(match &self.release {
                Some(release) => Value::from(Serde(release)),
                None => Value::UNDEFINED,
            });
        }
        self.resolve("version")?;
        let version = self.variables["version"].to_string();
        let belongs = |release: &&Release| {
            version
                .strip_prefix(&release.version)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        match self.releases.iter().find(belongs) {
            Some(release) => {
                self.release = Some(release.clone());
                Ok(Value::from(Serde(release)))
            }
            None => {
                let known: Vec<&str> = self
                    .releases
                    .iter()
                    .map(|release| release.version.as_str())
                    .collect();
                self.wrong.push(format!(
                    "version: {version} is not supported; supported are {}",
                    known.join(", ")
                ));
                Err(Problem::new("unsupported version"))
            }
        }
    }
}
