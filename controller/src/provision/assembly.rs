//! Assembling: from the inventory, the vault and the catalogue to the desired state of one host.

use std::collections::{BTreeMap, BTreeSet};

use allmende_agent::protocol::{DesiredState, Facts, Resource, Section};
use allmende_agent::resources::{ArchiveSpec, FileSpec, ResourceSpec};
use jiff::Timestamp;
use serde::Serialize;

use super::ProvisionError;
use super::archives::{Archive, ArchiveCache};
use super::authority::IssuedCertificate;
use crate::catalogue::{
    Bindings, Catalogue, CatalogueError, Scope, ServiceTemplate, Surroundings, Wanted, WantedCertificate,
    WantedResource, WantedSpec,
};
use crate::model::{Host, Organisation, Parameters, Secret, Service, Text};
use crate::vault::{SecretScope, Vault};

/// The host-wide template that every host carries.
pub const BASE: &str = "base";

/// What a host shall look like, with what people need to read about it.
pub struct Assembly {
    /// For the agent.
    pub desired: DesiredState,
    /// One for each section of the desired state, in the same order.
    pub parts: Vec<Part>,
    /// Archives that the desired state names, by their SHA-256.
    pub archives: BTreeMap<String, Archive>,
    /// Certificates that were issued for it and are not in the vault yet, with their place there.
    pub issued: Vec<(SecretScope, String, IssuedCertificate)>,
}

/// What people need to read about a section.
#[derive(Debug, Clone, Serialize)]
pub struct Part {
    /// The section's name.
    pub section: String,
    /// "kita-sonne/cloud", or the host-wide template's name.
    pub title: String,
    /// Headings, by resource id.
    #[serde(skip)]
    pub headings: BTreeMap<String, Text>,
    /// The service's name and organisation; none for host-wide templates.
    #[serde(skip)]
    pub service: Option<Service>,
    /// All parameters with their values, secrets left out.
    pub parameters: Parameters,
    /// What its host shall look like, besides, once it is removed.
    #[serde(skip)]
    pub removal: Vec<Resource>,
    /// What it shall look like after that when its data go as well.
    #[serde(skip)]
    pub deletion: Vec<Resource>,
    /// Where people find the service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The first account.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub login: Option<Login>,
    /// What a person should know although it stops nothing.
    pub notes: Vec<String>,
}

/// How the first person gets in.
#[derive(Debug, Clone, Serialize)]
pub struct Login {
    /// The account's name.
    pub user: String,
    /// The parameter that holds its password, for `service secret`.
    pub secret: String,
}

/// What an assembly needs to know.
pub struct Assembler<'a> {
    /// Templates.
    pub catalogue: &'a Catalogue,
    /// Secrets.
    pub vault: &'a Vault,
    /// Archives that were fetched.
    pub cache: &'a ArchiveCache,
    /// The controller's authority.
    pub authority: &'a IssuedCertificate,
    /// The present.
    pub now: Timestamp,
}

impl Assembler<'_> {
    /// Assembles the host-wide templates that are needed, and these services.
    ///
    /// # Errors
    /// Whatever is wrong with parameters, templates or archives; nothing was touched then.
    pub async fn assemble(
        &self,
        host: &Host,
        facts: &Facts,
        owner: Option<&Organisation>,
        services: &[(Service, Organisation)],
    ) -> Result<Assembly, ProvisionError> {
        let mut assembly = Assembly {
            desired: DesiredState::default(),
            parts: Vec::new(),
            archives: BTreeMap::new(),
            issued: Vec::new(),
        };
        let templates = services.iter().map(|(service, _)| &*service.template);
        for name in host_templates(self.catalogue, templates)? {
            let template = self.catalogue.get(&name)?;
            let place = Place {
                section: name.clone(),
                title: name.clone(),
                service: None,
                scope: SecretScope::Host(host.name.clone()),
            };
            let surroundings = Surroundings {
                service: host.name.as_str(),
                instance: host.name.as_str(),
                organisation: owner,
                ..self.surroundings(host, facts)
            };
            let given = settings_for(template, &host.settings);
            self.add(&mut assembly, template, &given, place, &surroundings)
                .await?;
        }
        for (service, organisation) in services {
            let template = self.catalogue.get(&service.template)?;
            let instance = service.instance();
            let place = Place {
                section: instance.clone(),
                title: service.full_name(),
                service: Some(service.clone()),
                scope: SecretScope::Service(service.organisation.clone(), service.name.clone()),
            };
            let surroundings = Surroundings {
                service: service.name.as_str(),
                instance: &instance,
                organisation: Some(organisation),
                ..self.surroundings(host, facts)
            };
            self.add(&mut assembly, template, &service.parameters, place, &surroundings)
                .await
                .map_err(|error| error.about(service))?;
        }
        Ok(assembly)
    }

    fn surroundings<'b>(&'b self, host: &'b Host, facts: &'b Facts) -> Surroundings<'b> {
        Surroundings {
            service: "",
            instance: "",
            organisation: None,
            host: host.name.as_str(),
            address: &host.address,
            ssh_port: host.port,
            facts,
            ca_certificate: &self.authority.certificate,
        }
    }

    async fn add(
        &self,
        assembly: &mut Assembly,
        template: &ServiceTemplate,
        given: &Parameters,
        place: Place,
        surroundings: &Surroundings<'_>,
    ) -> Result<(), ProvisionError> {
        let secrets = self.secrets(template, &place.scope).await?;
        let bindings = self.catalogue.bind(template, given, &secrets, surroundings)?;
        if let Some(applied) = place
            .service
            .as_ref()
            .and_then(|service| service.applied.as_ref())
        {
            self.catalogue
                .check_change(template, &applied.parameters, &bindings.parameters)?;
        }
        let wanted = self.catalogue.desired(template, &bindings)?;
        let mut section = Section {
            name: place.section.clone(),
            resources: Vec::new(),
            handlers: wanted.handlers.clone(),
        };
        let mut headings = BTreeMap::new();
        let mut masked: BTreeSet<String> = assembly.desired.secrets.drain(..).collect();
        masked.extend(secrets.values().map(|secret| secret.reveal().to_owned()));
        for resource in &wanted.resources {
            let specs = match &resource.spec {
                WantedSpec::Ready(spec) => vec![(resource.id.clone(), spec.clone())],
                WantedSpec::Archive(archive) => {
                    let known = self.cache.identify(archive).await?;
                    let spec = ResourceSpec::Archive(ArchiveSpec {
                        path: archive.path.clone(),
                        sha256: known.sha256.clone(),
                        strip: archive.strip,
                        owner: archive.owner.clone(),
                        group: archive.group.clone(),
                    });
                    assembly.archives.insert(known.sha256.clone(), known);
                    vec![(resource.id.clone(), spec)]
                }
                WantedSpec::Certificate(certificate) => {
                    let issued = self.certificate(&place.scope, certificate, assembly).await?;
                    masked.insert(issued.key.clone());
                    certificate_files(&resource.id, certificate, &issued)
                }
            };
            for (id, spec) in specs {
                if let Some(heading) = &resource.heading {
                    headings.insert(id.clone(), heading.clone());
                }
                section.resources.push(Resource {
                    id,
                    spec,
                    notify: resource.notify.clone(),
                });
            }
        }
        assembly.desired.secrets = masked.into_iter().collect();
        assembly.desired.sections.push(section);
        assembly.parts.push(self.part(place, headings, wanted, bindings));
        Ok(())
    }

    fn part(
        &self,
        place: Place,
        headings: BTreeMap<String, Text>,
        wanted: Wanted,
        bindings: Bindings,
    ) -> Part {
        let today = self.now.to_zoned(jiff::tz::TimeZone::UTC).date();
        let notes = bindings
            .release
            .iter()
            .filter_map(|release| Some((release, release.end_of_life?)))
            .filter(|(_, end)| *end < today)
            .map(|(release, end)| {
                let (what, way) = match &release.host {
                    Some(system) => (system.clone(), "upgrade the host to a newer one"),
                    None => (format!("version {}", release.version), "upgrade to a newer one"),
                };
                format!("{what} gets no security fixes since {end}: {way}")
            })
            .collect();
        Part {
            section: place.section,
            title: place.title,
            headings,
            service: place.service,
            parameters: bindings.parameters,
            removal: wanted.removal.into_iter().filter_map(ready).collect(),
            deletion: wanted.deletion.into_iter().filter_map(ready).collect(),
            url: wanted.url,
            login: wanted.login.map(|(user, secret)| Login { user, secret }),
            notes,
        }
    }

    async fn secrets(
        &self,
        template: &ServiceTemplate,
        scope: &SecretScope,
    ) -> Result<BTreeMap<String, Secret>, ProvisionError> {
        let mut secrets = BTreeMap::new();
        for (name, parameter) in &template.manifest.params {
            if parameter.is_secret() {
                let length = parameter.generated_length();
                let secret = self
                    .vault
                    .get_or_create(scope, name, || crate::vault::generate_password(length))
                    .await?;
                secrets.insert(name.clone(), secret);
            }
        }
        Ok(secrets)
    }

    /// The certificate in the vault, or a new one where that does not serve any more.
    async fn certificate(
        &self,
        scope: &SecretScope,
        wanted: &WantedCertificate,
        assembly: &mut Assembly,
    ) -> Result<IssuedCertificate, ProvisionError> {
        let name = format!("certificate {}", wanted.certificate);
        if let Some(stored) = self.vault.get(scope, &name).await?
            && let Ok(stored) = serde_json::from_str::<IssuedCertificate>(stored.reveal())
            && stored.serves(&wanted.names, self.authority, self.now)
        {
            return Ok(stored);
        }
        let issued = self.authority.issue(&wanted.names, self.now)?;
        assembly.issued.push((scope.clone(), name, issued.clone()));
        Ok(issued)
    }
}

/// The host-wide templates that are applied to a host: those that the templates of its services require, or [`BASE`] alone where
/// it has no service.
///
/// # Errors
/// An unknown template.
pub fn host_templates<'t>(
    catalogue: &Catalogue,
    services: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<String>, CatalogueError> {
    let mut services = services.into_iter().peekable();
    if services.peek().is_none() {
        return Ok(vec![BASE.to_owned()]);
    }
    let mut names = Vec::new();
    for service in services {
        for template in catalogue.with_requirements(service)? {
            let name = &template.manifest.name;
            if template.manifest.scope == Scope::Host && !names.contains(name) {
                names.push(name.clone());
            }
        }
    }
    Ok(names)
}

/// The host-wide templates whose checks a host is watched with: those that are applied to it, and [`BASE`] always, for a host
/// with services that need nothing of it can be full or gone as well.
///
/// # Errors
/// An unknown template.
pub fn watching_templates<'t>(
    catalogue: &Catalogue,
    services: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<String>, CatalogueError> {
    let mut names = host_templates(catalogue, services)?;
    if !names.iter().any(|name| name == BASE) {
        names.insert(0, BASE.to_owned());
    }
    Ok(names)
}

/// What needs nothing of the controller before it goes to the agent.
fn ready(wanted: WantedResource) -> Option<Resource> {
    match wanted.spec {
        WantedSpec::Ready(spec) => Some(Resource {
            id: wanted.id,
            spec,
            notify: wanted.notify,
        }),
        WantedSpec::Archive(_) | WantedSpec::Certificate(_) => None,
    }
}

struct Place {
    section: String,
    title: String,
    service: Option<Service>,
    scope: SecretScope,
}

/// A host's settings may be meant for any host-wide template: each takes what it knows.
pub fn settings_for(template: &ServiceTemplate, settings: &Parameters) -> Parameters {
    settings
        .iter()
        .filter(|(name, _)| template.manifest.params.contains_key(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

fn certificate_files(
    id: &str,
    wanted: &WantedCertificate,
    issued: &IssuedCertificate,
) -> Vec<(String, ResourceSpec)> {
    let file = |path: &str, content: String, owner: &str, group: &str, mode: &str| {
        ResourceSpec::File(FileSpec {
            path: path.to_owned(),
            content,
            owner: owner.to_owned(),
            group: group.to_owned(),
            mode: mode.to_owned(),
            validate: None,
        })
    };
    let chain = format!("{}{}", issued.certificate, issued.authority);
    vec![
        (
            format!("{id} (key)"),
            file(
                &wanted.key,
                issued.key.clone(),
                &wanted.owner,
                &wanted.group,
                "0640",
            ),
        ),
        (
            id.to_owned(),
            file(&wanted.certificate, chain, "root", "root", "0644"),
        ),
    ]
}
