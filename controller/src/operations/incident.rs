//! Taking care of incidents.

use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::organisation::check_optional;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{Acknowledgement, Outcome};

/// Says that you take care of an incident: nobody is reminded of it any more
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AcknowledgeIncident {
    /// Its number
    pub id: i64,
    /// What you are going to do; others read it
    #[arg(long)]
    pub note: String,
    /// For how long, for example 4h or 2d; then others are reminded again. Without it, until it is over
    #[arg(long = "for", value_name = "TIME")]
    pub duration: Option<String>,
}

/// How long, as people write it.
pub(super) fn duration(text: &str) -> Result<SignedDuration, OperationError> {
    let refused = || {
        OperationError::Refused(format!(
            "{text:?} is no length of time: write one like 90m, 4h or 2d"
        ))
    };
    // Days are 24 hours here.
    let parsed = match text.trim().strip_suffix('d').map(str::parse::<i64>) {
        Some(days) => days
            .ok()
            .and_then(|days| days.checked_mul(24))
            .map(SignedDuration::from_hours),
        None => text.trim().parse::<SignedDuration>().ok(),
    };
    let longest = SignedDuration::from_hours(24 * 366);
    parsed
        .filter(|parsed| parsed.is_positive() && *parsed <= longest)
        .ok_or_else(refused)
}

impl Operation for AcknowledgeIncident {
    const NAME: &'static str = "incident.acknowledge";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("acknowledge incident {}", self.id)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        check_optional("the note", Some(&self.note))?;
        self.duration.as_deref().map(duration).transpose()?;
        let incident = controller.store.watch().incident(self.id).await?;
        Ok(Scope::organisations(incident.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.scope(controller).await?;
        Ok(Preview::of([format!(
            "nobody would be reminded of incident {} any more",
            self.id
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let until = self.duration.as_deref().map(duration).transpose()?;
        let by = Acknowledgement {
            by: context.actor().name.clone(),
            note: self.note.clone(),
            until: until.map(|until| Timestamp::now() + until),
        };
        let watch = context.controller().store.watch();
        watch.acknowledge(self.id, &by, Timestamp::now()).await?;
        Ok(Outcome {
            message: format!(
                "Incident {} is yours; nobody is reminded of it any more.",
                self.id
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, minutes) in [("90m", 90), ("4h", 240), ("2d", 2880), ("1h 30m", 90)] {
            assert_eq!(duration(text).expect(text), SignedDuration::from_mins(minutes));
        }
        for bad in ["", "4", "-1h", "0m", "forever", "9999999999d", "400d"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }
}
