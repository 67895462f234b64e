//! `allmende plan` and `allmende apply`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use futures_util::StreamExt;

use super::arguments::Confirm;
use super::follow::Follower;
use super::plan_view::{show, totals};
use super::style::Style;
use super::{Answer, CliError, do_or_hand_over, print_json};
use crate::model::{Name, ServiceRef};
use crate::operations::{ApplyHost, Controller, OperationError};
use crate::provision::HostPlan;

/// Which hosts and services are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub(super) struct Targets {
    /// Services: NAME or ORGANISATION/NAME
    services: Vec<ServiceRef>,
    /// All services on this host, and the host itself
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<Name>,
    /// All services of this organisation
    #[arg(long = "org", value_name = "ORGANISATION")]
    organisations: Vec<Name>,
    /// Everything
    #[arg(long)]
    all: bool,
}

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct Plan {
    #[command(flatten)]
    targets: Targets,
    /// Shows every detail, also of what is as it should be
    #[arg(long, short)]
    verbose: bool,
    /// Prints JSON for programs
    #[arg(long)]
    json: bool,
}

/// Arguments of `apply`.
#[derive(Debug, Args)]
pub struct Apply {
    #[command(flatten)]
    targets: Targets,
    #[command(flatten)]
    confirm: Confirm,
    /// Shows every detail of the plan
    #[arg(long, short)]
    verbose: bool,
}

impl Targets {
    /// The services that are meant, by their hosts.
    pub(super) async fn by_host(
        &self,
        controller: &Controller,
    ) -> Result<BTreeMap<Name, Vec<ServiceRef>>, CliError> {
        let mut by_host: BTreeMap<Name, BTreeSet<String>> = BTreeMap::new();
        for reference in &self.services {
            let service = controller.store.services().find(reference).await?;
            by_host
                .entry(service.host.clone())
                .or_default()
                .insert(service.full_name());
        }
        let mut hosts = self.hosts.clone();
        if self.all {
            hosts.extend(
                controller
                    .store
                    .hosts()
                    .list()
                    .await?
                    .into_iter()
                    .map(|host| host.name),
            );
        }
        for host in hosts {
            controller.store.hosts().get(&host).await?;
            let names = by_host.entry(host.clone()).or_default();
            for service in controller.store.services().on_host(&host).await? {
                names.insert(service.full_name());
            }
        }
        for organisation in &self.organisations {
            controller.store.organisations().get(organisation).await?;
            for service in controller.store.services().list().await? {
                if service.organisation == *organisation {
                    by_host
                        .entry(service.host.clone())
                        .or_default()
                        .insert(service.full_name());
                }
            }
        }
        by_host
            .into_iter()
            .map(|(host, names)| {
                let services = names
                    .iter()
                    .map(|name| name.parse())
                    .collect::<Result<_, _>>()
                    .map_err(|error| OperationError::Refused(format!("{error}")))?;
                Ok((host, services))
            })
            .collect()
    }

    /// One operation for each host.
    async fn operations(&self, controller: &Controller) -> Result<Vec<ApplyHost>, CliError> {
        let by_host = self.by_host(controller).await?;
        let operations = by_host.into_iter().map(|(host, services)| ApplyHost {
            host,
            services,
            everything: false,
        });
        Ok(operations.collect())
    }
}

/// Runs `plan`.
pub async fn plan(arguments: &Plan, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let operations = arguments.targets.operations(controller).await?;
    let (plans, problems) = plans(&operations, controller).await;
    if arguments.json {
        let problems: Vec<_> = problems
            .iter()
            .map(|(host, error)| serde_json::json!({ "host": host, "error": error.to_string() }))
            .collect();
        print_json(&serde_json::json!({ "hosts": plans, "problems": problems }));
    } else {
        show_plans(&plans, arguments.verbose, style);
    }
    report_problems(problems, operations.len())?;
    Ok(Answer::from(!plans.iter().any(HostPlan::has_changes)))
}

/// Runs `apply`.
pub async fn apply(arguments: &Apply, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let operations = arguments.targets.operations(controller).await?;
    if arguments.confirm.dry_run || !arguments.confirm.yes {
        let (plans, problems) = plans(&operations, controller).await;
        show_plans(&plans, arguments.verbose, style);
        report_problems(problems, operations.len())?;
        if arguments.confirm.dry_run || !plans.iter().any(HostPlan::has_changes) {
            return Ok(Answer::Yes);
        }
        arguments.confirm.ask("Apply this")?;
    }
    let follower = Follower::new(style);
    let (done, problems) = in_parallel(&operations, controller, async |operation: &ApplyHost| {
        do_or_hand_over(operation, controller, &follower).await
    })
    .await;
    follower.finish();
    for outcome in &done {
        println!("{} {}", style.green("✓"), outcome.message);
        welcome(&outcome.details, style);
    }
    report_problems(problems, operations.len())?;
    Ok(Answer::Yes)
}

/// Where to find what was set up, and how to get in.
fn welcome(details: &serde_json::Value, style: Style) {
    for part in details["parts"].as_array().into_iter().flatten() {
        let Some(url) = part["url"].as_str() else { continue };
        println!("  {}", style.bold(url));
        if let (Some(user), Some(secret)) = (part["login"]["user"].as_str(), part["login"]["secret"].as_str())
        {
            let title = part["title"].as_str().unwrap_or_default();
            println!("  log in as {user}; the password: allmende service secret {title} {secret}");
        }
    }
}

fn show_plans(plans: &[HostPlan], verbose: bool, style: Style) {
    for plan in plans {
        print!("{}", show(plan, verbose, style));
    }
    if !plans.is_empty() {
        let reports: Vec<_> = plans.iter().map(|plan| &plan.report).collect();
        println!("{}", style.bold(&totals(&reports)));
    }
}

pub(super) type Problems = Vec<(Name, OperationError)>;

async fn plans(operations: &[ApplyHost], controller: &Controller) -> (Vec<HostPlan>, Problems) {
    in_parallel(operations, controller, async |operation: &ApplyHost| {
        operation.plan(controller).await
    })
    .await
}

/// An operation on one host.
pub(super) trait OnHost {
    /// The host.
    fn host(&self) -> &Name;
}

impl OnHost for ApplyHost {
    fn host(&self) -> &Name {
        &self.host
    }
}

/// Works on several hosts at the same time, as many as the settings allow. One that fails does not hold up the others.
pub(super) async fn in_parallel<O: OnHost, T>(
    operations: &[O],
    controller: &Controller,
    work: impl AsyncFn(&O) -> Result<T, OperationError>,
) -> (Vec<T>, Problems) {
    let work = &work;
    let results: Vec<_> = futures_util::stream::iter(operations)
        .map(|operation| async move { (operation.host().clone(), work(operation).await) })
        .buffered(controller.settings.parallel_hosts)
        .collect()
        .await;
    let mut done = Vec::new();
    let mut problems = Vec::new();
    for (host, result) in results {
        match result {
            Ok(value) => done.push(value),
            Err(error) => problems.push((host, error)),
        }
    }
    (done, problems)
}

/// One problem is the error itself; of several, all are told.
pub(super) fn report_problems(mut problems: Problems, hosts: usize) -> Result<(), CliError> {
    match problems.len() {
        0 => Ok(()),
        1 => Err(problems.remove(0).1.into()),
        count => {
            let lines: Vec<String> = problems
                .iter()
                .map(|(host, error)| format!("  {host}: {error}"))
                .collect();
            Err(CliError::Declined(format!(
                "{count} of {hosts} hosts failed:\n{}",
                lines.join("\n")
            )))
        }
    }
}
