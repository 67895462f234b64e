//! `allmende organisation`.

use clap::{Args, Subcommand};

use super::arguments::{Confirm, Json};
use super::style::Style;
use super::{Answer, CliError, perform, print_json, table};
use crate::model::Name;
use crate::operations::{AddOrganisation, Controller, EditOrganisation, RemoveOrganisation};

/// What can be asked about organisations.
#[derive(Debug, Subcommand)]
pub enum OrganisationCommand {
    /// Adds an organisation
    Add(Changing<AddOrganisation>),
    /// Lists all organisations
    List(Json),
    /// Shows an organisation with its people, hosts and services
    Show(Show),
    /// Changes what is known about an organisation
    Edit(Changing<EditOrganisation>),
    /// Removes an organisation that has no hosts and services any more
    Remove(Changing<RemoveOrganisation>),
}

/// An operation with the questions that belong to it.
#[derive(Debug, Args)]
pub struct Changing<O: Args> {
    #[command(flatten)]
    pub operation: O,
    #[command(flatten)]
    pub confirm: Confirm,
}

/// A name, and whether programs read the output.
#[derive(Debug, Args)]
pub struct Show {
    /// Its short name
    pub name: Name,
    #[command(flatten)]
    pub json: Json,
}

/// Runs it.
pub async fn run(
    command: &OrganisationCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        OrganisationCommand::Add(add) => perform(&add.operation, controller, &add.confirm, style).await,
        OrganisationCommand::Edit(edit) => perform(&edit.operation, controller, &edit.confirm, style).await,
        OrganisationCommand::Remove(remove) => {
            perform(&remove.operation, controller, &remove.confirm, style).await
        }
        OrganisationCommand::List(json) => {
            let all = controller.store.organisations().list().await?;
            if json.json {
                print_json(&all);
            } else {
                let rows = all.iter().map(|o| {
                    vec![
                        o.name.to_string(),
                        o.title.clone(),
                        o.sector.to_string(),
                        o.place.clone().unwrap_or_default(),
                    ]
                });
                println!("{}", table(["NAME", "TITLE", "SECTOR", "PLACE"], rows));
            }
            Ok(Answer::Yes)
        }
        OrganisationCommand::Show(Show { name, json }) => {
            let organisation = controller.store.organisations().get(name).await?;
            let hosts = controller.store.hosts().list().await?;
            let hosts: Vec<_> = hosts
                .iter()
                .filter(|host| host.organisation.as_ref() == Some(name))
                .collect();
            let services = controller.store.services().list().await?;
            let services: Vec<_> = services.iter().filter(|s| s.organisation == *name).collect();
            if json.json {
                print_json(&serde_json::json!({
                    "organisation": organisation,
                    "hosts": hosts,
                    "services": services,
                }));
                return Ok(Answer::Yes);
            }
            println!("{} ({})", style.bold(&organisation.title), organisation.name);
            println!("  sector    {}", organisation.sector);
            println!(
                "  place     {}",
                organisation.place.as_deref().unwrap_or("not known")
            );
            for contact in &organisation.contacts {
                println!("  call      {contact}");
            }
            for host in hosts {
                println!("  host      {} ({})", host.name, host.address);
            }
            for service in services {
                println!(
                    "  service   {} ({} on {})",
                    service.name, service.template, service.host
                );
            }
            Ok(Answer::Yes)
        }
    }
}
