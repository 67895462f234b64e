//! The main job: hosts made to look as their services want it, and the plan that shows what that would change.

use allmende_agent::protocol::Answer;
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::fleet::Session;
use crate::model::{Applied, Host, JobEventKind, Name, Outcome, Service, ServiceRef};
use crate::provision::{self, Assembly, HostPlan, Run, has_changes};

/// Brings one host and services on it to their desired state.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ApplyHost {
    /// The host.
    pub host: Name,
    /// The services; with none, the host itself alone.
    #[serde(default)]
    pub services: Vec<ServiceRef>,
    /// All services on the host, whichever there are when it is done: for schedules, which outlive today's list.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub everything: bool,
}

impl ApplyHost {
    fn names(&self) -> String {
        let names: Vec<String> = self.services.iter().map(ToString::to_string).collect();
        if self.everything {
            format!("{} and everything on it", self.host)
        } else if names.is_empty() {
            self.host.to_string()
        } else {
            format!("{} on {}", names.join(", "), self.host)
        }
    }

    async fn inventory(&self, controller: &Controller) -> Result<(Host, Vec<Service>), OperationError> {
        let host = controller.store.hosts().get(&self.host).await?;
        if self.everything {
            let services = controller.store.services().on_host(&self.host).await?;
            return Ok((host, services));
        }
        let mut services = Vec::new();
        for reference in &self.services {
            services.push(controller.store.services().find(reference).await?);
        }
        Ok((host, services))
    }

    pub(super) async fn assemble(
        controller: &Controller,
        session: &Session,
        host: &Host,
        services: &[Service],
    ) -> Result<Assembly, OperationError> {
        let owner = match &host.organisation {
            Some(name) => Some(controller.store.organisations().get(name).await?),
            None => None,
        };
        let mut with_organisations = Vec::new();
        for service in services {
            let organisation = controller
                .store
                .organisations()
                .get(&service.organisation)
                .await?;
            with_organisations.push((service.clone(), organisation));
        }
        let authority = controller.authority().await?;
        let assembly = controller
            .assembler(&authority)
            .assemble(host, session.facts(), owner.as_ref(), &with_organisations)
            .await?;
        Ok(assembly)
    }

    /// What an apply would change; changes nothing on the host.
    ///
    /// # Errors
    /// Whatever is wrong with the services, or on the way to the host.
    pub async fn plan(&self, controller: &Controller) -> Result<HostPlan, OperationError> {
        let (host, services) = self.inventory(controller).await?;
        let session = controller.session(&host).await?;
        let assembly = Self::assemble(controller, &session, &host, &services).await?;
        let plan = provision::plan(&session, &host.name, assembly).await?;
        session.close().await;
        Ok(plan)
    }
}

impl Operation for ApplyHost {
    const NAME: &'static str = "host.apply";
    const RISK: Risk = Risk::Change;
    // An agent that was cut off finishes the resource in hand; the next apply goes on from there.
    const REPEATABLE: bool = true;

    fn title(&self) -> String {
        format!("apply {}", self.names())
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let (host, services) = self.inventory(controller).await?;
        let organisations = services
            .into_iter()
            .map(|service| service.organisation)
            .chain(host.organisation);
        Ok(Scope::organisations(organisations).locking([host.name]))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let plan = self.plan(controller).await?;
        Ok(Preview::of(
            plan.report
                .resources
                .iter()
                .filter(|resource| resource.action != allmende_agent::protocol::Action::None)
                .map(|resource| format!("{} {}", resource.kind, resource.subject)),
        ))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (host, services) = self.inventory(controller).await?;
        let session = controller.session(&host).await?;
        collect_reports(&session, &host.name, context).await?;
        let facts = session.facts().clone();
        controller
            .store
            .hosts()
            .set_facts(&host.name, &facts, jiff::Timestamp::now())
            .await?;
        let assembly = Self::assemble(controller, &session, &host, &services).await?;
        let run = run_of(context).await?;
        for service in &services {
            let now = jiff::Timestamp::now();
            controller
                .store
                .services()
                .set_begun(&service.reference(), now)
                .await?;
        }
        let notify = |event: JobEventKind| context.notify(event);
        let done = provision::apply(
            &session,
            &host.name,
            assembly,
            &controller.archives,
            &controller.vault,
            &run,
            &notify,
        )
        .await?;
        for part in &done.parts {
            if let Some(service) = &part.service {
                let applied = Applied {
                    at: jiff::Timestamp::now(),
                    job: context.job_id(),
                    parameters: part.parameters.clone(),
                };
                controller
                    .store
                    .services()
                    .set_applied(&service.reference(), Some(&applied))
                    .await?;
            }
        }
        session.close().await;
        let changed = has_changes(&done.report);
        let count = done
            .report
            .resources
            .iter()
            .filter(|resource| resource.action != allmende_agent::protocol::Action::None)
            .count();
        Ok(Outcome {
            message: if changed {
                format!(
                    "{}: {count} of {} resources changed.",
                    self.names(),
                    done.report.resources.len()
                )
            } else {
                format!(
                    "{}: nothing to change, all {} resources are as they should be.",
                    self.names(),
                    done.report.resources.len()
                )
            },
            changed,
            details: serde_json::to_value(&done).unwrap_or_default(),
            ..Outcome::default()
        })
    }
}

/// How a job's run is called on its host.
pub(super) async fn run_of(context: &JobContext<'_>) -> Result<Run, OperationError> {
    let prefix = context.controller().run_prefix().await?;
    Ok(Run {
        id: format!("{prefix}job-{}", context.job_id()),
        holder: format!("{}, job {}", context.actor().name, context.job_id()),
    })
}

/// What runs that nobody waited for left behind becomes part of this job's story.
pub(super) async fn collect_reports(
    session: &Session,
    host: &Name,
    context: &JobContext<'_>,
) -> Result<(), OperationError> {
    let on_event = |event| {
        context.notify(JobEventKind::Agent {
            host: host.to_string(),
            event,
        });
    };
    let prefix = context.controller().run_prefix().await?;
    for (run, report) in session.take_reports(&prefix, on_event).await? {
        let (what, stopped) = match &report {
            Answer::Report(report) => {
                let changed = report
                    .resources
                    .iter()
                    .filter(|resource| resource.action != allmende_agent::protocol::Action::None)
                    .count();
                (format!("after changing {changed} resources"), &report.stopped)
            }
            Answer::Backup(report) => {
                let kept = report
                    .parts
                    .iter()
                    .filter(|part| part.engine.code == Some(0))
                    .count();
                (format!("after backing up {kept} parts"), &report.stopped)
            }
            _ => continue,
        };
        let reason = stopped.as_deref().unwrap_or("it came to its end");
        context.notify(JobEventKind::Warning {
            text: format!(
                "An earlier run ({run}) lost its connection to {host} {what}: {reason}. This run goes on from there."
            ),
        });
    }
    Ok(())
}
