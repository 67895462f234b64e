//! `allmende host`.

use std::io::IsTerminal;

use clap::Subcommand;

use super::access;
use super::arguments::{Confirm, Json};
use super::organisation::{Changing, Show};
use super::style::Style;
use super::words::{local_time, locked};
use super::{Answer, CliError, care_view, host_health, perform, print_json, show_preview, table};
use crate::fleet;
use crate::model::Host;
use crate::operations::{
    AcceptHostKey, AddHost, Controller, EditHost, LockHost, Operation, OperationError, ReadFacts, RemoveHost,
    RepairHost, RotateHostKey, UnlockHost,
};

/// What can be asked about hosts.
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Takes a host into care: puts the agent and Allmende's key in place with your own access, once
    #[command(after_help = "Example:
  allmende host add web1 --org kita-sonne --address 192.0.2.10 --identity ~/.ssh/id_ed25519")]
    Add(Changing<AddHost>),
    /// Lists all hosts
    List(Json),
    /// Shows a host as Allmende knows it
    Show(Show),
    /// Asks a host what it is
    Facts(Show),
    /// Asks a host and its services how they are, from inside and now; exit code 3 if not all is well
    #[command(after_help = "Example:
  allmende host health web1")]
    Health(Show),
    /// Changes what is known about a host, or its settings
    Edit(Changing<EditHost>),
    /// Puts the agent and Allmende's key back on a host, with your own access: also after it was installed anew
    #[command(after_help = "Example, after web1 was installed anew:
  allmende host repair web1 --identity ~/.ssh/id_ed25519 --fingerprint SHA256:…")]
    Repair(Changing<RepairHost>),
    /// Accepts that a host shows another key than before, after you compared it
    AcceptKey(Changing<AcceptHostKey>),
    /// Gives Allmende a new key for a host, and takes the old one off it
    RotateKey(Changing<RotateHostKey>),
    /// Keeps everybody from changing a host until it is unlocked
    #[command(after_help = "Example:
  allmende host lock web1 --reason 'the provider moves the machine this week'")]
    Lock(Changing<LockHost>),
    /// Lets a host be changed again
    Unlock(Changing<UnlockHost>),
    /// Gives a host back: takes the agent and Allmende's key off it
    Remove(Changing<RemoveHost>),
}

/// Runs it.
pub async fn run(command: &HostCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        HostCommand::Add(Changing { operation, confirm }) => {
            let mut operation = operation.clone();
            let taken = access::read_ssh_config(&mut operation).map_err(OperationError::Refused)?;
            if !taken.is_empty() {
                println!("From your ~/.ssh/config: {}", taken.join(", "));
            }
            access::prepare(&mut operation.access);
            perform(&operation, controller, confirm, style).await
        }
        HostCommand::Repair(Changing { operation, confirm }) => {
            let mut operation = operation.clone();
            access::prepare(&mut operation.access);
            perform(&operation, controller, confirm, style).await
        }
        HostCommand::AcceptKey(Changing { operation, confirm }) => {
            let mut operation = operation.clone();
            if operation.fingerprint.is_none() && !confirm.dry_run {
                operation.fingerprint = Some(ask_key(&operation, controller).await?);
            }
            perform(&operation, controller, confirm, style).await
        }
        HostCommand::RotateKey(rotate) => {
            perform(&rotate.operation, controller, &rotate.confirm, style).await
        }
        HostCommand::Lock(lock) => perform(&lock.operation, controller, &lock.confirm, style).await,
        HostCommand::Unlock(unlock) => perform(&unlock.operation, controller, &unlock.confirm, style).await,
        HostCommand::Edit(Changing { operation, confirm }) => {
            perform(operation, controller, confirm, style).await
        }
        HostCommand::Remove(Changing { operation, confirm }) => {
            if !confirm.dry_run {
                show_preview(&operation.preview(controller).await?);
                confirm.ask_for_name("Remove it", operation.name.as_str())?;
            }
            let confirm = Confirm {
                yes: true,
                ..confirm.clone()
            };
            perform(operation, controller, &confirm, style).await
        }
        HostCommand::List(json) => {
            let hosts = controller.store.hosts().list().await?;
            if json.json {
                print_json(&hosts);
            } else {
                let rows = hosts.iter().map(|host| {
                    vec![
                        host.name.to_string(),
                        host.organisation
                            .as_ref()
                            .map_or("shared", |name| name.as_str())
                            .to_owned(),
                        host.address.clone(),
                        format!("{} {}", host.facts.os, host.facts.release),
                        local_time(host.seen_at),
                        host.lock.as_ref().map_or(String::new(), locked),
                    ]
                });
                println!(
                    "{}",
                    table(
                        ["HOST", "OWNER", "ADDRESS", "SYSTEM", "LAST CONTACT", "LOCKED"],
                        rows
                    )
                );
            }
            Ok(Answer::Yes)
        }
        HostCommand::Show(Show { name, json }) => {
            let host = controller.store.hosts().get(name).await?;
            show(&host, json, controller, style).await
        }
        HostCommand::Health(Show { name, json }) => {
            let host = controller.store.hosts().get(name).await?;
            host_health::run(&host, json, controller, style).await
        }
        HostCommand::Facts(Show { name, json }) => {
            let facts = ReadFacts { name: name.clone() };
            let host = facts.read(controller).await?;
            if json.json {
                print_json(&host.facts);
                return Ok(Answer::Yes);
            }
            show(&host, json, controller, style).await
        }
    }
}

/// Shows the known and the new key of a host, and asks whether the new one is right. Never taken for granted.
async fn ask_key(operation: &AcceptHostKey, controller: &Controller) -> Result<String, CliError> {
    let (known, shown) = operation.compare(controller).await?;
    if known == shown {
        return Ok(shown);
    }
    println!("{} showed a host key with the fingerprint", operation.name);
    println!("  {known}");
    println!("and shows now");
    println!("  {shown}");
    println!("Compare the new one with what the host's console or your provider shows.");
    if !std::io::stdin().is_terminal() {
        return Err(CliError::Declined(format!(
            "There is nobody to ask whether it is right. If it is, add: --fingerprint {shown}"
        )));
    }
    Confirm::default().ask("Is it the same")?;
    Ok(shown)
}

async fn show(host: &Host, json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let services = controller.store.services().on_host(&host.name).await?;
    let fingerprint =
        fleet::fingerprint(&host.host_key).map_err(|error| OperationError::Refused(error.to_string()))?;
    let care = controller.care_of_host(host).await;
    if json.json {
        let mut value = serde_json::json!({
            "host": host,
            "fingerprint": fingerprint,
            "services": services,
        });
        care_view::extend(&mut value, care.as_ref());
        print_json(&value);
        return Ok(Answer::Yes);
    }
    let owner = host
        .organisation
        .as_ref()
        .map_or("shared by several organisations", |name| name.as_str());
    let facts = &host.facts;
    println!("{}", style.bold(host.name.as_str()));
    let line = |name: &str, value: String| println!("  {name:12}  {value}");
    line("owner", owner.to_owned());
    line("address", format!("{} port {}", host.address, host.port));
    for jump in &host.jumps {
        line("through", jump.at.to_string());
    }
    line("fingerprint", fingerprint);
    line(
        "system",
        format!(
            "{} {} ({}), kernel {}",
            facts.os, facts.release, facts.arch, facts.kernel
        ),
    );
    line(
        "size",
        format!(
            "{} CPUs, {} MB memory, {} of {} MB disk free",
            facts.cpus, facts.memory_mb, facts.disk_free_mb, facts.disk_mb
        ),
    );
    for (name, value) in [("location", &host.location), ("provider", &host.provider)] {
        if let Some(value) = value {
            line(name, value.clone());
        }
    }
    if let Some(cost) = host.monthly_cost {
        line("costs", format!("{cost} a month"));
    }
    for (name, value) in &host.settings {
        line("setting", format!("{name} = {value}"));
    }
    for service in services {
        line(
            "service",
            format!("{} ({})", service.full_name(), service.template),
        );
    }
    if let Some(lock) = &host.lock {
        line("locked", locked(lock));
    }
    line("last contact", local_time(host.seen_at));
    Ok(Answer::Yes)
}
