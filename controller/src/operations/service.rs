//! Operations on services: add, edit, remove.

use std::collections::BTreeMap;

use clap::Args;
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope, Setting};
use crate::catalogue::{Parameter, Scope as TemplateScope, ServiceTemplate, WantedSpec};
use crate::model::{Host, Name, Organisation, Outcome, Parameters, Secret, Service, ServiceRef};
use crate::provision::ProvisionError;
use crate::store::StoreError;
use crate::vault::{SecretScope, generate_password};

/// Adds a service to an organisation; nothing happens on the host before `apply`
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddService {
    /// Short name of the service, for example cloud
    pub name: Name,
    /// Organisation that it belongs to
    #[arg(long = "org", value_name = "ORGANISATION")]
    pub organisation: Name,
    /// Host that it lives on
    #[arg(long)]
    pub host: Name,
    /// Service template; see `allmende template list`
    #[arg(long)]
    pub template: String,
    /// Value of a parameter; see `allmende template show TEMPLATE`
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    pub set: Vec<Setting>,
    /// Values of secrets; generated where none is given
    #[arg(skip)]
    #[serde(skip)]
    pub secrets: BTreeMap<String, Secret>,
}

impl AddService {
    /// Gets hold of the archives that the service is made from; adds nothing.
    ///
    /// # Errors
    /// Which archive is not to be had, or why the service would be refused.
    pub async fn obtain_archives(&self, controller: &Controller) -> Result<(), OperationError> {
        let (service, host, organisation) = self.service(controller).await?;
        let wanted = controller.check_requirements(&service, &host, &organisation)?;
        for resource in &wanted.resources {
            if let WantedSpec::Archive(archive) = &resource.spec {
                let known = controller
                    .archives
                    .identify(archive)
                    .await
                    .map_err(ProvisionError::from)?;
                controller
                    .archives
                    .file(&known)
                    .await
                    .map_err(ProvisionError::from)?;
            }
        }
        Ok(())
    }

    async fn service(
        &self,
        controller: &Controller,
    ) -> Result<(Service, Host, Organisation), OperationError> {
        let organisation = controller.store.organisations().get(&self.organisation).await?;
        let host = controller.store.hosts().get(&self.host).await?;
        if let Some(owner) = &host.organisation
            && *owner != self.organisation
        {
            return Err(OperationError::Refused(format!(
                "{} belongs to {owner}, not to {}. Share it first: allmende host edit {} --shared",
                self.host, self.organisation, self.host
            )));
        }
        let template = controller.catalogue.get(&self.template)?;
        match template.manifest.scope {
            TemplateScope::Service => {}
            TemplateScope::Host => {
                return Err(OperationError::Refused(format!(
                    "{} describes hosts and comes along with the services that need it; change it with: allmende host edit {} --set PARAMETER=VALUE",
                    self.template, self.host
                )));
            }
            TemplateScope::Part => {
                return Err(OperationError::Refused(format!(
                    "{} is a part of other templates and no service of its own; see allmende template list",
                    self.template
                )));
            }
        }
        self.check_place(controller, template).await?;
        let parameters = given(&template.manifest.params, &self.set, &Parameters::new())?;
        template.check_given(&parameters)?;
        check_secrets(&template.manifest.name, &template.manifest.params, &self.secrets)?;
        let service = Service {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            host: self.host.clone(),
            template: self.template.clone(),
            parameters,
            begun: None,
            applied: None,
        };
        Ok((service, host, organisation))
    }

    /// Whether the host has room for one more of a template that a host has only once.
    async fn check_place(
        &self,
        controller: &Controller,
        template: &ServiceTemplate,
    ) -> Result<(), OperationError> {
        if !template.manifest.one_per_host {
            return Ok(());
        }
        let services = controller.store.services().on_host(&self.host).await?;
        match services.iter().find(|other| {
            other.template == self.template
                && (&other.organisation, &other.name) != (&self.organisation, &self.name)
        }) {
            Some(other) => Err(OperationError::Refused(format!(
                "a host has only one {}, which serves everybody on it, and {} has {} already",
                self.template,
                self.host,
                other.full_name()
            ))),
            None => Ok(()),
        }
    }
}

impl Operation for AddService {
    const NAME: &'static str = "service.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add service {}/{}", self.organisation, self.name)
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let template = controller.catalogue.get(&self.template).ok();
        let set = Setting::kept(&self.set, |name| template?.manifest.params.get(name));
        Self { set, ..self.clone() }
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        Ok(Scope::organisation(&self.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (service, host, organisation) = self.service(controller).await?;
        if controller
            .store
            .services()
            .find(&service.reference())
            .await
            .is_ok()
        {
            let name = service.full_name();
            let noun = "service";
            return Err(StoreError::Exists { noun, name }.into());
        }
        controller.check_requirements(&service, &host, &organisation)?;
        Ok(Preview::of([format!(
            "{} would be added as a {} on {}; nothing happens there before `allmende apply`",
            service.full_name(),
            service.template,
            service.host
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (service, host, organisation) = self.service(controller).await?;
        // The names of secrets only: a rendering with their real values follows at the first plan.
        controller.check_requirements(&service, &host, &organisation)?;
        controller.store.services().add(&service).await?;
        let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
        let template = controller.catalogue.get(&self.template)?;
        for (name, parameter) in &template.manifest.params {
            if parameter.is_secret() {
                let secret = match self.secrets.get(name) {
                    Some(given) => given.clone(),
                    None => generate_password(parameter.generated_length())?,
                };
                controller.vault.put(&scope, name, &secret).await?;
            }
        }
        Ok(Outcome {
            message: format!(
                "Added {name}. See what would happen with: allmende plan {name}",
                name = service.full_name(),
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Changes parameters of a service; the next `apply` brings them about
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditService {
    /// The service: NAME or ORGANISATION/NAME
    pub service: ServiceRef,
    /// New value of a parameter
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    pub set: Vec<Setting>,
    /// Puts a parameter back to its default
    #[arg(long = "unset", value_name = "PARAMETER")]
    pub unset: Vec<String>,
    /// New values of secrets
    #[arg(skip)]
    #[serde(skip)]
    pub secrets: BTreeMap<String, Secret>,
}

impl EditService {
    async fn edited(&self, controller: &Controller) -> Result<(Service, Vec<String>), OperationError> {
        let old = controller.store.services().find(&self.service).await?;
        let template = controller.catalogue.get(&old.template)?;
        let mut parameters = given(&template.manifest.params, &self.set, &old.parameters)?;
        for name in &self.unset {
            if parameters.remove(name).is_none() {
                return Err(OperationError::Refused(format!(
                    "{} has no value of its own for {name}",
                    old.full_name()
                )));
            }
        }
        template.check_given(&parameters)?;
        check_secrets(&template.manifest.name, &template.manifest.params, &self.secrets)?;
        if let Some(applied) = &old.applied {
            controller
                .catalogue
                .check_change(template, &applied.parameters, &parameters)?;
        }
        let changes: Vec<String> = old
            .parameters
            .keys()
            .chain(parameters.keys())
            .collect::<std::collections::BTreeSet<_>>()
            .into_iter()
            .filter(|name| old.parameters.get(*name) != parameters.get(*name))
            .map(|name| {
                let show = |value: Option<&String>| value.map_or("its default", String::as_str).to_owned();
                format!(
                    "{name}: {} → {}",
                    show(old.parameters.get(name)),
                    show(parameters.get(name))
                )
            })
            .chain(self.secrets.keys().map(|name| format!("{name}: a new value")))
            .collect();
        Ok((Service { parameters, ..old }, changes))
    }
}

impl Operation for EditService {
    const NAME: &'static str = "service.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit service {}", self.service)
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let service = controller.store.services().find(&self.service).await.ok();
        let template = service.and_then(|service| controller.catalogue.get(&service.template).ok());
        let set = Setting::kept(&self.set, |name| template?.manifest.params.get(name));
        Self { set, ..self.clone() }
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        Ok(Scope::organisation(&service.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of(self.edited(controller).await?.1))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (service, changes) = self.edited(controller).await?;
        let host = controller.store.hosts().get(&service.host).await?;
        let organisation = controller
            .store
            .organisations()
            .get(&service.organisation)
            .await?;
        controller.check_requirements(&service, &host, &organisation)?;
        let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
        for (name, secret) in &self.secrets {
            controller.vault.put(&scope, name, secret).await?;
        }
        let update = |kept: &mut Service| kept.parameters.clone_from(&service.parameters);
        controller.store.services().update(&self.service, update).await?;
        Ok(Outcome {
            message: match changes.as_slice() {
                [] => format!("{} stays as it is.", service.full_name()),
                changes => format!(
                    "Changed {name}: {}. Bring it about with: allmende apply {name}",
                    changes.join(", "),
                    name = service.full_name(),
                ),
            },
            changed: !changes.is_empty(),
            ..Outcome::default()
        })
    }
}

/// Values that were given, over those that were there. Secrets are refused: a command line is no place for them.
pub(super) fn given(
    params: &IndexMap<String, Parameter>,
    set: &[Setting],
    before: &Parameters,
) -> Result<Parameters, OperationError> {
    let mut parameters = before.clone();
    for Setting { name, value } in set {
        if params.get(name).is_some_and(Parameter::is_secret) {
            return Err(OperationError::Refused(format!(
                "{name} is a secret, and everybody on this machine can read a command line. Leave it out and it is generated, or give it with --secret-file {name}=FILE"
            )));
        }
        parameters.insert(name.clone(), value.clone());
    }
    Ok(parameters)
}

/// Refuses secrets that do not fit, or that `owner` does not ask for.
pub(super) fn check_secrets(
    owner: &str,
    params: &IndexMap<String, Parameter>,
    secrets: &BTreeMap<String, Secret>,
) -> Result<(), OperationError> {
    for (name, secret) in secrets {
        match params.get(name) {
            Some(parameter) if parameter.is_secret() => parameter
                .check(secret.reveal())
                .map(drop)
                .map_err(|expected| OperationError::Refused(format!("{name}: {expected}")))?,
            _ => {
                return Err(OperationError::Refused(format!("{owner} has no secret {name:?}")));
            }
        }
    }
    Ok(())
}
