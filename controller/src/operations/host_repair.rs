//! Putting the agent and the key back on a host that lost them.

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::host::{Asker, told};
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::{self, Destination, PersonalAccess, Question, Step};
use crate::model::{Name, Outcome};

/// Puts the agent and Allmende's key back on a host, with your own access: also after it was installed anew
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RepairHost {
    /// The host
    pub name: Name,
    /// User to log in as with your own access: root, or one who may use sudo
    #[arg(long, default_value = "root")]
    pub user: String,
    /// Your own private key for it; without one, your ssh-agent or your password is used
    #[arg(long, value_name = "FILE")]
    pub identity: Option<PathBuf>,
    /// Fingerprint of its new host key, as its console or provider shows it; without one, the key must be the known one
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
    /// Who answers questions while the person's access is used.
    #[arg(skip)]
    #[serde(skip)]
    pub asker: Asker,
}

impl Operation for RepairHost {
    const NAME: &'static str = "host.repair";
    const RISK: Risk = Risk::Change;

    fn title(&self) -> String {
        format!("repair host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        Ok(Scope::organisations(host.organisation).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        let mut sentences = vec![format!(
            "the agent and Allmende's key would be put on {} ({}) where they are missing",
            host.name, host.address
        )];
        if let Some(fingerprint) = &self.fingerprint {
            sentences.push(format!(
                "its host key would have to be {fingerprint} from then on"
            ));
        }
        Ok(Preview::of(sentences))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let host = controller.store.hosts().get(&self.name).await?;
        let destination = Destination::from(&host);
        let expected = match &self.fingerprint {
            Some(fingerprint) => fleet::probe_for(&destination, fingerprint).await?.key,
            None => host.host_key.clone(),
        };
        let key = controller.ssh_key().await?;
        let mut ask = |question: &Question| (self.asker.0)(question);
        let mut access = PersonalAccess::new(&self.user, &mut ask);
        if let Some(identity) = &self.identity {
            access = access.with_identity(identity);
        }
        let mut progress = |step: Step| context.notify(told(step, &self.name));
        let enrolled = fleet::bootstrap(&destination, &expected, access, &key, &mut progress).await?;
        controller
            .store
            .hosts()
            .update(&self.name, |host| {
                host.host_key = enrolled.host_key;
                host.facts = enrolled.facts;
                host.seen_at = jiff::Timestamp::now();
            })
            .await?;
        Ok(Outcome {
            message: format!(
                "{name} is in Allmende's care again. See what is missing on it with: allmende plan --host {name}",
                name = self.name
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}
