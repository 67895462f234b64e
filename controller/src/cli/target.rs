//! `allmende target`.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;

use super::access;
use super::arguments::{Confirm, Json, ask_secret};
use super::organisation::{Changing, Show};
use super::style::Style;
use super::{Answer, CliError, perform, print_json, show_preview, table};
use crate::backup::Disk;
use crate::model::{Location, Name, Repository, Secret, Size, Target};
use crate::operations::{AddTarget, Controller, EditTarget, Operation, RemoveTarget, needs_secret};

/// What can be asked about targets.
#[derive(Debug, Subcommand)]
pub enum TargetCommand {
    /// Adds a place for backups
    #[command(after_help = "Examples:
  allmende target add usb --disk /media/usb/allmende --mounted --place 'shelf in the office'
  allmende target add nas --sftp backup@nas.example.org/srv/allmende --quota '500 GB' --keep daily=14,monthly=24
  allmende target add cloud --s3 https://s3.example.org/kita-backups --access-key AKIA… --monthly-cost 4.50
  allmende target add friends --rest https://backup.example.org:8000/kita --user kita --org kita-sonne

Hosts write to the first target of the kind disk that serves them; all others get copies of what is there.")]
    Add(Box<WithSecret<AddTarget>>),
    /// Lists all targets, the oldest first
    List(Json),
    /// Shows a target and what it holds
    Show(Show),
    /// Changes a target
    #[command(after_help = "Examples:
  allmende target edit usb --keep daily=14,weekly=8,monthly=24 --quota '2 TB'
  allmende target edit usb --disk /media/usb2/allmende        the data were moved, or there is a new disk
  allmende target edit cloud --secret                         it has another password")]
    Edit(Box<WithSecret<EditTarget>>),
    /// Removes a target that holds no backups
    Remove(Changing<RemoveTarget>),
}

/// An operation that may bring a secret.
#[derive(Debug, Args)]
pub struct WithSecret<O: Args> {
    #[command(flatten)]
    change: Changing<O>,
    /// Asks for a password where it could do without, or for a new one
    #[arg(long)]
    secret: bool,
    /// Reads the password, or the private key for SFTP, from a file
    #[arg(long, value_name = "FILE", conflicts_with = "secret")]
    secret_file: Option<PathBuf>,
}

/// A target as programs read it.
#[derive(Serialize)]
struct Shown<'a> {
    target: &'a Target,
    /// What it holds.
    repositories: Vec<&'a Repository>,
    /// All of them together, as far as they were counted.
    size_bytes: Size,
    /// What is free on its disk.
    free_bytes: Option<Size>,
    /// Why it cannot be used now.
    problem: Option<String>,
}

impl<'a> Shown<'a> {
    fn of(target: &'a Target, repositories: &'a [Repository]) -> Self {
        let held: Vec<_> = repositories
            .iter()
            .filter(|repository| repository.target == target.name)
            .collect();
        let ready = Disk::of(target).map(|disk| disk.ready().and_then(|()| disk.free()));
        let (free_bytes, problem) = match ready {
            Some(Ok(free)) => (Some(free), None),
            Some(Err(error)) => (None, Some(error.to_string())),
            None => (None, None),
        };
        Self {
            target,
            size_bytes: Size(
                held.iter()
                    .filter_map(|held| held.size_bytes)
                    .map(|size| size.0)
                    .sum(),
            ),
            repositories: held,
            free_bytes,
            problem,
        }
    }
}

/// Runs it.
pub async fn run(command: &TargetCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        TargetCommand::Add(add) => {
            let mut operation = add.change.operation.clone();
            access::prepare(&mut operation.access);
            let needed = needs_secret(&operation.target(None)?.location);
            operation.secret = add.read(&operation.short_name, needed)?;
            perform(&operation, controller, &add.change.confirm, style).await
        }
        TargetCommand::Edit(edit) => {
            let mut operation = edit.change.operation.clone();
            access::prepare(&mut operation.access);
            operation.secret = edit.read(&operation.short_name, false)?;
            perform(&operation, controller, &edit.change.confirm, style).await
        }
        TargetCommand::Remove(Changing { operation, confirm }) => {
            if operation.forget && !confirm.dry_run {
                show_preview(&operation.preview(controller).await?);
                confirm.ask_for_name("Forget its backups", operation.short_name.as_str())?;
                let confirm = Confirm {
                    yes: true,
                    ..confirm.clone()
                };
                return perform(operation, controller, &confirm, style).await;
            }
            perform(operation, controller, confirm, style).await
        }
        TargetCommand::List(json) => list(json, controller, style).await,
        TargetCommand::Show(Show { name, json }) => show(name, json, controller, style).await,
    }
}

impl<O: Args> WithSecret<O> {
    /// The secret, from the file, or asked for where it is needed or wanted.
    fn read(&self, target: &Name, needed: bool) -> Result<Option<Secret>, CliError> {
        if let Some(path) = &self.secret_file {
            return read_secret(path).map(Some);
        }
        if self.change.confirm.dry_run || !(needed || self.secret) {
            return Ok(None);
        }
        ask_secret(&format!("Password or secret key for {target}")).map(Some)
    }
}

fn read_secret(path: &Path) -> Result<Secret, CliError> {
    let text = std::fs::read_to_string(path).map_err(|source| CliError::File {
        path: path.to_owned(),
        source,
    })?;
    let text = Secret::new(text);
    // A key ends with a line end, a password does not.
    if text.reveal().starts_with("-----BEGIN") {
        return Ok(text);
    }
    let line = text.reveal().trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains('\n') {
        return Err(CliError::Declined(format!(
            "{} must hold a password in one line, or a private key in OpenSSH's form",
            path.display()
        )));
    }
    Ok(Secret::new(line.to_owned()))
}

async fn list(json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let targets = controller.store.targets().list().await?;
    let repositories = controller.store.targets().repositories().await?;
    let shown: Vec<_> = targets
        .iter()
        .map(|target| Shown::of(target, &repositories))
        .collect();
    if json.json {
        print_json(&shown);
        return Ok(Answer::Yes);
    }
    if shown.is_empty() {
        println!("There is no place for backups yet. Add one with: allmende target add NAME --disk FOLDER");
        return Ok(Answer::Yes);
    }
    let rows = shown.iter().map(|each| {
        let room = match (each.target.quota_bytes, each.free_bytes) {
            (Some(quota), _) => format!("{} of {quota}", each.size_bytes),
            (None, Some(free)) => format!("{}, {free} free", each.size_bytes),
            (None, None) => each.size_bytes.to_string(),
        };
        vec![
            each.target.name.to_string(),
            each.target.location.kind().to_string(),
            each.target.location.to_string(),
            each.target.place.clone().unwrap_or_default(),
            whom(each.target),
            each.target.retention.to_string(),
            room,
            match each.problem {
                Some(_) => style.red("✗ not ready"),
                None => String::new(),
            },
        ]
    });
    let head = ["TARGET", "KIND", "WHERE", "PLACE", "SERVES", "KEEPS", "HOLDS", ""];
    println!("{}", table(head, rows));
    for problem in shown.iter().filter_map(|each| each.problem.as_ref()) {
        println!("{} {problem}", style.red("✗"));
    }
    Ok(Answer::Yes)
}

/// Whose services it serves.
fn whom(target: &Target) -> String {
    match target.organisations.as_slice() {
        [] => "all".to_owned(),
        some => some.iter().map(Name::as_str).collect::<Vec<_>>().join(", "),
    }
}

async fn show(name: &Name, json: &Json, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let target = controller.store.targets().get(name).await?;
    let repositories = controller.store.targets().repositories().await?;
    let shown = Shown::of(&target, &repositories);
    if json.json {
        print_json(&shown);
        return Ok(Answer::Yes);
    }
    println!(
        "{} ({})",
        style.bold(target.name.as_str()),
        target.location.kind()
    );
    let line = |name: &str, value: &str| println!("  {name:9}  {value}");
    line("where", &target.location.to_string());
    match &target.location {
        Location::Disk { mounted: true, .. } => line("mounted", "must be, before anything is written there"),
        Location::S3 {
            access_key, region, ..
        } => {
            line("key", access_key);
            if let Some(region) = region {
                line("region", region);
            }
        }
        Location::Rest { user: Some(user), .. } => line("account", user),
        _ => {}
    }
    if let Some(place) = &target.place {
        line("place", place);
    }
    line("serves", &whom(&target));
    line("keeps", &target.retention.to_string());
    if let Some(quota) = target.quota_bytes {
        line("quota", &quota.to_string());
    }
    if let Some(free) = shown.free_bytes {
        line("free", &free.to_string());
    }
    if let Some(cost) = target.monthly_cost {
        line("costs", &format!("{cost} a month"));
    }
    line("holds", &shown.size_bytes.to_string());
    for repository in &shown.repositories {
        let size = repository
            .size_bytes
            .map(|size| format!(", {size}"))
            .unwrap_or_default();
        let damage = repository
            .damaged
            .as_ref()
            .map(|damage| format!("  {}", style.red(&format!("✗ {damage}"))))
            .unwrap_or_default();
        println!(
            "    {}/{}{size}  {}{damage}",
            repository.organisation,
            repository.service,
            style.dim(&repository.folder)
        );
    }
    if let Some(problem) = &shown.problem {
        println!("{} {problem}", style.red("✗"));
    }
    Ok(Answer::Yes)
}
