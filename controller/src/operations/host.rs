//! Operations on hosts that need the host itself: add, remove, read facts.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::{self, Destination, PersonalAccess, Question, Step};
use crate::model::{Host, JobEventKind, MonthlyCost, Name, Outcome, Parameters, Secret};

/// Asks the person who adds a host for a password or passphrase; none when there is no answer.
#[derive(Clone)]
pub struct Asker(pub Arc<Ask>);

/// Answers a question, or gives no answer.
type Ask = dyn Fn(&Question) -> Option<Secret> + Send + Sync;

impl Default for Asker {
    fn default() -> Self {
        Self(Arc::new(|_| None))
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Asker")
    }
}

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
    /// Port of its SSH server
    #[arg(long, default_value_t = 22, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: u16,
    /// User to log in as with your own access: root, or one who may use sudo
    #[arg(long, default_value = "root")]
    pub user: String,
    /// Your own private key for it; without one, your ssh-agent or your password is used
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
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
    /// Who answers questions while the person's access is used.
    #[arg(skip)]
    #[serde(skip)]
    pub asker: Asker,
}

impl AddHost {
    /// Where the host is.
    pub fn destination(&self) -> Destination {
        Destination {
            name: self.name.to_string(),
            address: self.address.clone(),
            port: self.port,
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

/// A step of the bootstrap, for people.
pub(super) fn told(step: Step, host: &Name) -> JobEventKind {
    let text = match step {
        Step::LogIn => format!("logging in to {host} with your own access"),
        Step::Look => format!("looking whether {host} can be taken into care"),
        Step::SendAgent { sent, total } => {
            return JobEventKind::Progress {
                what: format!("sending the agent to {host}"),
                done: sent,
                total,
            };
        }
        Step::Prove => "proving that Allmende's own key starts the agent".to_owned(),
        Step::TakeBack => format!("that did not work: taking everything off {host} again"),
    };
    JobEventKind::Step { text }
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
        Ok(Preview::of([
            format!("the agent would be put on {} ({})", self.name, self.address),
            "Allmende's key would be added for root, able to start the agent and nothing else".to_owned(),
        ]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        self.check(controller).await?;
        let destination = self.destination();
        let Some(fingerprint) = &self.fingerprint else {
            return Err(OperationError::Refused(
                "adding a host needs the fingerprint of its host key: --fingerprint SHA256:…".to_owned(),
            ));
        };
        let pinned = fleet::probe_for(&destination, fingerprint).await?.key;
        let key = controller.ssh_key().await?;
        let mut ask = |question: &Question| (self.asker.0)(question);
        let mut access = PersonalAccess::new(&self.user, &mut ask);
        if let Some(identity) = &self.identity {
            access = access.with_identity(identity);
        }
        let mut progress = |step: Step| context.notify(told(step, &self.name));
        let enrolled = fleet::bootstrap(&destination, &pinned, access, &key, &mut progress).await?;
        let host = Host {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            address: self.address.clone(),
            port: self.port,
            host_key: enrolled.host_key,
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
            let key = controller.ssh_key().await?;
            let session = controller.session(&host).await?;
            session.uninstall(&key).await?;
        }
        controller.store.hosts().remove(&self.name).await?;
        Ok(Outcome {
            message: if self.forget {
                format!(
                    "{} is forgotten. If it comes back, it still has the agent and Allmende's key.",
                    self.name
                )
            } else {
                format!(
                    "{} is out of Allmende's care; the agent and the key are off it.",
                    self.name
                )
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
        controller
            .store
            .hosts()
            .set_facts(&self.name, &facts, jiff::Timestamp::now())
            .await?;
        Ok(controller.store.hosts().get(&self.name).await?)
    }
}
