//! `allmende template try`: a template on a practice host, from nothing to its checks.

use std::path::{Path, PathBuf};

use clap::Args;

use super::arguments::Confirm;
use super::demo::job;
use super::style::Style;
use super::{Answer, CliError, lab};
use crate::catalogue::{Catalogue, ServiceTemplate};
use crate::lab::{Lab, Release, UpOptions};
use crate::model::{Name, Sector, ServiceRef};
use crate::operations::{
    AddHost, AddOrganisation, AddService, ApplyHost, Controller, OperationError, OwnAccess, Setting,
};
use crate::provision::{Tried, try_check};

/// Arguments of `template try`.
#[derive(Debug, Args)]
#[command(after_help = "Example:
  allmende --templates ./my-templates template try noticeboard --set greeting=Hello")]
pub struct Try {
    /// Name of the template
    name: String,
    /// Value of a parameter; what has to be given and is not has the value of its example
    #[arg(long = "set", value_name = "PARAMETER=VALUE")]
    set: Vec<Setting>,
    /// Debian release of the practice host
    #[arg(long, default_value = "13", value_parser = lab::release)]
    release: Release,
    /// Leaves the practice host and what is known about it, to look around
    #[arg(long)]
    keep: bool,
    #[command(flatten)]
    confirm: Confirm,
}

/// Runs it, in a data directory of its own beside the person's. The answer is no when something is not as it should be.
pub async fn run(
    arguments: &Try,
    catalogue: &Catalogue,
    folders: &[PathBuf],
    data_dir: &Path,
    style: Style,
) -> Result<Answer, CliError> {
    let template = catalogue.get(&arguments.name)?;
    let data_dir = data_dir.join("try");
    if data_dir.exists() {
        return Err(CliError::Declined(format!(
            "an earlier try is still there. Remove it first: allmende --data-dir {0} lab down && rm -r {0}",
            data_dir.display()
        )));
    }
    if arguments.confirm.dry_run {
        println!(
            "  {} would be set up on a practice host, asked its checks, and removed again",
            arguments.name
        );
        return Ok(Answer::Yes);
    }
    Controller::init(&data_dir).await?;
    let lab = Lab::open(lab::folder(&data_dir))?;
    let found = attempt(arguments, template, folders, &data_dir, &lab, style).await;
    if arguments.keep {
        let place = data_dir.display();
        println!("\nLook around: allmende --data-dir {place} status");
        println!("Clean up:    allmende --data-dir {place} lab down && rm -r {place}");
    } else {
        lab.down(false, &lab::progress(style)).await?;
        std::fs::remove_dir_all(&data_dir).map_err(|source| CliError::File {
            path: data_dir,
            source,
        })?;
    }
    let bad = found?;
    println!();
    if bad.is_empty() {
        println!("{} {} works.", style.green("✓"), arguments.name);
        return Ok(Answer::Yes);
    }
    for problem in &bad {
        println!("{} {problem}", style.red("✗"));
    }
    Ok(Answer::No)
}

/// What is not as it should be.
async fn attempt(
    arguments: &Try,
    template: &ServiceTemplate,
    folders: &[PathBuf],
    data_dir: &Path,
    lab: &Lab,
    style: Style,
) -> Result<Vec<String>, CliError> {
    let heading = |text: &str| println!("\n{}", style.bold(text));
    let controller = Controller::open(data_dir, folders).await?;
    heading("1. A practice host");
    let options = UpOptions {
        release: arguments.release,
        ..UpOptions::default()
    };
    let practice = lab::ready(lab, &options, &arguments.confirm, style)
        .await?
        .into_iter()
        .next()
        .ok_or_else(|| CliError::Declined("the lab made no host".to_owned()))?;
    let organisation = name("practice")?;
    let host = name("practice1")?;
    let add = AddOrganisation {
        short_name: organisation.clone(),
        title: "Practice e.V.".to_owned(),
        sector: Sector::Association,
        place: None,
        contacts: Vec::new(),
    };
    job(&add, &controller, style).await?;
    let add = AddHost {
        name: host.clone(),
        organisation: Some(organisation.clone()),
        shared: false,
        address: practice.address.to_string(),
        port: None,
        access: OwnAccess {
            identity: Some(practice.identity.clone()),
            ..OwnAccess::default()
        },
        fingerprint: practice.fingerprint.clone(),
        location: None,
        provider: None,
        monthly_cost: None,
    };
    job(&add, &controller, style).await?;
    let add = AddService {
        name: name("tried")?,
        organisation: organisation.clone(),
        host: host.clone(),
        template: arguments.name.clone(),
        set: settings(template, &arguments.set),
        secrets: std::collections::BTreeMap::new(),
    };
    job(&add, &controller, style).await?;
    let service = ServiceRef {
        organisation: Some(organisation),
        service: add.name,
    };

    heading("2. Apply");
    let apply = ApplyHost {
        host,
        services: vec![service.clone()],
        everything: false,
    };
    job(&apply, &controller, style).await?;
    let mut bad = Vec::new();

    heading("3. Apply again: nothing to change");
    let again = job(&apply, &controller, style).await?;
    if again.changed {
        bad.push("a second apply changes something again; see above what it is".to_owned());
    }

    heading("4. Its checks, once");
    bad.extend(ask(&controller, &service, style).await?);
    Ok(bad)
}

async fn ask(controller: &Controller, service: &ServiceRef, style: Style) -> Result<Vec<String>, CliError> {
    let service = controller.store.services().find(service).await?;
    let care = controller.care(&service).await?;
    let host = controller.store.hosts().get(&service.host).await?;
    let session = controller.session(&host).await?;
    let mut bad = Vec::new();
    for check in &care.checks {
        let title = &check.title.en;
        match try_check(&session, check).await.map_err(OperationError::from)? {
            Tried::Good => println!("{} {title}", style.green("✓")),
            Tried::NotHere => println!("{} {title}: not asked here", style.dim("·")),
            Tried::Bad(answer) => {
                println!("{} {title}: {answer}", style.red("✗"));
                bad.push(format!("the check {} does not answer well: {answer}", check.id));
            }
        }
    }
    session.close().await;
    Ok(bad)
}

/// What was given, and the examples of what has to be given.
fn settings(template: &ServiceTemplate, given: &[Setting]) -> Vec<Setting> {
    let mut settings = given.to_vec();
    for (name, parameter) in &template.manifest.params {
        if parameter.required()
            && !given.iter().any(|setting| setting.name == *name)
            && let Some(example) = &parameter.example
        {
            settings.push(Setting {
                name: name.clone(),
                value: example.clone(),
            });
        }
    }
    settings
}

fn name(text: &str) -> Result<Name, CliError> {
    text.parse()
        .map_err(|error: crate::model::InvalidName| OperationError::Refused(error.to_string()).into())
}
