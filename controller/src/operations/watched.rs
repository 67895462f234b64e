//! Everything that is watched: the checks of all hosts and services, those of templates and those that people added.

use std::collections::hash_map::DefaultHasher;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::{Controller, OperationError};
use crate::catalogue::Check;
use crate::model::{AddedCheck, CheckKey, Host, Name, Organisation, Service, Subject};
use crate::provision::watching_templates;

/// One check with what it is about.
#[derive(Debug, Clone)]
pub struct Watched {
    /// Its name.
    pub key: CheckKey,
    /// What is asked.
    pub check: Arc<Check>,
    /// Whom it concerns: the organisation of a service; the owner of a host and all that have a service there.
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for pages that show one organisation what concerns it")
    )]
    pub organisations: Arc<BTreeSet<Name>>,
    /// The host that is asked, or on which the service lives; none for what is asked of nobody in particular.
    pub host: Option<Arc<Host>>,
    /// Whether a person added it.
    pub added: bool,
}

/// All checks, and what stands in the way of further ones.
#[derive(Debug, Clone, Default)]
pub struct WatchList {
    /// By subject: the controller, hosts, services.
    pub watched: Vec<Watched>,
    /// Subjects whose checks cannot be worked out, and why: nobody watches them.
    pub problems: Vec<(Subject, String)>,
}

/// Works out what is watched, again and again. What a subject's template says is rendered anew only when something that it is made
/// from has changed.
#[derive(Debug, Default)]
pub struct Watching {
    rendered: HashMap<Subject, Rendered>,
}

#[derive(Debug, Clone)]
struct Rendered {
    /// What it was made from.
    from: u64,
    checks: Result<Vec<Arc<Check>>, String>,
}

impl Controller {
    /// Everything that is watched now. Whoever asks often keeps a [`Watching`].
    ///
    /// # Errors
    /// What the store says.
    pub async fn watched(&self) -> Result<WatchList, OperationError> {
        Watching::default().list(self).await
    }
}

impl Watching {
    /// Everything that is watched now: hosts, services that were set up, and whatever people added.
    ///
    /// # Errors
    /// What the store says. A template that refuses its service is none: see [`WatchList::problems`].
    pub async fn list(&mut self, controller: &Controller) -> Result<WatchList, OperationError> {
        let organisations: BTreeMap<Name, Organisation> = controller
            .store
            .organisations()
            .list()
            .await?
            .into_iter()
            .map(|organisation| (organisation.name.clone(), organisation))
            .collect();
        let hosts = controller.store.hosts().list().await?;
        let services = controller.store.services().list().await?;
        let mut added: BTreeMap<Subject, Vec<AddedCheck>> = BTreeMap::new();
        for check in controller.store.checks().list().await? {
            added.entry(check.key.subject.clone()).or_default().push(check);
        }
        let mut on_host: BTreeMap<&Name, Vec<&Service>> = BTreeMap::new();
        for service in &services {
            on_host.entry(&service.host).or_default().push(service);
        }
        let mut render = Render {
            controller,
            before: std::mem::take(&mut self.rendered),
            now: &mut self.rendered,
            templates: HashMap::new(),
        };
        let mut list = WatchList::default();
        let none = Arc::new(BTreeSet::new());
        list.add(&Subject::Controller, Ok(Vec::new()), &mut added, &none, None);
        let hosts: BTreeMap<Name, Arc<Host>> = hosts
            .into_iter()
            .map(|host| (host.name.clone(), Arc::new(host)))
            .collect();
        for host in hosts.values() {
            let services = on_host.get(&host.name).map_or(&[][..], Vec::as_slice);
            let concerned: BTreeSet<Name> = host
                .organisation
                .iter()
                .chain(services.iter().map(|service| &service.organisation))
                .cloned()
                .collect();
            let owner = host
                .organisation
                .as_ref()
                .and_then(|name| organisations.get(name));
            let subject = Subject::Host(host.name.clone());
            let checks = render.host(&subject, host, owner, services);
            list.add(&subject, checks, &mut added, &Arc::new(concerned), Some(host));
            // A thousand hosts take a while at the first time, and others have work to do.
            tokio::task::yield_now().await;
        }
        for service in &services {
            let subject = Subject::Service(service.reference());
            let concerned = Arc::new(BTreeSet::from([service.organisation.clone()]));
            let host = hosts.get(&service.host);
            let checks = match (host, organisations.get(&service.organisation)) {
                (Some(host), Some(organisation)) if service.applied.is_some() => {
                    render.service(&subject, service, host, organisation)
                }
                // What was never set up cannot be broken.
                _ => Ok(Vec::new()),
            };
            list.add(&subject, checks, &mut added, &concerned, host);
        }
        Ok(list)
    }
}

impl WatchList {
    /// The checks of a subject: what a person added counts where a template has one of the same name.
    fn add(
        &mut self,
        subject: &Subject,
        checks: Result<Vec<Arc<Check>>, String>,
        added: &mut BTreeMap<Subject, Vec<AddedCheck>>,
        organisations: &Arc<BTreeSet<Name>>,
        host: Option<&Arc<Host>>,
    ) {
        let mut checks: Vec<(Arc<Check>, bool)> = match checks {
            Ok(checks) => checks.into_iter().map(|check| (check, false)).collect(),
            Err(problem) => {
                self.problems.push((subject.clone(), problem));
                Vec::new()
            }
        };
        for check in added.remove(subject).unwrap_or_default() {
            match serde_json::from_value::<Check>(check.definition) {
                Ok(check) => {
                    checks.retain(|(other, _)| other.id != check.id);
                    checks.push((Arc::new(check), true));
                }
                Err(error) => {
                    let problem = format!(
                        "the check {} cannot be read: {error}. Remove it and add it again",
                        check.key
                    );
                    self.problems.push((subject.clone(), problem));
                }
            }
        }
        self.watched
            .extend(checks.into_iter().map(|(check, added)| Watched {
                key: CheckKey {
                    subject: subject.clone(),
                    id: check.id.clone(),
                },
                check,
                organisations: Arc::clone(organisations),
                host: host.cloned(),
                added,
            }));
    }
}

/// Renders what is new or has changed.
struct Render<'a> {
    controller: &'a Controller,
    before: HashMap<Subject, Rendered>,
    now: &'a mut HashMap<Subject, Rendered>,
    /// What the templates are, by name.
    templates: HashMap<String, u64>,
}

impl Render<'_> {
    fn host(
        &mut self,
        subject: &Subject,
        host: &Host,
        owner: Option<&Organisation>,
        services: &[&Service],
    ) -> Result<Vec<Arc<Check>>, String> {
        let controller = self.controller;
        let set_up = services.iter().filter(|service| service.applied.is_some());
        // A service whose template is broken is told of by itself; its host is watched all the same.
        let set_up = set_up
            .map(|service| &*service.template)
            .filter(|template| controller.catalogue.with_requirements(template).is_ok());
        let templates =
            watching_templates(&controller.catalogue, set_up).map_err(|error| error.to_string())?;
        let settings = format!("{owner:?} {}", variables(host));
        self.rendered(subject, &templates, &settings, || {
            let mut checks: Vec<Check> = Vec::new();
            for template in &templates {
                let care = controller.care_of_host_with(template, host, owner)?;
                checks.extend(care.checks);
            }
            Ok(checks)
        })
    }

    fn service(
        &mut self,
        subject: &Subject,
        service: &Service,
        host: &Host,
        organisation: &Organisation,
    ) -> Result<Vec<Arc<Check>>, String> {
        let controller = self.controller;
        let templates = [service.template.clone()];
        let settings = format!("{organisation:?} {:?} {}", service.parameters, variables(host));
        self.rendered(subject, &templates, &settings, || {
            Ok(controller.care_with(service, host, organisation)?.checks)
        })
    }

    fn rendered(
        &mut self,
        subject: &Subject,
        templates: &[String],
        settings: &str,
        render: impl FnOnce() -> Result<Vec<Check>, OperationError>,
    ) -> Result<Vec<Arc<Check>>, String> {
        let mut hasher = DefaultHasher::new();
        settings.hash(&mut hasher);
        for template in templates {
            self.template(template).hash(&mut hasher);
        }
        let from = hasher.finish();
        let rendered = match self.before.remove(subject).filter(|before| before.from == from) {
            Some(before) => before,
            None => Rendered {
                from,
                checks: render()
                    .map(|checks| checks.into_iter().map(Arc::new).collect())
                    .map_err(|error| error.to_string()),
            },
        };
        let checks = rendered.checks.clone();
        self.now.insert(subject.clone(), rendered);
        checks
    }

    /// What a template is, in a number.
    fn template(&mut self, name: &str) -> u64 {
        if let Some(known) = self.templates.get(name) {
            return *known;
        }
        let mut hasher = DefaultHasher::new();
        if let Ok(template) = self.controller.catalogue.get(name) {
            let mut hashing = Hashing(&mut hasher);
            // Hashing never fails.
            let _ = write!(hashing, "{:?}", template.manifest);
        }
        let number = hasher.finish();
        self.templates.insert(name.to_owned(), number);
        number
    }
}

/// Takes text into a hash without keeping it.
struct Hashing<'a>(&'a mut DefaultHasher);

impl Write for Hashing<'_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        self.0.write(text.as_bytes());
        Ok(())
    }
}

/// What templates get to know of a host; how full and how old it is, is none of it.
fn variables(host: &Host) -> String {
    let facts = &host.facts;
    format!(
        "{:?}",
        (
            &host.name,
            &host.address,
            host.port,
            &host.settings,
            (&facts.os, &facts.release, &facts.codename, &facts.arch),
            (facts.memory_mb, facts.cpus, facts.container),
        )
    )
}

#[cfg(test)]
mod tests;
