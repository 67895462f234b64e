//! Taking over an inventory that was written as text. What is in it is added or changed; what is not in it stays.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::host_edit::check_setting;
use super::organisation::{check_optional, check_text};
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope, Setting};
use crate::catalogue::{Parameter, Scope as TemplateScope};
use crate::fleet::fingerprint;
use crate::model::{
    Host, HostEntry, Inventory, Name, Organisation, OrganisationEntry, Outcome, Parameters, Secret, Service,
    ServiceEntry, ServiceRef, Target,
};
use crate::store::StoreError;
use crate::vault::{ExportKey, SecretScope, generate_password};

/// Takes over an inventory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ImportInventory {
    /// Organisations, hosts, services and targets; their secrets are sealed.
    pub inventory: Inventory,
    /// The secrets, opened; see [`open_secrets`].
    #[serde(skip)]
    pub secrets: BTreeMap<SecretScope, BTreeMap<String, Secret>>,
}

/// Opens the sealed secrets of an inventory and takes them out of it.
///
/// # Errors
/// A secret that the key does not open.
pub fn open_secrets(
    inventory: &mut Inventory,
    key: &ExportKey,
) -> Result<BTreeMap<SecretScope, BTreeMap<String, Secret>>, OperationError> {
    let mut opened = BTreeMap::new();
    for (scope, sealed) in sealed(inventory) {
        let owner = scope.to_string();
        let mut secrets = BTreeMap::new();
        for (name, sealed) in std::mem::take(sealed) {
            secrets.insert(name.clone(), key.open(&format!("{owner}/{name}"), &sealed)?);
        }
        opened.insert(scope, secrets);
    }
    Ok(opened)
}

/// Puts the secrets of an inventory into it, sealed.
///
/// # Errors
/// What the vault says.
pub async fn seal_secrets(
    inventory: &mut Inventory,
    key: &ExportKey,
    controller: &Controller,
) -> Result<(), OperationError> {
    for (scope, sealed) in sealed(inventory) {
        for (name, secret) in controller.vault.all(&scope).await? {
            let text = key.seal(&format!("{scope}/{name}"), &secret)?;
            sealed.insert(name, text);
        }
    }
    Ok(())
}

/// The places for sealed secrets.
fn sealed(inventory: &mut Inventory) -> Vec<(SecretScope, &mut BTreeMap<String, String>)> {
    let hosts = inventory
        .hosts
        .iter_mut()
        .map(|(name, entry)| (SecretScope::Host(name.clone()), &mut entry.secrets));
    let services = inventory
        .services
        .iter_mut()
        .flat_map(|(organisation, services)| {
            services.iter_mut().map(|(name, entry)| {
                let scope = SecretScope::Service(organisation.clone(), name.clone());
                (scope, &mut entry.secrets)
            })
        });
    hosts.chain(services).collect()
}

/// What an import would do.
#[derive(Default)]
pub(super) struct Changes {
    /// One for each, for people.
    pub(super) sentences: Vec<String>,
    pub(super) new_targets: Vec<Target>,
    pub(super) targets: Vec<Target>,
    new_organisations: Vec<Organisation>,
    organisations: Vec<Organisation>,
    new_hosts: Vec<Host>,
    hosts: Vec<Host>,
    new_services: Vec<Service>,
    services: Vec<Service>,
    secrets: Vec<(SecretScope, String, Secret)>,
}

impl ImportInventory {
    /// Compares with what is known, and refuses what makes no sense before anything is changed.
    async fn changes(&self, controller: &Controller) -> Result<Changes, OperationError> {
        if self.inventory.format != Inventory::FORMAT {
            return Err(OperationError::Refused(format!(
                "the inventory has format {}; this program reads format {}",
                self.inventory.format,
                Inventory::FORMAT
            )));
        }
        let mut changes = Changes::default();
        for (name, entry) in &self.inventory.organisations {
            Self::organisation(controller, name, entry, &mut changes).await?;
        }
        for (name, entry) in &self.inventory.hosts {
            self.host(controller, name, entry, &mut changes).await?;
        }
        for (reference, entry) in self.inventory.services() {
            self.service(controller, &reference, entry, &mut changes).await?;
        }
        for (name, entry) in &self.inventory.targets {
            self.target(controller, name, entry, &mut changes).await?;
        }
        for (scope, secrets) in &self.secrets {
            for (name, secret) in secrets {
                let known = controller.vault.get(scope, name).await?;
                if known.is_none_or(|known| known.reveal() != secret.reveal()) {
                    changes.sentences.push(format!("{scope}: secret {name}"));
                    changes
                        .secrets
                        .push((scope.clone(), name.clone(), secret.clone()));
                }
            }
        }
        Ok(changes)
    }

    async fn organisation(
        controller: &Controller,
        name: &Name,
        entry: &OrganisationEntry,
        changes: &mut Changes,
    ) -> Result<(), OperationError> {
        check_text(&format!("the title of {name}"), &entry.title)?;
        check_optional(&format!("the place of {name}"), entry.place.as_ref())?;
        let wanted = entry.named(name);
        match known(controller.store.organisations().get(name).await)? {
            None => {
                changes.sentences.push(format!("organisation {name}: added"));
                changes.new_organisations.push(wanted);
            }
            Some(known) => {
                let fields = differences(&OrganisationEntry::from(&known), entry);
                if !fields.is_empty() {
                    changes.sentences.push(format!("organisation {name}: {fields}"));
                    changes.organisations.push(wanted);
                }
            }
        }
        Ok(())
    }

    async fn host(
        &self,
        controller: &Controller,
        name: &Name,
        entry: &HostEntry,
        changes: &mut Changes,
    ) -> Result<(), OperationError> {
        let refuse = |reason: String| Err(OperationError::Refused(format!("host {name}: {reason}")));
        check_text(&format!("the address of {name}"), &entry.address)?;
        check_optional(&format!("the location of {name}"), entry.location.as_ref())?;
        check_optional(&format!("the provider of {name}"), entry.provider.as_ref())?;
        if entry.port == 0 {
            return refuse("its port cannot be 0".to_owned());
        }
        if let Err(error) = fingerprint(&entry.host_key) {
            return refuse(format!("its host_key makes no sense: {error}"));
        }
        if let Some(organisation) = &entry.organisation {
            self.organisation_named(controller, organisation).await?;
        }
        for (name, value) in &entry.settings {
            check_setting(controller, name, value)?;
        }
        let mut wanted = entry.named(name);
        match known(controller.store.hosts().get(name).await)? {
            None => {
                changes.sentences.push(format!(
                    "host {name}: added; Allmende gets its own key there with: allmende host repair {name}"
                ));
                changes.new_hosts.push(wanted);
            }
            Some(known) => {
                if known.host_key != entry.host_key {
                    return refuse("its host key is another one than the one that is pinned here. If you looked and it is right, accept it first".to_owned());
                }
                // The host itself says what it is.
                wanted.facts.clone_from(&known.facts);
                wanted.seen_at = known.seen_at;
                // A lock is lifted by those who know why it is there.
                wanted.lock.clone_from(&known.lock);
                let fields = differences(&HostEntry::from(&known), &HostEntry::from(&wanted));
                if !fields.is_empty() {
                    changes.sentences.push(format!("host {name}: {fields}"));
                    changes.hosts.push(wanted);
                }
            }
        }
        Ok(())
    }

    async fn service(
        &self,
        controller: &Controller,
        reference: &ServiceRef,
        entry: &ServiceEntry,
        changes: &mut Changes,
    ) -> Result<(), OperationError> {
        let refuse = |reason: String| Err(OperationError::Refused(format!("service {reference}: {reason}")));
        let Some(organisation) = &reference.organisation else {
            return refuse("it belongs to no organisation".to_owned());
        };
        let organisation = self.organisation_named(controller, organisation).await?;
        let host = match self.inventory.hosts.get(&entry.host) {
            Some(host) => host.named(&entry.host),
            None => controller.store.hosts().get(&entry.host).await?,
        };
        if host
            .organisation
            .as_ref()
            .is_some_and(|owner| *owner != organisation.name)
        {
            return refuse(format!("{} belongs to another organisation", host.name));
        }
        let template = controller.catalogue.get(&entry.template)?;
        if template.manifest.scope == TemplateScope::Host {
            return refuse(format!("{} describes hosts, not services", entry.template));
        }
        let is_secret = |name: &String| {
            template
                .manifest
                .params
                .get(name)
                .is_some_and(Parameter::is_secret)
        };
        if let Some(name) = entry.parameters.keys().find(|name| is_secret(name)) {
            return refuse(format!(
                "{name} is a secret and cannot stand among the parameters"
            ));
        }
        template.check_given(&entry.parameters)?;
        let known = known(controller.store.services().find(reference).await)?;
        let wanted = Service {
            name: reference.service.clone(),
            organisation: organisation.name.clone(),
            host: entry.host.clone(),
            template: entry.template.clone(),
            parameters: entry.parameters.clone(),
            begun: known.as_ref().and_then(|known| known.begun),
            applied: known.as_ref().and_then(|known| known.applied.clone()),
        };
        controller.check_requirements(&wanted, &host, &organisation)?;
        if template.manifest.one_per_host {
            let there = controller.store.services().on_host(&host.name).await?;
            let there = there
                .iter()
                .map(|other| (other.reference(), &other.host, &other.template));
            let imported = self
                .inventory
                .services()
                .map(|(other, entry)| (other, &entry.host, &entry.template));
            let wanted = (&wanted.host, &wanted.template);
            if let Some((other, ..)) = there
                .chain(imported)
                .find(|(other, host, template)| other != reference && (*host, *template) == wanted)
            {
                return refuse(format!(
                    "a host has only one {}, and {} has {other}",
                    entry.template, entry.host
                ));
            }
        }
        match known {
            None => {
                changes.sentences.push(format!("service {reference}: added"));
                changes.new_services.push(wanted);
            }
            Some(known) => {
                if known.template != wanted.template {
                    return refuse(format!(
                        "it is a {} here and cannot become a {}",
                        known.template, wanted.template
                    ));
                }
                if known.host != wanted.host && known.begun.is_some() {
                    return refuse(format!(
                        "it lives on {}; its data do not move to {} by an import",
                        known.host, wanted.host
                    ));
                }
                let fields = differences(&ServiceEntry::from(&known), &ServiceEntry::from(&wanted));
                if !fields.is_empty() {
                    changes.sentences.push(format!("service {reference}: {fields}"));
                    changes.services.push(wanted);
                }
            }
        }
        Ok(())
    }

    pub(super) async fn organisation_named(
        &self,
        controller: &Controller,
        name: &Name,
    ) -> Result<Organisation, OperationError> {
        match self.inventory.organisations.get(name) {
            Some(entry) => Ok(entry.named(name)),
            None => Ok(controller.store.organisations().get(name).await?),
        }
    }
}

impl Operation for ImportInventory {
    const NAME: &'static str = "inventory.import";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        "import an inventory".to_owned()
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let mut kept = self.clone();
        for (_, sealed) in sealed(&mut kept.inventory) {
            sealed.clear();
        }
        for entry in kept
            .inventory
            .services
            .values_mut()
            .flat_map(BTreeMap::values_mut)
        {
            let template = controller.catalogue.get(&entry.template).ok();
            mask(&mut entry.parameters, |name| template?.manifest.params.get(name));
        }
        for entry in kept.inventory.hosts.values_mut() {
            mask(&mut entry.settings, |name| {
                super::host_edit::parameter(controller, name)
            });
        }
        kept
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        let organisations = self.inventory.organisations.keys();
        Ok(Scope::organisations(
            organisations.chain(self.inventory.services.keys()).cloned(),
        ))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of(self.changes(controller).await?.sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let store = &controller.store;
        let changes = self.changes(controller).await?;
        for organisation in &changes.new_organisations {
            store.organisations().add(organisation).await?;
        }
        for wanted in &changes.organisations {
            let update = |known: &mut Organisation| known.clone_from(wanted);
            store.organisations().update(&wanted.name, update).await?;
        }
        for target in &changes.new_targets {
            store.targets().add(target).await?;
        }
        for wanted in &changes.targets {
            let update = |known: &mut Target| known.clone_from(wanted);
            store.targets().update(&wanted.name, update).await?;
        }
        for host in &changes.new_hosts {
            store.hosts().add(host).await?;
        }
        for wanted in &changes.hosts {
            let update = |known: &mut Host| known.clone_from(wanted);
            store.hosts().update(&wanted.name, update).await?;
        }
        for wanted in &changes.services {
            let update = |known: &mut Service| known.clone_from(wanted);
            store.services().update(&wanted.reference(), update).await?;
        }
        // Cut off anywhere, the same import once more does the rest: what is there already is compared and left alone. A service
        // comes last and with all its secrets, or not at all; those that were not exported are generated.
        for (scope, name, secret) in &changes.secrets {
            controller.vault.put(scope, name, secret).await?;
        }
        for service in &changes.new_services {
            let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
            let template = controller.catalogue.get(&service.template)?;
            for (name, parameter) in &template.manifest.params {
                if parameter.is_secret() {
                    let make = || generate_password(parameter.generated_length());
                    controller.vault.get_or_create(&scope, name, make).await?;
                }
            }
            store.services().add(service).await?;
        }
        let count = changes.sentences.len();
        Ok(Outcome {
            message: match count {
                0 => "Nothing to change: all of it is known already.".to_owned(),
                1 => "Imported: 1 change. See what hosts would need with: allmende plan --all".to_owned(),
                _ => {
                    format!("Imported: {count} changes. See what hosts would need with: allmende plan --all")
                }
            },
            changed: count > 0,
            ..Outcome::default()
        })
    }
}

/// What is there, or nothing when the store does not know it.
pub(super) fn known<T>(found: Result<T, StoreError>) -> Result<Option<T>, OperationError> {
    match found {
        Ok(value) => Ok(Some(value)),
        Err(StoreError::Unknown { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Leaves out what may be a secret in the wrong place.
fn mask<'a>(parameters: &mut Parameters, parameter: impl Fn(&str) -> Option<&'a Parameter>) {
    let settings: Vec<Setting> = std::mem::take(parameters)
        .into_iter()
        .map(|(name, value)| Setting { name, value })
        .collect();
    *parameters = Setting::kept(&settings, parameter)
        .into_iter()
        .map(|setting| (setting.name, setting.value))
        .collect();
}

/// "place: Kiel → Lübeck, parameters.domain: a → b": fields that differ, sealed secrets left out.
pub(super) fn differences<T: Serialize>(known: &T, wanted: &T) -> String {
    let flat = |value: &T| {
        let mut fields = BTreeMap::new();
        flatten("", &serde_json::to_value(value).unwrap_or_default(), &mut fields);
        fields.retain(|name: &String, _| !name.starts_with("secrets."));
        fields
    };
    let (known, wanted) = (flat(known), flat(wanted));
    let names: std::collections::BTreeSet<&String> = known.keys().chain(wanted.keys()).collect();
    let show = |value: Option<&String>| value.map_or("nothing", String::as_str).to_owned();
    let changed: Vec<String> = names
        .into_iter()
        .filter(|name| known.get(*name) != wanted.get(*name))
        .map(|name| format!("{name}: {} → {}", show(known.get(name)), show(wanted.get(name))))
        .collect();
    changed.join(", ")
}

fn flatten(name: &str, value: &serde_json::Value, fields: &mut BTreeMap<String, String>) {
    match value {
        serde_json::Value::Object(members) => {
            for (member, value) in members {
                let name = if name.is_empty() {
                    member.clone()
                } else {
                    format!("{name}.{member}")
                };
                flatten(&name, value, fields);
            }
        }
        serde_json::Value::String(text) => {
            fields.insert(name.to_owned(), text.clone());
        }
        other => {
            fields.insert(name.to_owned(), other.to_string());
        }
    }
}
