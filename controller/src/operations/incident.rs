//! Taking care of incidents, and times in which nobody is alarmed.

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::organisation::check_optional;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{Acknowledgement, MaintenancePlan, MaintenanceScope, Name, Outcome, ServiceRef};

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

/// Makes a time in which nobody is alarmed; checks go on
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddMaintenance {
    /// A host (with all its services), a service (kita-sonne/cloud), or an organisation
    pub about: String,
    /// From when, local time: "2026-11-28 22:00"; without it, from now on
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// For how long, for example 90m or 2h
    #[arg(long = "for", value_name = "TIME")]
    pub duration: String,
    /// Why; everybody who wonders reads this
    #[arg(long)]
    pub reason: String,
}

/// Ends a time in which nobody is alarmed
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EndMaintenance {
    /// Its number
    pub id: i64,
}

/// How long, as people write it.
fn duration(text: &str) -> Result<SignedDuration, OperationError> {
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

/// A time as people write it, in the time zone of this machine.
fn local(text: &str) -> Result<Timestamp, OperationError> {
    let civil = DateTime::strptime("%Y-%m-%d %H:%M", text.trim());
    let zoned = civil.and_then(|civil| civil.to_zoned(TimeZone::system()));
    zoned.map(|zoned| zoned.timestamp()).map_err(|_| {
        OperationError::Refused(format!(
            "{text:?} is no time: write one like \"2026-11-28 22:00\""
        ))
    })
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
        watch.acknowledge(self.id, &by).await?;
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

impl AddMaintenance {
    /// What it is about, and when.
    async fn understood(
        &self,
        controller: &Controller,
    ) -> Result<(MaintenanceScope, MaintenancePlan, Scope), OperationError> {
        check_optional("the reason", Some(&self.reason))?;
        let from = self
            .from
            .as_deref()
            .map(local)
            .transpose()?
            .unwrap_or_else(Timestamp::now);
        let until = from + duration(&self.duration)?;
        if until <= Timestamp::now() {
            return Err(OperationError::Refused("that time is over already".to_owned()));
        }
        let plan = MaintenancePlan::Once { from, until };
        let (about, scope) = self.about(controller).await?;
        Ok((about, plan, scope))
    }

    async fn about(&self, controller: &Controller) -> Result<(MaintenanceScope, Scope), OperationError> {
        let refused = |error: crate::model::InvalidName| OperationError::Refused(error.to_string());
        if self.about.contains('/') {
            let reference: ServiceRef = self.about.parse().map_err(refused)?;
            let service = controller.store.services().find(&reference).await?;
            let scope = Scope::organisation(&service.organisation);
            return Ok((MaintenanceScope::Service(service.full_name()), scope));
        }
        let name: Name = self.about.parse().map_err(refused)?;
        let hosts = controller.store.hosts().list().await?;
        if let Some(host) = hosts.into_iter().find(|host| host.name == name) {
            return Ok((
                MaintenanceScope::Host(host.name),
                Scope::organisations(host.organisation),
            ));
        }
        let known = controller.store.organisations().get(&name).await;
        match known {
            Ok(organisation) => {
                let scope = Scope::organisation(&organisation.name);
                Ok((MaintenanceScope::Organisation(organisation.name), scope))
            }
            Err(_) => Err(OperationError::Refused(format!(
                "{name} is neither a host nor an organisation; a service is written with its organisation, for example kita-sonne/cloud"
            ))),
        }
    }
}

impl Operation for AddMaintenance {
    const NAME: &'static str = "maintenance.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("maintenance of {}", self.about)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        self.understood(controller).await.map(|(_, _, scope)| scope)
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (_, plan, _) = self.understood(controller).await?;
        let MaintenancePlan::Once { from, until } = plan;
        let local = |at: Timestamp| {
            at.to_zoned(TimeZone::system())
                .strftime("%Y-%m-%d %H:%M")
                .to_string()
        };
        Ok(Preview::of([format!(
            "nobody would be alarmed about {} from {} until {}",
            self.about,
            local(from),
            local(until)
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (about, plan, _) = self.understood(controller).await?;
        let actor = &context.actor().name;
        let id = controller
            .store
            .watch()
            .add_maintenance(&about, &plan, &self.reason, actor)
            .await?;
        Ok(Outcome {
            message: format!(
                "Maintenance {id}: nobody is alarmed about {} meanwhile. If you are ready earlier: allmende maintenance end {id}",
                self.about
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

impl Operation for EndMaintenance {
    const NAME: &'static str = "maintenance.end";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("end maintenance {}", self.id)
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        Ok(Scope::default())
    }

    async fn preview(&self, _controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of(["people would be alarmed again".to_owned()]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        context
            .controller()
            .store
            .watch()
            .end_maintenance(self.id)
            .await?;
        Ok(Outcome {
            message: format!(
                "Maintenance {} is over: what is bad is told from now on.",
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
        assert!(local("2026-11-28 22:00").is_ok());
        for bad in ["tomorrow", "2026-13-01 00:00", "28.11.2026"] {
            assert!(local(bad).is_err(), "{bad}");
        }
    }
}
