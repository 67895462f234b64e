//! Operations on checks that people add.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{
    CheckSettings, Controller, JobContext, Operation, OperationError, Preview, Risk, Scope, Watched,
};
use crate::catalogue::Check;
use crate::model::{AddedCheck, CheckKey, Host, Name, Outcome, ServiceRef, Subject};

/// Adds a check to a host or service
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddCheck {
    /// What is watched: a host, a service (ORGANISATION/NAME), or `allmende` for something of neither
    pub subject: Subject,
    /// Short name of the check, for example page2
    pub id: Name,
    /// What it asks.
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: CheckSettings,
}

/// Changes a check that somebody added
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditCheck {
    /// The check: kita-sonne/cloud:page2
    pub key: CheckKey,
    /// Puts a setting back to its default, for example contains
    #[arg(long, value_name = "SETTING")]
    #[serde(default)]
    pub unset: Vec<String>,
    /// What changes.
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: CheckSettings,
}

/// Removes a check that somebody added
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveCheck {
    /// The check: kita-sonne/cloud:page2
    pub key: CheckKey,
}

/// A subject that is there.
struct Place {
    subject: Subject,
    organisation: Option<Name>,
    host: Option<Host>,
    /// Names under which the service is reached.
    domains: Vec<String>,
}

impl Place {
    /// What a person points at: a service may be given without its organisation where its name is the only one.
    async fn find(controller: &Controller, subject: &Subject) -> Result<Self, OperationError> {
        let reference = match subject {
            Subject::Controller => {
                return Ok(Self {
                    subject: Subject::Controller,
                    organisation: None,
                    host: None,
                    domains: Vec::new(),
                });
            }
            Subject::Service(reference) => reference.clone(),
            Subject::Host(name) => match controller.store.hosts().get(name).await {
                Ok(host) => {
                    return Ok(Self {
                        subject: subject.clone(),
                        organisation: host.organisation.clone(),
                        host: Some(host),
                        domains: Vec::new(),
                    });
                }
                Err(error) => {
                    let reference = ServiceRef {
                        organisation: None,
                        service: name.clone(),
                    };
                    // It may be a service; if not, the message about hosts is the better one.
                    if controller.store.services().find(&reference).await.is_err() {
                        return Err(error.into());
                    }
                    reference
                }
            },
        };
        let service = controller.store.services().find(&reference).await?;
        Ok(Self {
            subject: Subject::Service(service.reference()),
            host: Some(controller.store.hosts().get(&service.host).await?),
            domains: service.parameters.get("domain").cloned().into_iter().collect(),
            organisation: Some(service.organisation),
        })
    }
}

/// All checks of a subject.
async fn checks_of(controller: &Controller, subject: &Subject) -> Result<Vec<Watched>, OperationError> {
    let all = controller.watched().await?.watched;
    Ok(all
        .into_iter()
        .filter(|watched| watched.key.subject == *subject)
        .collect())
}

/// A check that somebody added, and its whole name.
async fn added(controller: &Controller, key: &CheckKey) -> Result<(CheckKey, Check), OperationError> {
    let place = Place::find(controller, &key.subject).await?;
    let key = CheckKey {
        subject: place.subject.clone(),
        id: key.id.clone(),
    };
    let checks = checks_of(controller, &key.subject).await?;
    match checks.iter().find(|watched| watched.key == key) {
        Some(watched) if watched.added => Ok((key, Check::clone(&watched.check))),
        Some(_) => Err(OperationError::Refused(format!(
            "{key} comes with a template, and is changed there"
        ))),
        None => {
            let names: Vec<&str> = checks
                .iter()
                .filter(|watched| watched.added)
                .map(|watched| watched.key.id.as_str())
                .collect();
            Err(OperationError::Refused(match names.as_slice() {
                [] => format!("nobody added a check to {}", key.subject),
                names => format!(
                    "nobody added a check {} to {}; there is {}",
                    key.id,
                    key.subject,
                    names.join(", ")
                ),
            }))
        }
    }
}

fn definition(check: &Check) -> Result<serde_json::Value, OperationError> {
    serde_json::to_value(check)
        .map_err(|error| OperationError::Refused(format!("the check cannot be written down: {error}")))
}

impl AddCheck {
    async fn check(&self, controller: &Controller) -> Result<AddedCheck, OperationError> {
        let place = Place::find(controller, &self.subject).await?;
        let domains: Vec<&str> = place.domains.iter().map(String::as_str).collect();
        let check = self
            .settings
            .check(self.id.as_str(), place.host.as_ref(), &domains)?;
        if place.host.is_none()
            && (self.settings.tcp.is_some() || self.settings.ssh || self.settings.unit.is_some())
        {
            return Err(OperationError::Refused(
                "that is asked of a host: give the host or service instead of allmende".to_owned(),
            ));
        }
        let key = CheckKey {
            subject: place.subject,
            id: self.id.to_string(),
        };
        let others = checks_of(controller, &key.subject).await?;
        if others.iter().any(|other| other.key == key) {
            return Err(OperationError::Refused(format!(
                "there is a check {key} already; choose another name"
            )));
        }
        Ok(AddedCheck {
            key,
            definition: definition(&check)?,
        })
    }
}

impl Operation for AddCheck {
    const NAME: &'static str = "check.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add the check {}:{}", self.subject, self.id)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let place = Place::find(controller, &self.subject).await?;
        Ok(Scope::organisations(place.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let check = self.check(controller).await?;
        Ok(Preview::of([format!("the check {} would be added", check.key)]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let check = self.check(controller).await?;
        controller.store.checks().add(&check).await?;
        Ok(Outcome {
            message: format!(
                "Added the check {key}. Ask it now with: allmende check run {key}",
                key = check.key
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

impl EditCheck {
    async fn changed(&self, controller: &Controller) -> Result<(AddedCheck, bool), OperationError> {
        let (key, before) = added(controller, &self.key).await?;
        let after = self.settings.changed(&before, &self.unset)?;
        let check = AddedCheck {
            key,
            definition: definition(&after)?,
        };
        Ok((check, before != after))
    }
}

impl Operation for EditCheck {
    const NAME: &'static str = "check.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit the check {}", self.key)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let place = Place::find(controller, &self.key.subject).await?;
        Ok(Scope::organisations(place.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (check, changed) = self.changed(controller).await?;
        Ok(Preview::of([if changed {
            format!("the check {} would be changed", check.key)
        } else {
            format!("the check {} would stay as it is", check.key)
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (check, changed) = self.changed(controller).await?;
        if changed {
            controller.store.checks().update(&check).await?;
        }
        Ok(Outcome {
            message: if changed {
                format!(
                    "Changed the check {key}. Ask it now with: allmende check run {key}",
                    key = check.key
                )
            } else {
                format!("The check {} stays as it is.", check.key)
            },
            changed,
            ..Outcome::default()
        })
    }
}

impl RemoveCheck {
    /// The whole name of the check; what it asks need not be readable.
    async fn key(&self, controller: &Controller) -> Result<CheckKey, OperationError> {
        let place = Place::find(controller, &self.key.subject).await?;
        Ok(CheckKey {
            subject: place.subject,
            id: self.key.id.clone(),
        })
    }
}

impl Operation for RemoveCheck {
    const NAME: &'static str = "check.remove";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("remove the check {}", self.key)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let place = Place::find(controller, &self.key.subject).await?;
        Ok(Scope::organisations(place.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let key = self.key(controller).await?;
        let there = controller.store.checks().list().await?;
        Ok(Preview::of([if there.iter().any(|check| check.key == key) {
            format!("the check {key} would be removed")
        } else {
            format!("nobody added a check {key}: nothing would be removed")
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let key = self.key(controller).await?;
        controller.store.checks().remove(&key).await?;
        Ok(Outcome {
            message: format!("The check {key} is removed."),
            changed: true,
            ..Outcome::default()
        })
    }
}
