//! Times in which nobody is alarmed.

use clap::Args;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::incident::duration;
use super::organisation::check_optional;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{MaintenancePlan, MaintenanceScope, Name, Outcome, Recurrence, ServiceRef, Zone};

/// The longest window that comes again and again.
const LONGEST_RECURRING: SignedDuration = SignedDuration::from_hours(24 * 7);

/// Makes a time in which nobody is alarmed; checks go on
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddMaintenance {
    /// A host (with all its services), a service (kita-sonne/cloud), or an organisation
    pub about: String,
    /// From when, local time: "2026-11-28 22:00"; without it, from now on
    #[arg(long, value_name = "TIME")]
    pub from: Option<String>,
    /// Again and again, in words as of schedules: "sun 03:00", "daily 02:30", "0 3 * * 7"
    #[arg(long, value_name = "WHEN", conflicts_with = "from")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Recurrence>,
    /// Whose clock counts for --at
    #[arg(long, value_name = "ZONE", default_value_t, requires = "at")]
    #[serde(default)]
    pub zone: Zone,
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

impl AddMaintenance {
    /// What it is about, and when.
    async fn understood(
        &self,
        controller: &Controller,
    ) -> Result<(MaintenanceScope, MaintenancePlan, Scope), OperationError> {
        check_optional("the reason", Some(&self.reason))?;
        let (about, scope) = self.about(controller).await?;
        Ok((about, self.plan(Timestamp::now())?, scope))
    }

    /// When it is open.
    fn plan(&self, now: Timestamp) -> Result<MaintenancePlan, OperationError> {
        let refused = |reason: &str| Err(OperationError::Refused(reason.to_owned()));
        let length = duration(&self.duration)?;
        if let Some(at) = &self.at {
            if length > LONGEST_RECURRING {
                return refused("a time that comes again and again lasts for a week at most");
            }
            return Ok(MaintenancePlan::Recurring {
                at: at.clone(),
                zone: self.zone.clone(),
                seconds: length.as_secs(),
            });
        }
        let from = self.from.as_deref().map(local).transpose()?.unwrap_or(now);
        let until = from + length;
        if until <= now {
            return refused("that time is over already");
        }
        Ok(MaintenancePlan::Once { from, until })
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
        let zone = match &plan {
            MaintenancePlan::Once { .. } => &TimeZone::system(),
            MaintenancePlan::Recurring { zone, .. } => zone.rules(),
        };
        let local = |at: Timestamp| at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string();
        let Some((from, until)) = plan.next(Timestamp::now()) else {
            return Err(OperationError::Refused("that time never comes".to_owned()));
        };
        let again = match &plan {
            MaintenancePlan::Once { .. } => String::new(),
            MaintenancePlan::Recurring { at, zone, .. } => format!(", and so on: {at} ({zone})"),
        };
        Ok(Preview::of([format!(
            "nobody would be alarmed about {} from {} until {}{again}",
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

    fn add(from: Option<&str>, at: Option<&str>, duration: &str) -> AddMaintenance {
        AddMaintenance {
            about: "web1".to_owned(),
            from: from.map(ToOwned::to_owned),
            at: at.map(|at| at.parse().expect("a recurrence")),
            zone: Zone::default(),
            duration: duration.to_owned(),
            reason: "updates".to_owned(),
        }
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        assert!(local("2026-11-28 22:00").is_ok());
        for bad in ["tomorrow", "2026-13-01 00:00", "28.11.2026"] {
            assert!(local(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_time_that_is_over_or_never_ends_is_refused() {
        let now: Timestamp = "2026-11-28T12:00:00Z".parse().expect("a time");
        assert!(add(None, None, "2h").plan(now).is_ok());
        assert!(add(Some("2026-11-27 22:00"), None, "2h").plan(now).is_err());
        assert!(add(None, Some("daily 03:00"), "2h").plan(now).is_ok());
        assert!(add(None, Some("daily 03:00"), "8d").plan(now).is_err());
    }
}
