//! `allmende status`: everything at a glance.

use jiff::Timestamp;

use super::arguments::Json;
use super::style::Style;
use super::words::{length, local_time, locked, standing};
use super::{Answer, CliError, backup_list, print_json};
use crate::model::{Backup, BackupOutcome, JobState, Service};
use crate::operations::Controller;

/// Runs it. It asks no host: what it says is what the controller knows.
pub async fn run(json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let organisations = controller.store.organisations().list().await?;
    let hosts = controller.store.hosts().list().await?;
    let services = controller.store.services().list().await?;
    let running: Vec<_> = controller
        .store
        .jobs()
        .list(20)
        .await?
        .into_iter()
        .filter(|job| job.state == JobState::Running)
        .collect();
    let backups = controller.store.backups().newest(BackupOutcome::Complete).await?;
    if json.json {
        let backups: Vec<_> = backups
            .iter()
            .map(|backup| {
                serde_json::json!({
                    "service": backup.service(),
                    "id": backup.id,
                    "began_at": backup.began_at,
                })
            })
            .collect();
        print_json(&serde_json::json!({
            "last_backups": backups,
            "organisations": organisations,
            "hosts": hosts,
            "services": services,
            "running_jobs": running,
            "unconfirmed_sheets": controller.unconfirmed_sheets().await?,
            "incidents": controller.store.watch().incidents(true, 100).await?,
        }));
        return Ok(Answer::Yes);
    }
    let open = controller.store.watch().incidents(true, 100).await?;
    for incident in open.iter().rev() {
        let lasts = length(incident.duration(Timestamp::now()));
        let taken = incident
            .acknowledged
            .as_ref()
            .map_or(String::new(), |by| format!(", {} takes care of it", by.by));
        println!(
            "{}  {}: {} for {lasts}{taken}",
            standing(incident, style),
            incident.key,
            incident.title.en
        );
    }
    if !open.is_empty() {
        println!("{}\n", style.dim("More: allmende incident list"));
    }
    for organisation in controller.unconfirmed_sheets().await? {
        println!(
            "{} Setting up {organisation} is not finished: nobody has its emergency sheet. allmende vault export {organisation} --pdf FILE, then allmende vault confirm {organisation}",
            style.yellow("!")
        );
    }
    if organisations.is_empty() {
        println!(
            "Nobody is looked after yet. Begin with: allmende org add NAME --name TITLE --sector SECTOR"
        );
        return Ok(Answer::Yes);
    }
    for organisation in &organisations {
        println!(
            "{}  {}",
            style.bold(&organisation.title),
            style.dim(organisation.name.as_str())
        );
        let own = |service: &&Service| service.organisation == organisation.name;
        for service in services.iter().filter(own) {
            println!("  {}", service_line(controller, service, &backups, style));
        }
        if !services.iter().any(|service| own(&service)) {
            println!("  {}", style.dim("no services yet"));
        }
    }
    println!();
    for host in &hosts {
        let owner = host.organisation.as_ref().map_or("shared", |name| name.as_str());
        println!(
            "{}  {}  {} {}, {} CPUs, {} MB  {}",
            style.bold(host.name.as_str()),
            host.address,
            host.facts.os,
            host.facts.release,
            host.facts.cpus,
            host.facts.memory_mb,
            style.dim(&format!("{owner}, last contact {}", local_time(host.seen_at)))
        );
        if let Some(lock) = &host.lock {
            println!("  {}", style.yellow(&format!("locked {}", locked(lock))));
        }
    }
    if hosts.is_empty() {
        println!("No hosts yet: allmende host add NAME --org ORGANISATION --address ADDRESS");
    }
    for job in &running {
        println!(
            "{} job {} is running: {} ({})",
            style.yellow("↻"),
            job.id,
            job.title,
            job.actor
        );
    }
    Ok(Answer::Yes)
}

fn service_line(controller: &Controller, service: &Service, backups: &[Backup], style: Style) -> String {
    let address = service.parameters.get("domain").map_or("", String::as_str);
    let state = match (&service.applied, service.begun) {
        (Some(applied), _) => style.green(&format!("set up {}", local_time(applied.at))),
        (None, Some(_)) => style.yellow("half set up: allmende apply it again, or remove it"),
        (None, None) => style.yellow("not set up yet: allmende apply it"),
    };
    format!(
        "{:16}  {:12}  {:12}  {address}  {state}  {}",
        service.name,
        service.template,
        service.host,
        backup_list::last(controller, backups, service, style)
    )
}
