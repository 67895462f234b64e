//! Putting the agent and the key back on a host that lost them.

use std::sync::Arc;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::access::OwnAccess;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::{self, Destination};
use crate::model::{Name, Outcome};

/// Puts the agent and Allmende's key back on a host, with your own access: also after it was installed anew
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RepairHost {
    /// The host
    pub name: Name,
    /// Your own access to it.
    #[command(flatten)]
    #[serde(flatten)]
    pub access: OwnAccess,
    /// Fingerprint of its new host key, as its console or provider shows it; without one, the key must be the known one
    #[arg(long, value_name = "SHA256:…")]
    pub fingerprint: Option<String>,
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
        let notify = |event| context.notify(event);
        let mut destination = Destination::from(&host);
        if !self.access.jumps.is_empty() {
            let way = self.access.open_way(controller, &self.name, &notify).await?;
            destination.jumps = Arc::new(way);
        }
        let expected = match &self.fingerprint {
            Some(fingerprint) => {
                let jump_key = controller.jump_key().await?;
                fleet::probe_for(&destination, fingerprint, &jump_key).await?.key
            }
            None => host.host_key.clone(),
        };
        let enrolled = self
            .access
            .enrol(&destination, &self.name, &expected, context)
            .await?;
        controller
            .store
            .hosts()
            .update(&self.name, |host| {
                host.host_key = enrolled.host_key;
                host.jumps = destination.jumps.to_vec();
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
