//! Operations on hosts that need the host itself: add, remove, read facts.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::{self, PersonalAccess};
use crate::model::{Host, HostKey, JobEventKind, MonthlyCost, Name, Outcome, Parameters};

/// Takes a host into care: puts the agent and Allmende's key in place with your own access, once
#[derive(Debug, Args, Serialize, Deserialize)]
pub struct AddHost {
    /// Short name of the host, for example web1
    pub name: Name,
    /// Organisation that owns it
    #[arg(long = "org", value_name = "ORGANISATION", required_unless_present = "shared")]
    pub organisation: Option<Name>,
    /// Several organisations share it
    #[arg(long, conflicts_with = "organisation")]
    #[serde(default)]
    pub shared: bool,
    /// Address or name under which it is reached
    #[arg(long)]
    pub address: String,
    /// Port of its SSH server
    #[arg(long, default_value_t = 22)]
    pub port: u16,
    /// User to log in as with your own access: root, or one who may use sudo
    #[arg(long, default_value = "root")]
    pub user: String,
    /// Your own private key for it; without one, your ssh-agent or your password is used
    #[arg(long, value_name = "FILE")]
    pub identity: Option<std::path::PathBuf>,
    /// Fingerprint of its host key, as its console or provider shows it; without one you are asked
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
    /// Where it stands
    #[arg(long)]
    pub location: Option<String>,
    /// Who runs the machine or the building
    #[arg(long)]
    pub provider: Option<String>,
    /// What it costs a month, in euros
    #[arg(long, value_name = "EUROS")]
    pub monthly_cost: Option<MonthlyCost>,
    /// How the person logs in; filled in by the face.
    #[arg(skip)]
    #[serde(skip)]
    pub access: Option<PersonalAccess>,
}

impl Operation for AddHost {
    const NAME: &'static str = "host.add";
    const RISK: Risk = Risk::Change;
    const REPEATABLE: bool = false;

    fn title(&self) -> String {
        format!("add host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        if let Some(organisation) = &self.organisation {
            controller.store.organisations().get(organisation).await?;
        }
        Ok(Scope::organisations(self.organisation.clone()))
    }

    async fn preview(&self, _controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of([
            format!("the agent would be put on {} ({})", self.name, self.address),
            "Allmende's key would be added for root, able to start the agent and nothing else".to_owned(),
        ]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        if controller.store.hosts().list().await?.iter().any(|host| host.name == self.name) {
            return Err(OperationError::Refused(format!(
                "there is a host {} already; choose another name, or remove that one first",
                self.name
            )));
        }
        let (Some(access), Some(fingerprint)) = (&self.access, &self.fingerprint) else {
            return Err(OperationError::Refused(
                "adding a host needs a person's own access and the host's fingerprint".to_owned(),
            ));
        };
        let key = controller.ssh_key().await?;
        let progress = |text: &str| {
            context.notify(JobEventKind::Step {
                text: text.to_owned(),
            });
        };
        let destination = fleet::Destination::new(self.name.clone(), self.address.clone(), self.port);
        let ready = fleet::bootstrap(&destination, access, fingerprint, &key, &progress).await?;
        let host = Host {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            address: self.address.clone(),
            port: self.port,
            host_key: HostKey(ready.host_key.0),
            location: self.location.clone(),
            provider: self.provider.clone(),
            monthly_cost: self.monthly_cost,
            settings: Parameters::new(),
            facts: ready.facts,
            seen_at: jiff::Timestamp::now(),
        };
        controller.store.hosts().add(&host).await?;
        Ok(Outcome {
            message: format!(
                "{} is in Allmende's care: {} {}, {} MB of memory.",
                host.name, host.facts.os, host.facts.release, host.facts.memory_mb
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Gives a host back: takes the agent and Allmende's key off it
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveHost {
    /// The host
    pub name: Name,
    /// Only forgets it, for a host that is gone
    #[arg(long)]
    #[serde(default)]
    pub forget: bool,
}

impl RemoveHost {
    async fn host(&self, controller: &Controller) -> Result<Host, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        let services = controller.store.services().on_host(&self.name).await?;
        if services.is_empty() {
            return Ok(host);
        }
        let names: Vec<String> = services.iter().map(|service| service.full_name()).collect();
        Err(OperationError::Refused(format!(
            "{} still carries {}. Remove these first: allmende service remove NAME",
            self.name,
            names.join(", ")
        )))
    }
}

impl Operation for RemoveHost {
    const NAME: &'static str = "host.remove";
    const RISK: Risk = Risk::Destructive;
    const REPEATABLE: bool = false;

    fn title(&self) -> String {
        format!("remove host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        Ok(Scope::organisations(host.organisation).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.host(controller).await?;
        Ok(Preview::of([if self.forget {
            format!("{} would be forgotten; nothing is done on the host", self.name)
        } else {
            format!("the agent and Allmende's key would be taken off {}", self.name)
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let host = self.host(controller).await?;
        if !self.forget {
            let key = controller.ssh_key().await?;
            let session = controller.session(&host).await?;
            session.uninstall(&key.public).await?;
        }
        controller.store.hosts().remove(&self.name).await?;
        Ok(Outcome {
            message: if self.forget {
                format!("{} is forgotten. If it comes back, it still has the agent and Allmende's key.", self.name)
            } else {
                format!("{} is out of Allmende's care; the agent and the key are off it.", self.name)
            },
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Reads what a host is
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct ReadFacts {
    /// The host
    pub name: Name,
}

impl ReadFacts {
    /// Asks the host and remembers the answer.
    ///
    /// # Errors
    /// An unknown host, or whatever stands in the way to it.
    pub async fn read(&self, controller: &Controller) -> Result<Host, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        let session = controller.session(&host).await?;
        let facts = session.facts().clone();
        session.close().await;
        controller.store.hosts().set_facts(&self.name, &facts).await?;
        Ok(controller.store.hosts().get(&self.name).await?)
    }
}
