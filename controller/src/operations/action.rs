//! Actions: the day-to-day helps that a service's template offers.

use std::collections::BTreeMap;

use allmende_agent::protocol::{Execution, Output};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::service::{check_secrets, given};
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope, Setting};
use crate::catalogue::{Action, ActionCall, ActionRisk, OutputKind};
use crate::model::{Outcome, Parameters, Role, Secret, Service, ServiceRef};
use crate::vault::generate_password;

/// Uses one of the actions that a service's template offers.
///
/// [`Outcome::answer`] holds `output` (text, JSON or null), `truncated` and `secrets` (those that were generated and are to be
/// shown, by parameter).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RunAction {
    /// The service.
    pub service: ServiceRef,
    /// The action's name in the template.
    pub action: String,
    /// Values for its parameters.
    pub set: Vec<Setting>,
    /// Values for its secret parameters; generated where none is given.
    #[serde(skip)]
    pub secrets: BTreeMap<String, Secret>,
}

impl RunAction {
    /// The service, and what its template says about the action.
    ///
    /// # Errors
    /// An unknown service or action.
    pub async fn definition<'c>(
        &self,
        controller: &'c Controller,
    ) -> Result<(Service, &'c Action), OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        let action = controller
            .catalogue
            .get(&service.template)?
            .action(&self.action)?;
        Ok((service, action))
    }

    /// The program with all its values, and every secret that it may repeat.
    async fn call(
        &self,
        controller: &Controller,
        own: &BTreeMap<String, Secret>,
    ) -> Result<(ActionCall, Vec<String>), OperationError> {
        let (service, action) = self.definition(controller).await?;
        if service.applied.is_none() {
            return Err(OperationError::Refused(format!(
                "{name} is not set up yet. First: allmende apply {name}",
                name = service.full_name()
            )));
        }
        let values = given(&action.params, &self.set, &Parameters::new())?;
        let (bindings, secrets) = controller.bind(&service).await?;
        let template = controller.catalogue.get(&service.template)?;
        let call = controller
            .catalogue
            .call(template, &bindings, &self.action, &values, own)?;
        let secrets = secrets.values().chain(own.values());
        Ok((call, secrets.map(|secret| secret.reveal().to_owned()).collect()))
    }

    /// The values of the action's secrets: given ones, else what `make` gives for their length.
    fn own_secrets(
        &self,
        action: &Action,
        make: impl Fn(usize) -> Result<Secret, OperationError>,
    ) -> Result<BTreeMap<String, Secret>, OperationError> {
        check_secrets(&self.action, &action.params, &self.secrets)?;
        let secret_params = action
            .params
            .iter()
            .filter(|(_, parameter)| parameter.is_secret());
        secret_params
            .map(|(name, parameter)| {
                let secret = match self.secrets.get(name) {
                    Some(given) => given.clone(),
                    None => make(parameter.generated_length())?,
                };
                Ok((name.clone(), secret))
            })
            .collect()
    }
}

impl Operation for RunAction {
    const NAME: &'static str = "service.action";
    const RISK: Risk = Risk::Change;

    async fn role(&self, controller: &Controller) -> Result<Role, OperationError> {
        Ok(self.definition(controller).await?.1.role)
    }

    fn title(&self) -> String {
        format!("{} on {}", self.action, self.service)
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let action = self.definition(controller).await.ok().map(|(_, action)| action);
        let set = Setting::kept(&self.set, |name| action?.params.get(name));
        Self { set, ..self.clone() }
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let (service, action) = self.definition(controller).await?;
        let scope = Scope::organisation(&service.organisation);
        Ok(match action.risk {
            ActionRisk::Read => scope,
            ActionRisk::Change | ActionRisk::Destructive => scope.locking([service.host]),
        })
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (_, action) = self.definition(controller).await?;
        let masks = self.own_secrets(action, |length| Ok(Secret::new("•".repeat(length))))?;
        let (call, _) = self.call(controller, &masks).await?;
        let sentence = call.preview.map_or_else(
            || format!("{}; nothing is changed", action.title.en),
            |preview| preview.en,
        );
        Ok(Preview::of([sentence]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (service, action) = self.definition(controller).await?;
        let own = self.own_secrets(action, |length| Ok(generate_password(length)?))?;
        let (call, secrets) = self.call(controller, &own).await?;
        let host = controller.store.hosts().get(&service.host).await?;
        let session = controller.session(&host).await?;
        let changes = action.risk != ActionRisk::Read;
        let execution = Execution {
            argv: call.step.argv,
            user: call.step.user,
            env: call.step.env,
            stdin: call.step.stdin,
            timeout: call.step.timeout,
            holder: changes.then(|| format!("{}, job {}", context.actor().name, context.job_id())),
            secrets,
        };
        let printed = session.execute(execution).await?;
        session.close().await;
        let name = service.full_name();
        if printed.code != Some(0) {
            return Err(OperationError::ActionFailed {
                action: self.action.clone(),
                service: name,
                said: printed.tail,
            });
        }
        let shown: BTreeMap<&String, &str> = own
            .iter()
            .filter(|(name, _)| action.show.contains(name) && !self.secrets.contains_key(*name))
            .map(|(name, secret)| (name, secret.reveal()))
            .collect();
        Ok(Outcome {
            message: format!("{name}: {}, done.", action.title.en),
            changed: changes,
            answer: json!({
                "output": self.understood(action.output, &printed)?,
                "truncated": printed.truncated,
                "secrets": shown,
            }),
            ..Outcome::default()
        })
    }
}

impl RunAction {
    /// What was printed, in the form that the template promises.
    fn understood(&self, kind: OutputKind, printed: &Output) -> Result<Value, OperationError> {
        match kind {
            OutputKind::None => Ok(Value::Null),
            OutputKind::Text => Ok(printed.stdout.trim_end().into()),
            OutputKind::Json => serde_json::from_str(&printed.stdout).map_err(|error| {
                let why = if printed.truncated {
                    "there was too much of it".to_owned()
                } else {
                    error.to_string()
                };
                OperationError::Refused(format!(
                    "{} was done, but what it printed cannot be shown as a table: {why}",
                    self.action
                ))
            }),
        }
    }
}
