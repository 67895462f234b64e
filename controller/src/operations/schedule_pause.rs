//! Letting a schedule rest.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::organisation::check_text;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{Name, Outcome, Pause};
use crate::store;

/// Lets a schedule rest until it is resumed
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct PauseSchedule {
    /// The schedule
    pub name: Name,
    /// Why; everybody who looks at it reads this
    #[arg(long)]
    pub reason: String,
}

/// Lets a schedule go on, with its next time
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct ResumeSchedule {
    /// The schedule
    pub name: Name,
}

async fn scope(controller: &Controller, name: &Name) -> Result<Scope, OperationError> {
    let schedule = controller.store.schedules().get(name).await?;
    Ok(Scope::organisations(schedule.organisation))
}

impl Operation for PauseSchedule {
    const NAME: &'static str = "schedule.pause";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("pause schedule {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        check_text("the reason", &self.reason)?;
        scope(controller, &self.name).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!(
            "{} would rest until it is resumed",
            self.name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let now = store::now();
        let pause = Pause {
            by: context.actor().name.clone(),
            since: now,
            reason: self.reason.clone(),
        };
        let schedules = context.controller().store.schedules();
        schedules
            .update(&self.name, now, |schedule| schedule.paused = Some(pause))
            .await?;
        Ok(Outcome {
            message: format!(
                "Schedule {0} rests. A job of it that waits or runs goes on. To end the rest: allmende schedule resume {0}",
                self.name
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

impl Operation for ResumeSchedule {
    const NAME: &'static str = "schedule.resume";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("resume schedule {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        scope(controller, &self.name).await
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!(
            "{} would go on with its next time",
            self.name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let schedules = context.controller().store.schedules();
        let mut rest = None;
        schedules
            .update(&self.name, store::now(), |schedule| rest = schedule.paused.take())
            .await?;
        Ok(Outcome {
            message: match &rest {
                Some(rest) => format!(
                    "Schedule {} goes on with its next time; {} had paused it. Times that passed meanwhile are not made up for.",
                    self.name, rest.by
                ),
                None => format!("Schedule {} was not paused.", self.name),
            },
            changed: rest.is_some(),
            ..Outcome::default()
        })
    }
}
