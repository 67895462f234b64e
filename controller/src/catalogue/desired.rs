//! From a bound template to the resources that are wanted.

use std::collections::{BTreeMap, BTreeSet};

use allmende_agent::protocol::Handler;
use allmende_agent::resources::ResourceSpec;
use minijinja::Value;
use serde::Deserialize;

use super::ServiceTemplate;
use super::bindings::Bindings;
use super::error::{CatalogueError, Problem};
use super::render::{Renderer, Variables};
use super::template::ResourceEntry;
use crate::model::Text;

/// What a service wants from its host, archives and certificates not yet obtained.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// In order.
    pub resources: Vec<WantedResource>,
    /// What is wanted besides once the service is removed, in order.
    pub removal: Vec<WantedResource>,
    /// What is wanted after that when its data go as well, in order.
    pub deletion: Vec<WantedResource>,
    /// In order.
    pub handlers: Vec<Handler>,
    /// Where people find the service.
    pub url: Option<String>,
    /// The first account: its name, and the parameter that holds its password.
    pub login: Option<(String, String)>,
}

/// One resource that is wanted.
#[derive(Debug, Clone)]
pub struct WantedResource {
    /// Unique in its section.
    pub id: String,
    /// Its heading in the plan.
    pub heading: Option<Text>,
    /// Handlers to run when it changed.
    pub notify: Vec<String>,
    /// What it is.
    pub spec: WantedSpec,
}

/// What a resource is: ready for the agent, or for the controller to complete.
#[derive(Debug, Clone)]
pub enum WantedSpec {
    /// Ready for the agent.
    Ready(ResourceSpec),
    /// An archive that the controller has to obtain.
    Archive(WantedArchive),
    /// A certificate that the controller has to issue.
    Certificate(WantedCertificate),
}

/// An archive to obtain and to unpack on the host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedArchive {
    /// The directory on the host that holds the unpacked tree.
    pub path: String,
    /// A file or folder on the controller, or an https URL. Hidden files of a folder stay behind, except for `.well-known`.
    pub source: String,
    /// What the archive's SHA-256 must be; an empty text stands for "not known".
    #[serde(default)]
    pub sha256: String,
    /// Where an https source publishes its SHA-256.
    #[serde(default)]
    pub checksum_url: String,
    /// Leading path components to drop.
    #[serde(default)]
    pub strip: usize,
    /// Owner of what is unpacked.
    #[serde(default = "root")]
    pub owner: String,
    /// Group of what is unpacked.
    #[serde(default = "root")]
    pub group: String,
}

/// A certificate of the controller's own authority.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WantedCertificate {
    /// The domains it is for.
    pub names: Vec<String>,
    /// Where the certificate and its chain go.
    pub certificate: String,
    /// Where the key goes; mode 0640.
    pub key: String,
    /// Owner of the key.
    #[serde(default = "root")]
    pub owner: String,
    /// Group of the key.
    #[serde(default = "root")]
    pub group: String,
}

fn root() -> String {
    "root".to_owned()
}

/// Checks the requirements and renders the desired state.
///
/// # Errors
/// [`CatalogueError::Requirement`], or [`CatalogueError::Template`] where the template itself is wrong.
pub fn desired(
    renderer: &Renderer,
    template: &ServiceTemplate,
    bindings: &Bindings,
) -> Result<Wanted, CatalogueError> {
    let broken = |problem| CatalogueError::Template {
        template: template.manifest.name.clone(),
        problem,
    };
    let variables = &bindings.variables;
    for (number, requirement) in template.manifest.requirements.iter().enumerate() {
        let place = |problem: Problem| {
            broken(
                problem
                    .inside(format!("number {}", number + 1))
                    .inside("requirements"),
            )
        };
        if !renderer
            .expression(&requirement.that, variables)
            .map_err(place)?
            .is_true()
        {
            let text = |raw: &str| renderer.text(raw, variables).map_err(place);
            return Err(CatalogueError::Requirement(Text {
                de: text(&requirement.message.de)?,
                en: text(&requirement.message.en)?,
            }));
        }
    }
    let builder = Builder { renderer, template };
    builder.build(bindings).map_err(broken)
}

struct Builder<'a> {
    renderer: &'a Renderer,
    template: &'a ServiceTemplate,
}

impl Builder<'_> {
    fn build(&self, bindings: &Bindings) -> Result<Wanted, Problem> {
        let manifest = &self.template.manifest;
        let variables = &bindings.variables;
        let handlers = self.handlers(variables)?;
        let known: BTreeSet<&str> = handlers.iter().map(|handler| handler.id.as_str()).collect();
        let resources = self.entries(&manifest.resources, "resources", &known, variables)?;
        let removal = self.entries(&manifest.removal, "removal", &known, variables)?;
        let deletion = self.entries(&manifest.deletion, "deletion", &known, variables)?;
        let text = |raw: &String, place: &str| {
            self.renderer
                .text(raw, variables)
                .map_err(|problem| problem.inside(place))
        };
        Ok(Wanted {
            resources,
            removal,
            deletion,
            handlers,
            url: manifest.url.as_ref().map(|raw| text(raw, "url")).transpose()?,
            login: manifest
                .login
                .as_ref()
                .map(|login| Ok::<_, Problem>((text(&login.user, "login")?, login.secret.clone())))
                .transpose()?,
        })
    }

    /// The resources of one list, each with an id of its own.
    fn entries(
        &self,
        entries: &[ResourceEntry],
        list: &str,
        handlers: &BTreeSet<&str>,
        variables: &Variables,
    ) -> Result<Vec<WantedResource>, Problem> {
        let mut resources = Vec::new();
        let mut ids = BTreeSet::new();
        for (number, entry) in entries.iter().enumerate() {
            let place = |problem: Problem| {
                let name = entry.id.clone().unwrap_or_else(|| {
                    let unrendered = default_id(&entry.kind, &entry.fields);
                    format!("number {} ({})", number + 1, unrendered.trim())
                });
                problem.inside(name).inside(list)
            };
            for resource in self.entry(entry, variables).map_err(place)? {
                if !ids.insert(resource.id.clone()) {
                    return Err(place(Problem::new(format!(
                        "there is a second resource with the id {:?}",
                        resource.id
                    ))));
                }
                if let Some(unknown) = resource.notify.iter().find(|id| !handlers.contains(id.as_str())) {
                    return Err(place(Problem::new(format!(
                        "it notifies {unknown:?}, but there is no such handler"
                    ))));
                }
                resources.push(resource);
            }
        }
        Ok(resources)
    }

    fn handlers(&self, variables: &Variables) -> Result<Vec<Handler>, Problem> {
        self.template
            .manifest
            .handlers
            .iter()
            .enumerate()
            .map(|(number, raw)| {
                let place = |problem: Problem| {
                    problem
                        .inside(format!("number {}", number + 1))
                        .inside("handlers")
                };
                known_fields(raw, &["id", "check", "unit", "action", "command"]).map_err(place)?;
                let table = self.renderer.table(raw, variables).map_err(place)?;
                Handler::deserialize(table).map_err(|error| {
                    place(Problem::new(format!(
                        "a handler needs an id and either unit and action (reload or restart) or command: {}",
                        error.message()
                    )))
                })
            })
            .collect()
    }

    fn entry(&self, entry: &ResourceEntry, variables: &Variables) -> Result<Vec<WantedResource>, Problem> {
        let Some(list) = &entry.for_each else {
            return Ok(self.resource(entry, variables)?.into_iter().collect());
        };
        let list = self
            .renderer
            .expression(list, variables)
            .map_err(|problem| problem.inside("for_each"))?;
        let items = list
            .try_iter()
            .map_err(|_| Problem::new("for_each: the expression gives no list"))?;
        let mut resources = Vec::new();
        for item in items {
            let mut variables: BTreeMap<String, Value> = variables.clone();
            variables.insert("item".to_owned(), item);
            resources.extend(self.resource(entry, &variables)?);
        }
        Ok(resources)
    }

    fn resource(
        &self,
        entry: &ResourceEntry,
        variables: &Variables,
    ) -> Result<Option<WantedResource>, Problem> {
        if let Some(condition) = &entry.when
            && !self
                .renderer
                .expression(condition, variables)
                .map_err(|problem| problem.inside("when"))?
                .is_true()
        {
            return Ok(None);
        }
        let mut fields = self.renderer.table(&entry.fields, variables)?;
        if entry.kind == "file" {
            self.fill_in_content(&mut fields, variables)?;
        }
        let heading = match &entry.heading {
            Some(key) => Some(
                self.template
                    .manifest
                    .headings
                    .get(key)
                    .cloned()
                    .ok_or_else(|| Problem::new(format!("heading: there is no {key:?} in [headings]")))?,
            ),
            None => None,
        };
        let id = match &entry.id {
            Some(raw) => self.renderer.text(raw, variables)?,
            None => default_id(&entry.kind, &fields),
        };
        let spec = specification(&entry.kind, fields)?;
        let notify = entry
            .notify
            .iter()
            .map(|raw| self.renderer.text(raw, variables))
            .collect::<Result<_, _>>()?;
        Ok(Some(WantedResource {
            id,
            heading,
            notify,
            spec,
        }))
    }

    /// `template` and `source` become `content`.
    fn fill_in_content(&self, fields: &mut toml::Table, variables: &Variables) -> Result<(), Problem> {
        let mut take = |key: &str| match fields.remove(key) {
            Some(toml::Value::String(name)) => Ok(Some(name)),
            Some(_) => Err(Problem::new("expected the name of a file under files/").inside(key)),
            None => Ok(None),
        };
        let (template, source) = (take("template")?, take("source")?);
        let file = |name: &String| {
            self.template
                .files
                .get(name)
                .ok_or_else(|| Problem::new(format!("there is no file files/{name}")))
        };
        let content = match (&template, &source) {
            (Some(name), None) => self
                .renderer
                .text(file(name)?, variables)
                .map_err(|problem| problem.inside(format!("files/{name}")))?,
            (None, Some(name)) => file(name)?.clone(),
            (None, None) => return Ok(()),
            (Some(_), Some(_)) => return Err(Problem::new("give either template or source, not both")),
        };
        if fields.contains_key("content") {
            return Err(Problem::new("give only one of content, template and source"));
        }
        fields.insert("content".to_owned(), content.into());
        Ok(())
    }
}

fn specification(kind: &str, fields: toml::Table) -> Result<WantedSpec, Problem> {
    let spec = parsed(kind, fields.clone()).map_err(|error| {
        // The parser does not say which field it stumbled over: the one without which it says something else.
        let field = fields.keys().find(|key| {
            let mut others = fields.clone();
            others.remove(*key);
            match parsed(kind, others) {
                Ok(_) => true,
                Err(other) => other.message() != error.message(),
            }
        });
        let problem = Problem::new(error.message().to_owned());
        match field {
            Some(field) if error.message().starts_with("invalid") => problem.inside(field.clone()),
            _ => problem,
        }
    })?;
    match &spec {
        WantedSpec::Certificate(certificate) if certificate.names.is_empty() => {
            Err(Problem::new("a certificate names no domain").inside("names"))
        }
        _ => Ok(spec),
    }
}

fn parsed(kind: &str, mut fields: toml::Table) -> Result<WantedSpec, toml::de::Error> {
    match kind {
        "archive" => WantedArchive::deserialize(fields).map(WantedSpec::Archive),
        "certificate" => WantedCertificate::deserialize(fields).map(WantedSpec::Certificate),
        _ => {
            fields.insert("kind".to_owned(), kind.into());
            ResourceSpec::deserialize(fields).map(WantedSpec::Ready)
        }
    }
}

/// What a resource is called when its author gave it no id.
fn default_id(kind: &str, fields: &toml::Table) -> String {
    let name = ["path", "name", "certificate"]
        .iter()
        .find_map(|key| fields.get(*key)?.as_str().map(str::to_owned))
        .or_else(|| {
            let list = fields.get("names").or_else(|| fields.get("argv"))?.as_array()?;
            let words: Vec<&str> = list.iter().filter_map(toml::Value::as_str).collect();
            Some(words.join(" "))
        })
        .unwrap_or_default();
    format!("{kind} {name}")
}

fn known_fields(table: &toml::Table, known: &[&str]) -> Result<(), Problem> {
    match table.keys().find(|key| !known.contains(&key.as_str())) {
        Some(key) => Err(Problem::new(format!(
            "unknown field {key:?}, expected one of {}",
            known.join(", ")
        ))),
        None => Ok(()),
    }
}
