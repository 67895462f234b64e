//! `allmende export` and `allmende import`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::Confirm;
use super::style::Style;
use super::{Answer, CliError, perform, show_preview};
use crate::model::{Inventory, Name};
use crate::operations::{Controller, ImportInventory, Operation, OperationError, open_secrets, seal_secrets};
use crate::vault::ExportKey;

/// Arguments of `export`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende export > inventory.toml
  allmende export --org kita-sonne --secrets-key kita-sonne.key > kita-sonne.toml

Keep the key file apart from the export: whoever has both has the secrets.")]
pub struct Export {
    /// Only this organisation, its services and the hosts they live on
    #[arg(long = "org", value_name = "ORGANISATION")]
    organisation: Option<Name>,
    /// Secrets as well, sealed with the key in this file; the file is made if it is not there
    #[arg(long, value_name = "FILE")]
    secrets_key: Option<PathBuf>,
}

/// Arguments of `import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende import inventory.toml --dry-run
  allmende import kita-sonne.toml --secrets-key kita-sonne.key

What is in the file is added or changed; what is not in it stays. A second import changes nothing.")]
pub struct Import {
    /// The file
    file: PathBuf,
    /// The key that the secrets in it are sealed with
    #[arg(long, value_name = "FILE")]
    secrets_key: Option<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Runs `export`.
pub async fn export(arguments: &Export, controller: &Controller) -> Result<Answer, CliError> {
    let store = &controller.store;
    let mut organisations = store.organisations().list().await?;
    let mut hosts = store.hosts().list().await?;
    let mut services = store.services().list().await?;
    let mut targets = store.targets().list().await?;
    if let Some(name) = &arguments.organisation {
        // Those of all organisations are not this one's to take along.
        targets.retain(|target| target.organisations == [name.clone()]);
        store.organisations().get(name).await?;
        organisations.retain(|organisation| organisation.name == *name);
        services.retain(|service| service.organisation == *name);
        hosts.retain(|host| {
            host.organisation.as_ref() == Some(name)
                || services.iter().any(|service| service.host == host.name)
        });
    }
    let mut inventory = Inventory::of(&organisations, &hosts, &services, &targets);
    if let Some(path) = &arguments.secrets_key {
        let key = ExportKey::create_or_load(path).map_err(OperationError::from)?;
        seal_secrets(&mut inventory, &key, controller).await?;
    }
    let text = toml::to_string_pretty(&inventory)
        .map_err(|error| OperationError::Refused(format!("cannot write the inventory: {error}")))?;
    println!("# The inventory of an Allmende. Take it over with: allmende import FILE");
    print!("{text}");
    Ok(Answer::Yes)
}

/// Runs `import`.
pub async fn import(arguments: &Import, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let mut inventory = read(&arguments.file)?;
    let secrets = match &arguments.secrets_key {
        Some(path) => {
            let key = ExportKey::load(path).map_err(OperationError::from)?;
            open_secrets(&mut inventory, &key)?
        }
        None => BTreeMap::new(),
    };
    if inventory.has_sealed_secrets() {
        eprintln!(
            "The secrets in the file stay closed: give their key with --secrets-key. New services get fresh ones."
        );
    }
    let operation = ImportInventory { inventory, secrets };
    let preview = operation.preview(controller).await?;
    show_preview(&preview);
    if preview.sentences.is_empty() {
        println!("Nothing to change: all of it is known already.");
        return Ok(Answer::Yes);
    }
    if arguments.confirm.dry_run {
        return Ok(Answer::Yes);
    }
    arguments.confirm.ask("Take this over")?;
    let confirm = Confirm {
        yes: true,
        ..arguments.confirm.clone()
    };
    perform(&operation, controller, &confirm, style).await
}

fn read(path: &Path) -> Result<Inventory, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| CliError::File {
        path: path.to_owned(),
        source,
    })?;
    toml::from_str(&text)
        .map_err(|error| CliError::Declined(format!("{} is no inventory: {error}", path.display())))
}
