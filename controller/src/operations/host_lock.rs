//! Keeping everybody from changing a host for a while.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::organisation::check_optional;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{HostLock, Name, Outcome};

/// Keeps everybody from changing a host until it is unlocked
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct LockHost {
    /// The host
    pub name: Name,
    /// Why; everybody who wants to change it reads this
    #[arg(long)]
    pub reason: String,
}

/// Lets a host be changed again
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct UnlockHost {
    /// The host
    pub name: Name,
}

/// No hosts: a lock comes beside a job that is under way, and must go while it is there.
async fn scope(controller: &Controller, name: &Name) -> Result<Scope, OperationError> {
    let host = controller.store.hosts().get(name).await?;
    Ok(Scope::organisations(host.organisation))
}

impl Operation for LockHost {
    const NAME: &'static str = "host.lock";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("lock host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        check_optional("the reason", Some(&self.reason))?;
        scope(controller, &self.name).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!(
            "nothing on {} could be changed",
            self.name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let lock = HostLock {
            by: context.actor().name.clone(),
            since: jiff::Timestamp::now(),
            reason: self.reason.clone(),
        };
        let hosts = context.controller().store.hosts();
        hosts.update(&self.name, |host| host.lock = Some(lock)).await?;
        Ok(Outcome {
            message: format!(
                "{} is locked: nothing on it is changed until somebody says: allmende host unlock {0}",
                self.name
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

impl Operation for UnlockHost {
    const NAME: &'static str = "host.unlock";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("unlock host {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        scope(controller, &self.name).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!("{} could be changed again", self.name)]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let hosts = context.controller().store.hosts();
        let mut was = None;
        hosts.update(&self.name, |host| was = host.lock.take()).await?;
        Ok(Outcome {
            message: match &was {
                Some(lock) => format!("{} may be changed again; {} had locked it.", self.name, lock.by),
                None => format!("{} was not locked.", self.name),
            },
            changed: was.is_some(),
            ..Outcome::default()
        })
    }
}
