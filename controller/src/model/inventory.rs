//! The inventory as text: what `export` writes and `import` reads. `docs/inventory.md` documents the format.

use std::collections::BTreeMap;

use allmende_agent::protocol::Facts;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Contact, Host, HostKey, Jump, Location, MonthlyCost, Name, Organisation, Parameters, Retention, Sector,
    Service, ServiceRef, Size, Target,
};

/// Organisations, hosts, services and targets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inventory {
    /// [`Inventory::FORMAT`].
    pub format: u32,
    /// Organisations, by name.
    #[serde(default)]
    pub organisations: BTreeMap<Name, OrganisationEntry>,
    /// Hosts, by name.
    #[serde(default)]
    pub hosts: BTreeMap<Name, HostEntry>,
    /// Services, by organisation and name.
    #[serde(default)]
    pub services: BTreeMap<Name, BTreeMap<Name, ServiceEntry>>,
    /// Targets of backups, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub targets: BTreeMap<Name, TargetEntry>,
}

/// An organisation; its name is its key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OrganisationEntry {
    /// The name people use.
    pub title: String,
    /// What kind of organisation it is.
    pub sector: Sector,
    /// Town or address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// Whom to call, one line each: "Name, role, telephone, mail".
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "lines")]
    pub contacts: Vec<Contact>,
}

/// A host; its name is its key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostEntry {
    /// The organisation that owns it; left out when several share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub organisation: Option<Name>,
    /// Address or name under which it is reached.
    pub address: String,
    /// Port of its SSH server.
    #[serde(default = "ssh", skip_serializing_if = "is_ssh")]
    pub port: u16,
    /// The key it must show.
    pub host_key: HostKey,
    /// The way there: the hosts in between, the first first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jumps: Vec<Jump>,
    /// Where it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// Who runs the machine or the building.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<String>,
    /// What it costs, in cents of a euro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_cost_cents: Option<MonthlyCost>,
    /// The last contact.
    pub seen_at: Timestamp,
    /// Values for the parameters of host-wide templates.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: Parameters,
    /// Secrets of host-wide templates, sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
    /// What it is, as of the last contact.
    #[serde(default)]
    pub facts: Facts,
}

/// A service; its organisation and name are its keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceEntry {
    /// The host it lives on.
    pub host: Name,
    /// Its service template.
    pub template: String,
    /// Values that were given; the others have their default.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: Parameters,
    /// Its secrets, sealed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, String>,
}

/// A target of backups; its name is its key. Its password is not in an inventory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetEntry {
    /// Where its disks stand.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// What is kept there: `daily=7,weekly=5`, or `all`.
    #[serde(with = "rules")]
    pub keep: Retention,
    /// All of its backups together may grow so large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_bytes: Option<Size>,
    /// What it costs, in cents of a euro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_cost_cents: Option<MonthlyCost>,
    /// Whose services it serves; left out for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub organisations: Vec<Name>,
    /// When it was added: hosts write to the oldest that is a disk.
    pub created_at: Timestamp,
    /// Where it is.
    pub location: Location,
}

impl Inventory {
    /// The version of the format.
    pub const FORMAT: u32 = 1;

    /// An inventory of these, without secrets.
    pub fn of(
        organisations: &[Organisation],
        hosts: &[Host],
        services: &[Service],
        targets: &[Target],
    ) -> Self {
        let mut inventory = Self {
            format: Self::FORMAT,
            organisations: BTreeMap::new(),
            hosts: BTreeMap::new(),
            services: BTreeMap::new(),
            targets: targets
                .iter()
                .map(|target| (target.name.clone(), target.into()))
                .collect(),
        };
        for organisation in organisations {
            inventory
                .organisations
                .insert(organisation.name.clone(), organisation.into());
        }
        for host in hosts {
            inventory.hosts.insert(host.name.clone(), host.into());
        }
        for service in services {
            inventory
                .services
                .entry(service.organisation.clone())
                .or_default()
                .insert(service.name.clone(), service.into());
        }
        inventory
    }

    /// Whether there are secrets in it that nobody opened.
    pub fn has_sealed_secrets(&self) -> bool {
        let services = self.services.values().flat_map(BTreeMap::values);
        self.hosts
            .values()
            .map(|host| &host.secrets)
            .chain(services.map(|service| &service.secrets))
            .any(|secrets| !secrets.is_empty())
    }

    /// All services with what points at them.
    pub fn services(&self) -> impl Iterator<Item = (ServiceRef, &ServiceEntry)> {
        self.services.iter().flat_map(|(organisation, services)| {
            services.iter().map(|(service, entry)| {
                let reference = ServiceRef {
                    organisation: Some(organisation.clone()),
                    service: service.clone(),
                };
                (reference, entry)
            })
        })
    }
}

impl From<&Organisation> for OrganisationEntry {
    fn from(organisation: &Organisation) -> Self {
        Self {
            title: organisation.title.clone(),
            sector: organisation.sector,
            place: organisation.place.clone(),
            contacts: organisation.contacts.clone(),
        }
    }
}

impl OrganisationEntry {
    /// The organisation of this name.
    pub fn named(&self, name: &Name) -> Organisation {
        Organisation {
            name: name.clone(),
            title: self.title.clone(),
            sector: self.sector,
            place: self.place.clone(),
            contacts: self.contacts.clone(),
        }
    }
}

impl From<&Host> for HostEntry {
    fn from(host: &Host) -> Self {
        Self {
            organisation: host.organisation.clone(),
            address: host.address.clone(),
            port: host.port,
            host_key: host.host_key.clone(),
            jumps: host.jumps.clone(),
            location: host.location.clone(),
            provider: host.provider.clone(),
            monthly_cost_cents: host.monthly_cost,
            seen_at: host.seen_at,
            settings: host.settings.clone(),
            secrets: BTreeMap::new(),
            facts: host.facts.clone(),
        }
    }
}

impl HostEntry {
    /// The host of this name.
    pub fn named(&self, name: &Name) -> Host {
        Host {
            name: name.clone(),
            organisation: self.organisation.clone(),
            address: self.address.clone(),
            port: self.port,
            host_key: self.host_key.clone(),
            jumps: self.jumps.clone(),
            lock: None,
            location: self.location.clone(),
            provider: self.provider.clone(),
            monthly_cost: self.monthly_cost_cents,
            settings: self.settings.clone(),
            facts: self.facts.clone(),
            seen_at: self.seen_at,
        }
    }
}

impl From<&Service> for ServiceEntry {
    fn from(service: &Service) -> Self {
        Self {
            host: service.host.clone(),
            template: service.template.clone(),
            parameters: service.parameters.clone(),
            secrets: BTreeMap::new(),
        }
    }
}

impl From<&Target> for TargetEntry {
    fn from(target: &Target) -> Self {
        Self {
            place: target.place.clone(),
            keep: target.retention,
            quota_bytes: target.quota_bytes,
            monthly_cost_cents: target.monthly_cost,
            organisations: target.organisations.clone(),
            created_at: target.created_at,
            location: target.location.clone(),
        }
    }
}

impl TargetEntry {
    /// The target of this name.
    pub fn named(&self, name: &Name) -> Target {
        Target {
            name: name.clone(),
            location: self.location.clone(),
            place: self.place.clone(),
            retention: self.keep,
            quota_bytes: self.quota_bytes,
            monthly_cost: self.monthly_cost_cents,
            organisations: self.organisations.clone(),
            created_at: self.created_at,
        }
    }
}

fn ssh() -> u16 {
    22
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
fn is_ssh(port: &u16) -> bool {
    *port == ssh()
}

/// Keep-rules as people write them.
mod rules {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Retention;

    #[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks so")]
    pub fn serialize<S: Serializer>(rules: &Retention, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(rules)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Retention, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// Contacts as people write them.
mod lines {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Contact;

    pub fn serialize<S: Serializer>(contacts: &[Contact], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(contacts.iter().map(ToString::to_string))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Contact>, D::Error> {
        Vec::<String>::deserialize(deserializer)?
            .iter()
            .map(|line| line.parse().map_err(D::Error::custom))
            .collect()
    }
}
