//! Trying a channel.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::changed;
use crate::model::{Name, Outcome};
use crate::notify::Sender;
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::now;

/// Sends somebody a test, and says what the other side said
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct TestChannel {
    /// By which channel
    pub channel: Name,
    /// Whom
    #[arg(long = "to", value_name = "PERSON")]
    pub person: Name,
}

impl TestChannel {
    async fn check(&self, controller: &Controller) -> Result<String, OperationError> {
        let notifications = controller.store.notifications();
        let (channel, _) = notifications.channel(&self.channel).await?;
        let person = notifications.person(&self.person).await?;
        let kind = channel.way.kind();
        if !person.is_reached_by(kind) {
            return Err(OperationError::Refused(format!(
                "{} has no address for {kind}; give it with: allmende notify person edit {} --{kind} …",
                person.title, person.name
            )));
        }
        Ok(person.title)
    }
}

impl Operation for TestChannel {
    const NAME: &'static str = "notify.test";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("test {} with {}", self.channel, self.person)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        self.check(controller).await?;
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let title = self.check(controller).await?;
        Ok(Preview::of([format!(
            "{title} would get a test by {}",
            self.channel
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let title = self.check(controller).await?;
        let refused = |failure: crate::notify::Failure| {
            OperationError::Refused(format!("the test did not arrive: {}", failure.said))
        };
        let holder = format!("pid {}", std::process::id());
        let sender = Sender::new(&controller.store, &controller.vault, holder).map_err(refused)?;
        let answer = sender
            .try_out(&self.channel, &self.person, now())
            .await?
            .map_err(refused)?;
        Ok(changed(format!(
            "Sent a test to {title}. The other side said: {answer}"
        )))
    }
}
