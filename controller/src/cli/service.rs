//! `allmende service`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::arguments::{Confirm, Json};
use super::organisation::Changing;
use super::style::Style;
use super::{Answer, CliError, backup_list, care_view, perform, print_json, show_preview, table};
use crate::catalogue::{Care, ParameterType};
use crate::model::{BackupOutcome, Secret, Service, ServiceRef};
use crate::operations::{
    AddService, Controller, EditService, Operation, OperationError, RemoveService, Setting,
};

/// What can be asked about services.
#[derive(Debug, Subcommand)]
pub enum ServiceCommand {
    /// Adds a service to an organisation; nothing happens on the host before `apply`
    Add(WithSecrets<AddService>),
    /// Lists all services
    List(Json),
    /// Shows a service with its parameters
    Show(Show),
    /// Changes parameters of a service; the next `apply` brings them about
    Edit(WithSecrets<EditService>),
    /// Prints a secret of a service, such as a first password
    Secret(ShowSecret),
    /// Takes a service off its host and forgets it; its data stay unless told otherwise
    Remove(Changing<RemoveService>),
}

/// An operation that may be given secrets.
#[derive(Debug, Args)]
pub struct WithSecrets<O: Args> {
    #[command(flatten)]
    operation: O,
    /// Takes the value of a secret parameter from the first line of a file
    #[arg(long = "secret-file", value_name = "PARAMETER=FILE")]
    secret_files: Vec<Setting>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Arguments of `service show`.
#[derive(Debug, Args)]
pub struct Show {
    /// The service: NAME or ORGANISATION/NAME
    service: ServiceRef,
    #[command(flatten)]
    json: Json,
}

/// Arguments of `service secret`.
#[derive(Debug, Args)]
pub struct ShowSecret {
    /// The service: NAME or ORGANISATION/NAME
    service: ServiceRef,
    /// The secret; without it, the names of all
    secret: Option<String>,
}

/// Runs it.
pub async fn run(
    command: &ServiceCommand,
    controller: &Controller,
    style: Style,
) -> Result<Answer, CliError> {
    match command {
        ServiceCommand::Add(add) => {
            let mut operation = add.operation.clone();
            operation.secrets = read_secrets(&add.secret_files)?;
            absolute_sources(controller, &operation.template, &mut operation.set)?;
            perform(&operation, controller, &add.confirm, style).await
        }
        ServiceCommand::Edit(edit) => {
            let mut operation = edit.operation.clone();
            operation.secrets = read_secrets(&edit.secret_files)?;
            let service = controller.store.services().find(&operation.service).await?;
            absolute_sources(controller, &service.template, &mut operation.set)?;
            perform(&operation, controller, &edit.confirm, style).await
        }
        ServiceCommand::Remove(Changing { operation, confirm }) => {
            if !confirm.dry_run {
                show_preview(&operation.preview(controller).await?);
                confirm.ask_for_name("This cannot be undone", operation.service.service.as_str())?;
            }
            let confirm = Confirm {
                yes: true,
                ..confirm.clone()
            };
            perform(operation, controller, &confirm, style).await
        }
        ServiceCommand::List(json) => {
            let all = controller.store.services().list().await?;
            if json.json {
                print_json(&all);
            } else {
                let rows = all.iter().map(|service| {
                    vec![
                        service.full_name(),
                        service.template.clone(),
                        service.host.to_string(),
                        state(service),
                    ]
                });
                println!("{}", table(["SERVICE", "TEMPLATE", "HOST", "SET UP"], rows));
            }
            Ok(Answer::Yes)
        }
        ServiceCommand::Show(show) => {
            let service = controller.store.services().find(&show.service).await?;
            let care = controller.care(&service).await;
            let backups = controller.store.backups().newest(BackupOutcome::Complete).await?;
            if show.json.json {
                let mut value = describe(&service, care.as_ref(), controller);
                value["last_backup"] = backup_list::newest(&backups, &service)
                    .map(|backup| serde_json::json!({ "id": backup.id, "began_at": backup.began_at }))
                    .unwrap_or_default();
                print_json(&value);
                return Ok(Answer::Yes);
            }
            println!("{}", style.bold(&service.full_name()));
            println!("  template  {}", service.template);
            println!("  host      {}", service.host);
            println!("  set up    {}", state(&service));
            println!(
                "  backup    {}",
                backup_list::last(controller, &backups, &service, style)
            );
            for (name, value) in &service.parameters {
                println!("  {name} = {value}");
            }
            if let Some(applied) = &service.applied {
                for (name, value) in &applied.parameters {
                    if !service.parameters.contains_key(name) && !value.is_empty() {
                        println!("  {}", style.dim(&format!("{name} = {value} (default)")));
                    }
                }
            }
            match care {
                Ok(care) => print!("{}", care_view::page(&care, style)),
                Err(error) => eprintln!("{} {error}", style.yellow("Warning:")),
            }
            Ok(Answer::Yes)
        }
        ServiceCommand::Secret(arguments) => secret(arguments, controller).await,
    }
}

/// The documented JSON shape of a service: what is known of it, and the sections of its template with its values.
fn describe(
    service: &Service,
    care: Result<&Care, &OperationError>,
    controller: &Controller,
) -> serde_json::Value {
    let mut value = serde_json::json!(service);
    let actions = controller
        .catalogue
        .get(&service.template)
        .map(|template| care_view::actions(&template.manifest));
    value["instance"] = service.instance().into();
    value["actions"] = actions.unwrap_or_default();
    care_view::extend(&mut value, care);
    value
}

async fn secret(arguments: &ShowSecret, controller: &Controller) -> Result<Answer, CliError> {
    let service = controller.store.services().find(&arguments.service).await?;
    let template = controller.catalogue.get(&service.template)?;
    let names: Vec<&String> = template
        .manifest
        .params
        .iter()
        .filter(|(_, parameter)| parameter.is_secret())
        .map(|(name, _)| name)
        .collect();
    let Some(wanted) = &arguments.secret else {
        for name in names {
            println!("{name}");
        }
        return Ok(Answer::Yes);
    };
    let found = if names.contains(&wanted) {
        controller
            .reveal(&super::arguments::actor(), &service, wanted)
            .await?
    } else {
        None
    };
    match found {
        Some(secret) => {
            println!("{}", secret.reveal());
            Ok(Answer::Yes)
        }
        None => Err(CliError::Declined(format!(
            "{} has no secret {wanted:?}; it has {}",
            service.full_name(),
            names.into_iter().cloned().collect::<Vec<_>>().join(", ")
        ))),
    }
}

fn state(service: &Service) -> String {
    match (&service.applied, service.begun) {
        (Some(applied), _) => super::words::local_time(applied.at),
        (None, Some(begun)) => format!(
            "only half, an apply broke off ({})",
            super::words::local_time(begun)
        ),
        (None, None) => "not yet".to_owned(),
    }
}

/// The secrets in these files, by parameter.
pub(super) fn read_secrets(files: &[Setting]) -> Result<BTreeMap<String, Secret>, CliError> {
    files
        .iter()
        .map(|Setting { name, value }| {
            let path = PathBuf::from(value);
            match std::fs::read_to_string(&path) {
                Ok(text) => {
                    let line = text.lines().next().unwrap_or_default().to_owned();
                    Ok((name.clone(), Secret::new(line)))
                }
                Err(source) => Err(CliError::File { path, source }),
            }
        })
        .collect()
}

/// A file is meant from where the person stands; whoever runs the job may stand elsewhere.
fn absolute_sources(controller: &Controller, template: &str, set: &mut [Setting]) -> Result<(), CliError> {
    let params = &controller.catalogue.get(template)?.manifest.params;
    for setting in set {
        let is_source = params
            .get(&setting.name)
            .is_some_and(|parameter| parameter.kind == ParameterType::Source);
        if is_source && !setting.value.starts_with("https://") {
            let path = PathBuf::from(&setting.value);
            let absolute = path
                .canonicalize()
                .map_err(|source| CliError::File { path, source })?;
            setting.value = absolute.display().to_string();
        }
    }
    Ok(())
}
