//! Removing a service from its host and from the inventory.

use allmende_agent::protocol::Action;
use clap::Args;
use serde::{Deserialize, Serialize};

use super::apply::{ApplyHost, collect_reports, run_of};
use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::Session;
use crate::model::{Host, JobEventKind, Outcome, Service, ServiceRef};
use crate::provision::{self, Assembly, Data, turned_around};
use crate::vault::SecretScope;

/// Takes a service off its host and forgets it with its secrets; its data stay unless told otherwise
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveService {
    /// The service: NAME or ORGANISATION/NAME
    pub service: ServiceRef,
    /// Deletes its data on the host as well: files, databases, accounts
    #[arg(long)]
    #[serde(default)]
    pub delete_data: bool,
    /// Only forgets it; for a host that is gone
    #[arg(long, conflicts_with = "delete_data")]
    #[serde(default)]
    pub forget: bool,
}

impl RemoveService {
    /// What its host shall look like without it.
    async fn assemble(
        &self,
        controller: &Controller,
        session: &Session,
        host: &Host,
        service: &Service,
    ) -> Result<Assembly, OperationError> {
        let instance = service.instance();
        let all = controller.store.services().on_host(&host.name).await?;
        let whole = ApplyHost::assemble(controller, session, host, &all).await?;
        let backup = controller.care(service).await?.backup;
        let data = match (backup.map(|backup| backup.paths), self.delete_data) {
            (paths, true) => Data::Delete(paths.unwrap_or_default()),
            (Some(paths), false) => Data::Keep(paths),
            (None, false) => Data::KeepUnknown,
        };
        turned_around(whole, &instance, &data).ok_or_else(|| {
            OperationError::Refused(format!("{} is not on {}", service.full_name(), host.name))
        })
    }

    fn what_stays(&self, service: &Service) -> String {
        if service.begun.is_none() {
            format!("nothing of it was ever brought onto {}", service.host)
        } else if self.forget {
            format!("whatever there is of it on {} stays as it is", service.host)
        } else if self.delete_data {
            format!("nothing of its data stays on {}", service.host)
        } else {
            format!(
                "its data stay on {}; a service of the same name and template finds them again",
                service.host
            )
        }
    }
}

impl Operation for RemoveService {
    const NAME: &'static str = "service.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove service {}", self.service)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        Ok(Scope::organisation(&service.organisation).locking([service.host]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let service = controller.store.services().find(&self.service).await?;
        let mut sentences = Vec::new();
        if !self.forget && service.begun.is_some() {
            let host = controller.store.hosts().get(&service.host).await?;
            let session = controller.session(&host).await?;
            let assembly = self.assemble(controller, &session, &host, &service).await?;
            let plan = provision::plan(&session, &host.name, assembly).await?;
            session.close().await;
            sentences.extend(plan.report.resources.iter().filter_map(sentence));
        }
        sentences.push(format!(
            "{} would be forgotten, with its secrets; {}",
            service.full_name(),
            self.what_stays(&service)
        ));
        Ok(Preview { sentences })
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let service = controller.store.services().find(&self.service).await?;
        if !self.forget && service.begun.is_some() {
            let host = controller.store.hosts().get(&service.host).await?;
            let session = controller.session(&host).await?;
            collect_reports(&session, &host.name, context).await?;
            let assembly = self.assemble(controller, &session, &host, &service).await?;
            let run = run_of(context).await?;
            let notify = |event: JobEventKind| context.notify(event);
            provision::apply(
                &session,
                &host.name,
                assembly,
                &controller.archives,
                &controller.vault,
                &run,
                &notify,
            )
            .await?;
            session.close().await;
        }
        controller.store.services().remove(&service.reference()).await?;
        let scope = SecretScope::Service(service.organisation.clone(), service.name.clone());
        controller.vault.remove_scope(&scope).await?;
        Ok(Outcome {
            message: format!(
                "{} is removed, with its secrets; {}.",
                service.full_name(),
                self.what_stays(&service)
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// What a removal does with one thing, for people.
fn sentence(resource: &allmende_agent::protocol::ResourceReport) -> Option<String> {
    let subject = &resource.subject;
    match resource.action {
        Action::None => None,
        Action::Remove => Some(format!("{subject} would be removed")),
        Action::Change if resource.kind == "unit" => Some(format!("{subject} would be stopped")),
        Action::Run => Some(format!("`{subject}` would be run")),
        Action::Create | Action::Change => Some(format!("{subject} would be changed")),
    }
}
