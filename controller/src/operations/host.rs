//! Operations on hosts that need the host itself: add, remove, read facts.

use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::access::OwnAccess;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::Destination;
use crate::model::{Host, Jump, MonthlyCost, Name, Outcome, Parameters};
use crate::vault::SecretScope;

/// Takes a host into care: puts the agent and Allmende's key in place with your own access, once
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
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
    /// Port of its SSH server; 22 if nothing else is said
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Your own access to it.
    #[command(flatten)]
    #[serde(flatten)]
    pub access: OwnAccess,
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
}

impl AddHost {
    fn port(&self) -> u16 {
        self.port.unwrap_or(22)
    }

    fn destination(&self, jumps: Vec<Jump>) -> Destination {
        Destination {
            name: self.name.to_string(),
            address: self.address.clone(),
            port: self.port(),
            jumps: Arc::new(jumps),
        }
    }

    async fn check(&self, controller: &Controller) -> Result<(), OperationError> {
        if controller.store.hosts().get(&self.name).await.is_ok() {
            return Err(OperationError::Refused(format!(
                "there is a host {} already; choose another name, or remove that one first",
                self.name
            )));
        }
        Ok(())
    }
}

impl Operation for AddHost {
    const NAME: &'static str = "host.add";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        format!("add host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        if let Some(organisation) = &self.organisation {
            controller.store.organisations().get(organisation).await?;
        }
        Ok(Scope::organisations(self.organisation.clone()))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        self.check(controller).await?;
        let mut sentences: Vec<String> = self
            .access
            .jumps
            .iter()
            .map(|jump| format!("a key that may only pass through would be added for {jump}"))
            .collect();
        sentences.extend([
            format!("the agent would be put on {} ({})", self.name, self.address),
            "Allmende's key would be added for root, able to start the agent and nothing else".to_owned(),
        ]);
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        self.check(controller).await?;
        let notify = |event| context.notify(event);
        let jumps = self.access.open_way(controller, &self.name, &notify).await?;
        let destination = self.destination(jumps.clone());
        let jump_key = controller.jump_key().await?;
        let pinned = self
            .access
            .pin(
                &destination,
                self.fingerprint.as_ref(),
                "--fingerprint",
                &jump_key,
            )
            .await?;
        let enrolled = self
            .access
            .enrol(&destination, &self.name, &pinned, context)
            .await?;
        let host = Host {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            address: self.address.clone(),
            port: self.port(),
            host_key: enrolled.host_key,
            jumps,
            lock: None,
            location: self.location.clone(),
            provider: self.provider.clone(),
            monthly_cost: self.monthly_cost,
            settings: Parameters::new(),
            facts: enrolled.facts,
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
            let keys = controller.ssh_keys(&self.name).await?;
            let session = controller.session(&host).await?;
            session.uninstall(&keys.agent).await?;
        }
        controller.store.hosts().remove(&self.name).await?;
        let secrets = SecretScope::Host(self.name.clone());
        controller.vault.remove_scope(&secrets).await?;
        Ok(Outcome {
            message: if self.forget {
                format!(
                    "{} is forgotten. If it comes back, it still has the agent and Allmende's key.",
                    self.name
                )
            } else {
                format!(
                    "{} is out of Allmende's care; the agent and the key are off it.{}",
                    self.name,
                    left_on_the_way(&host)
                )
            },
            changed: true,
            ..Outcome::default()
        })
    }
}

/// What a person has to know about jump hosts, whose accounts are not Allmende's to change.
fn left_on_the_way(host: &Host) -> String {
    let jumps: Vec<String> = host.jumps.iter().map(|jump| jump.at.to_string()).collect();
    if jumps.is_empty() {
        return String::new();
    }
    format!(
        " If no other host is reached through {}, take the line that ends in allmende-jump out of ~/.ssh/authorized_keys there.",
        jumps.join(", ")
    )
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
        controller
            .store
            .hosts()
            .set_facts(&self.name, &facts, jiff::Timestamp::now())
            .await?;
        Ok(controller.store.hosts().get(&self.name).await?)
    }
}
