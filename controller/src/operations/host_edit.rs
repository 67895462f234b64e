//! Changing what is known about a host.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::organisation::check_optional;
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope, Setting};
use crate::catalogue::{Parameter, Scope as TemplateScope};
use crate::model::{Host, MonthlyCost, Name, Outcome};

/// What can be cleared of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostField {
    /// Where it stands
    Location,
    /// Who runs it
    Provider,
    /// What it costs
    MonthlyCost,
}

/// Changes what is known about a host, or its settings; the next `apply` brings settings about
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditHost {
    /// The host
    pub name: Name,
    /// Gives it to an organisation
    #[arg(long = "org", value_name = "ORGANISATION", conflicts_with = "shared")]
    pub organisation: Option<Name>,
    /// Several organisations share it
    #[arg(long)]
    #[serde(default)]
    pub shared: bool,
    /// Address or name under which it is reached
    #[arg(long)]
    pub address: Option<String>,
    /// Port of its SSH server
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..))]
    pub port: Option<u16>,
    /// Where it stands
    #[arg(long)]
    pub location: Option<String>,
    /// Who runs the machine or the building
    #[arg(long)]
    pub provider: Option<String>,
    /// What it costs a month, in euros
    #[arg(long, value_name = "EUROS")]
    pub monthly_cost: Option<MonthlyCost>,
    /// A setting of the host; see `allmende template show base`
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    #[serde(default)]
    pub set: Vec<Setting>,
    /// Puts a setting back to its default
    #[arg(long = "unset", value_name = "SETTING")]
    #[serde(default)]
    pub unset: Vec<String>,
    /// Forgets a field
    #[arg(long)]
    #[serde(default)]
    pub clear: Vec<HostField>,
}

impl EditHost {
    /// Refuses what makes no sense, before anything is changed.
    async fn check(&self, controller: &Controller) -> Result<Host, OperationError> {
        for (what, text) in [
            ("the address", &self.address),
            ("the location", &self.location),
            ("the provider", &self.provider),
        ] {
            check_optional(what, text.as_ref())?;
        }
        let old = controller.store.hosts().get(&self.name).await?;
        if let Some(organisation) = &self.organisation {
            let strangers: Vec<String> = controller
                .store
                .services()
                .on_host(&self.name)
                .await?
                .iter()
                .filter(|service| service.organisation != *organisation)
                .map(|service| service.full_name())
                .collect();
            if !strangers.is_empty() {
                return Err(OperationError::Refused(format!(
                    "{} carries services of others: {}",
                    self.name,
                    strangers.join(", ")
                )));
            }
        }
        for Setting { name, value } in &self.set {
            check_setting(controller, name, value)?;
        }
        for name in &self.unset {
            if !old.settings.contains_key(name) {
                return Err(OperationError::Refused(format!(
                    "{} has no value of its own for {name}",
                    self.name
                )));
            }
        }
        Ok(old)
    }

    fn change(&self, host: &mut Host) {
        if self.shared {
            host.organisation = None;
        }
        if self.organisation.is_some() {
            host.organisation.clone_from(&self.organisation);
        }
        if let Some(address) = &self.address {
            host.address.clone_from(address);
        }
        if let Some(port) = self.port {
            host.port = port;
        }
        for field in &self.clear {
            match field {
                HostField::Location => host.location = None,
                HostField::Provider => host.provider = None,
                HostField::MonthlyCost => host.monthly_cost = None,
            }
        }
        if self.location.is_some() {
            host.location.clone_from(&self.location);
        }
        if self.provider.is_some() {
            host.provider.clone_from(&self.provider);
        }
        if self.monthly_cost.is_some() {
            host.monthly_cost = self.monthly_cost;
        }
        for name in &self.unset {
            host.settings.remove(name);
        }
        for Setting { name, value } in &self.set {
            host.settings.insert(name.clone(), value.clone());
        }
    }
}

/// Refuses a setting that hosts do not have, or a value that it cannot have.
pub(super) fn check_setting(controller: &Controller, name: &str, value: &str) -> Result<(), OperationError> {
    let parameter = parameter(controller, name).ok_or_else(|| {
        OperationError::Refused(format!(
            "hosts have no setting {name:?}; see: allmende template show base"
        ))
    })?;
    if parameter.is_secret() {
        return Err(OperationError::Refused(format!(
            "{name} is a secret and is generated; leave it out"
        )));
    }
    parameter
        .check(value)
        .map(drop)
        .map_err(|expected| OperationError::Refused(format!("{name}: {expected}, not {value:?}")))
}

/// A parameter of the host-wide templates.
pub(super) fn parameter<'a>(controller: &'a Controller, name: &str) -> Option<&'a Parameter> {
    controller
        .catalogue
        .all()
        .filter(|template| template.manifest.scope == TemplateScope::Host)
        .find_map(|template| template.manifest.params.get(name))
}

impl Operation for EditHost {
    const NAME: &'static str = "host.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit host {}", self.name)
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let set = Setting::kept(&self.set, |name| parameter(controller, name));
        Self { set, ..self.clone() }
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let host = controller.store.hosts().get(&self.name).await?;
        if let Some(organisation) = &self.organisation {
            controller.store.organisations().get(organisation).await?;
        }
        Ok(Scope::organisations(
            host.organisation.into_iter().chain(self.organisation.clone()),
        ))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let old = self.check(controller).await?;
        let mut new = old.clone();
        self.change(&mut new);
        Ok(Preview::of([if new == old {
            "nothing would change".to_owned()
        } else {
            format!("what is known about {} would be changed", self.name)
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let old = self.check(controller).await?;
        let new = controller
            .store
            .hosts()
            .update(&self.name, |host| self.change(host))
            .await?;
        let mut message = if new == old {
            format!("{} stays as it is.", self.name)
        } else {
            format!("Changed {}.", self.name)
        };
        if new.settings != old.settings {
            message = format!(
                "{message} Bring it about with: allmende apply --host {}",
                self.name
            );
        }
        Ok(Outcome {
            message,
            changed: new != old,
            ..Outcome::default()
        })
    }
}
