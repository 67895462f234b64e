//! The command line: a person at a terminal. It turns words into operations and prints what comes back.

// Instead of std's, which panic when nobody reads any more, as in `allmende job list | head`.
macro_rules! print {
    ($($text:tt)*) => { $crate::cli::say(format_args!($($text)*)) };
}
macro_rules! println {
    () => { $crate::cli::say(format_args!("\n")) };
    ($($text:tt)*) => { $crate::cli::say(format_args!("{}\n", format_args!($($text)*))) };
}
macro_rules! eprintln {
    ($($text:tt)*) => { $crate::cli::murmur(format_args!("{}\n", format_args!($($text)*))) };
}

mod access;
mod action;
mod apply;
mod arguments;
mod audit;
mod authority;
mod backup;
mod backup_drill;
mod backup_list;
mod backup_run;
mod backup_simulate;
mod care_view;
mod check;
mod check_view;
mod controller;
mod demo;
mod follow;
mod follow_job;
mod host;
mod host_health;
mod incident;
mod init;
mod inventory;
mod job;
mod lab;
mod maintenance;
mod notify;
mod organisation;
mod pages;
mod plan_view;
mod restore;
mod schedule;
mod serve;
mod service;
mod status;
mod style;
mod target;
mod template;
mod template_try;
mod vault;
mod words;

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::catalogue::CatalogueError;
use crate::lab::LabError;
use crate::model::Outcome;
use crate::operations::{Controller, Operation, OperationError, Preview, Request, Risk, execute, hand_over};
use crate::server::ServerError;
use crate::settings::SettingsError;
use arguments::Confirm;
use follow::Follower;
use follow_job::{Interrupt, follow_job};
use style::Style;

/// Allmende: the IT department of small non-profits, in a box
#[derive(Debug, Parser)]
#[command(
    name = "allmende",
    version,
    propagate_version = true,
    arg_required_else_help = true
)]
#[command(after_help = "Examples:
  allmende init
  allmende org add kita-sonne --name \"KiTa Sonne e.V.\" --sector kita
  allmende host add web1 --org kita-sonne --address 192.0.2.10
  allmende service add cloud --org kita-sonne --host web1 --template nextcloud --set domain=cloud.example.org
  allmende plan cloud
  allmende apply cloud

Exit codes: 0 done, or all well; 1 it failed; 2 wrong usage; 3 the answer is no (a plan has changes, a check is not ok)")]
pub struct Cli {
    /// Where Allmende keeps its data
    #[arg(long, global = true, env = "ALLMENDE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Folder with further service templates; may be given several times
    #[arg(long, global = true, value_name = "DIR")]
    templates: Vec<PathBuf>,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Makes the data directory with its keys
    Init,
    /// Organisations: whom you look after
    #[command(subcommand, alias = "org")]
    Organisation(organisation::OrganisationCommand),
    /// Hosts: the machines that services run on
    #[command(subcommand)]
    Host(host::HostCommand),
    #[command(subcommand)]
    Template(template::TemplateCommand),
    /// Services: what organisations use
    #[command(subcommand)]
    Service(service::ServiceCommand),
    /// Day-to-day helps of a service: lists them, or uses one
    Action(action::UseAction),
    /// Shows what an apply would change; exit code 3 if there is anything
    Plan(apply::Plan),
    /// Makes hosts look as their services want it
    Apply(apply::Apply),
    /// Telling people: channels, people, rules
    #[command(subcommand)]
    Notify(notify::NotifyCommand),
    /// Shows organisations, hosts and services at a glance
    Status(arguments::Json),
    /// Writes organisations, hosts and services as text
    Export(inventory::Export),
    /// Takes over what `export` wrote, or what you wrote like it
    Import(inventory::Import),
    #[command(subcommand)]
    Schedule(schedule::ScheduleCommand),
    Serve(serve::Serve),
    /// Checks: what is asked again and again, and what comes back
    #[command(subcommand)]
    Check(check::CheckCommand),
    /// Incidents: what is not well, from the first bad answer to the last
    #[command(subcommand)]
    Incident(incident::IncidentCommand),
    /// Maintenance: times in which nobody is alarmed
    #[command(subcommand)]
    Maintenance(maintenance::MaintenanceCommand),
    /// Backups: what can be brought back
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    Restore(restore::Restore),
    /// Targets: places for backups
    #[command(subcommand)]
    Target(target::TargetCommand),
    /// Jobs: what was done, by whom, with what outcome
    #[command(subcommand)]
    Job(job::JobCommand),
    /// The audit log: who asked for what
    #[command(subcommand)]
    Audit(audit::AuditCommand),
    /// The certificate authority for services with tls = internal
    #[command(subcommand)]
    Authority(authority::AuthorityCommand),
    #[command(subcommand)]
    Vault(vault::VaultCommand),
    #[command(subcommand)]
    Controller(controller::ControllerCommand),
    /// Practice hosts: throwaway Debian machines on this computer
    #[command(subcommand)]
    Lab(lab::LabCommand),
    /// Shows the main job on a practice host, from nothing to a running service
    Demo(demo::Demo),
    /// Prints the completions for a shell
    Completions(pages::Completions),
    /// Writes the man pages into a folder
    Man(pages::Man),
}

/// Why a command did not end well.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// An operation.
    #[error(transparent)]
    Operation(#[from] OperationError),
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// A template.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The practice hosts.
    #[error(transparent)]
    Lab(#[from] LabError),
    /// The server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// The person said no, or could not be asked.
    #[error("{0}")]
    Declined(String),
    /// A file that the person named.
    #[error("cannot use {path}: {source}")]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
}

impl<E> From<E> for CliError
where
    E: Into<crate::store::StoreError>,
{
    fn from(error: E) -> Self {
        Self::Operation(OperationError::from(error.into()))
    }
}

/// Runs the command line and says with which code the program ends.
pub async fn run() -> ExitCode {
    let cli = Cli::parse();
    match cli.dispatch().await {
        Ok(Answer::Yes) => ExitCode::SUCCESS,
        Ok(Answer::No) => ExitCode::from(3),
        Err(error) => {
            let style = Style::detect();
            eprintln!("{} {error}", style.red("Error:"));
            ExitCode::FAILURE
        }
    }
}

/// What a command that went well has to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Done, or all well.
    Yes,
    /// The answer is no.
    No,
}

impl From<bool> for Answer {
    fn from(yes: bool) -> Self {
        if yes { Self::Yes } else { Self::No }
    }
}

impl Cli {
    async fn dispatch(&self) -> Result<Answer, CliError> {
        let style = Style::detect();
        match &self.command {
            Command::Init => init::run(&self.data_dir()).await,
            Command::Organisation(command) => organisation::run(command, &self.open().await?, style).await,
            Command::Host(command) => host::run(command, &self.open().await?, style).await,
            Command::Template(command) => {
                template::run(command, &self.template_folders()?, &self.data_dir(), style).await
            }
            Command::Service(command) => service::run(command, &self.open().await?, style).await,
            Command::Action(command) => action::run(command, &self.open().await?, style).await,
            Command::Plan(command) => apply::plan(command, &self.open().await?, style).await,
            Command::Apply(command) => apply::apply(command, &self.open().await?, style).await,
            Command::Notify(command) => notify::run(command, &self.open().await?, style).await,
            Command::Status(json) => status::run(json, &self.open().await?, style).await,
            Command::Export(command) => inventory::export(command, &self.open().await?).await,
            Command::Import(command) => inventory::import(command, &self.open().await?, style).await,
            Command::Schedule(command) => schedule::run(command, &self.open().await?, style).await,
            Command::Serve(command) => serve::run(command, &self.data_dir(), &self.templates).await,
            Command::Check(command) => check::run(command, &self.open().await?, style).await,
            Command::Incident(command) => incident::run(command, &self.open().await?, style).await,
            Command::Maintenance(command) => maintenance::run(command, &self.open().await?, style).await,
            Command::Restore(command) => restore::run(command, &self.open().await?, style).await,
            Command::Backup(command) => backup::run(command, &self.open().await?, style).await,
            Command::Target(command) => target::run(command, &self.open().await?, style).await,
            Command::Job(command) => job::run(command, &self.open().await?, style).await,
            Command::Audit(command) => audit::run(command, &self.open().await?, style).await,
            Command::Authority(command) => authority::run(command, &self.open().await?, style).await,
            Command::Vault(command) => vault::run(command, &self.open().await?, style).await,
            Command::Controller(controller::ControllerCommand::Backup(command)) => {
                controller::backup(command, &self.open().await?, style).await
            }
            Command::Controller(controller::ControllerCommand::Restore(command)) => {
                controller::restore(command, &self.data_dir(), style).await
            }
            Command::Lab(command) => lab::run(command, &self.data_dir(), style).await,
            Command::Demo(command) => demo::run(command, &self.data_dir(), style).await,
            Command::Completions(command) => Ok(pages::completions(command)),
            Command::Man(command) => pages::man(command),
        }
    }

    fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(default_data_dir)
    }

    async fn open(&self) -> Result<Controller, CliError> {
        let controller = Controller::open(&self.data_dir(), &self.templates).await?;
        for (name, _) in controller.catalogue.broken() {
            eprintln!(
                "{} the template {name} cannot be used; everything else can. What is wrong with it: allmende template lint",
                Style::detect().yellow("Warning:")
            );
        }
        Ok(controller)
    }

    /// Folders of templates beside the program's own. They can be looked at before there is a data directory.
    fn template_folders(&self) -> Result<Vec<PathBuf>, CliError> {
        let mut folders = crate::settings::Settings::load(&self.data_dir())?.templates;
        folders.extend(self.templates.iter().cloned());
        Ok(folders)
    }
}

/// `/var/lib/allmende` for root, the XDG data directory for others.
fn default_data_dir() -> PathBuf {
    if rustix::process::geteuid().is_root() {
        return PathBuf::from("/var/lib/allmende");
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".local/share");
    std::env::var_os("XDG_DATA_HOME")
        .map_or_else(home, PathBuf::from)
        .join("allmende")
}

/// Runs an operation as a job, after asking where it is risky, and prints what came of it.
async fn perform<O: Operation>(
    operation: &O,
    controller: &Controller,
    confirm: &Confirm,
    style: Style,
) -> Result<Answer, CliError> {
    if let Some(outcome) = carry_out(operation, O::RISK, controller, confirm, style).await? {
        println!("{}", outcome.message);
    }
    Ok(Answer::Yes)
}

/// Runs an operation as a job, after asking where it is risky; without an outcome if it was only to be previewed.
async fn carry_out<O: Operation>(
    operation: &O,
    risk: Risk,
    controller: &Controller,
    confirm: &Confirm,
    style: Style,
) -> Result<Option<Outcome>, CliError> {
    if confirm.dry_run {
        show_preview(&operation.preview(controller).await?);
        return Ok(None);
    }
    if risk == Risk::Destructive && !confirm.yes {
        show_preview(&operation.preview(controller).await?);
        confirm.ask(&operation.title())?;
    }
    let follower = Follower::new(style);
    let finished = do_or_hand_over(operation, controller, &follower).await;
    follower.finish();
    Ok(Some(finished?))
}

/// Does an operation as a job and shows what happens: in this process, or by the server if one runs and the operation can be
/// asked for by name.
async fn do_or_hand_over<O: Operation>(
    operation: &O,
    controller: &Controller,
    follower: &Follower,
) -> Result<Outcome, OperationError> {
    let actor = arguments::actor();
    if Request::NAMES.contains(&O::NAME) && controller.can_hand_over().await? {
        let job = hand_over(controller, &actor, operation).await?;
        return follow_job(controller, &actor, job, Interrupt::Cancels, follower).await;
    }
    execute(controller, &actor, operation, follower).await
}

fn show_preview(preview: &Preview) {
    for sentence in &preview.sentences {
        println!("  {sentence}");
    }
}

/// Writes to standard output. When nobody reads it any more, the program ends as if by the signal that says so.
fn say(text: fmt::Arguments<'_>) {
    const BROKEN_PIPE: i32 = 128 + 13;
    if let Err(error) = std::io::stdout().write_fmt(text)
        && error.kind() == ErrorKind::BrokenPipe
    {
        std::process::exit(BROKEN_PIPE);
    }
}

/// Writes to standard error. A job goes on when nobody reads that any more.
fn murmur(text: fmt::Arguments<'_>) {
    let _ = std::io::stderr().write_fmt(text);
}

/// Prints a value for programs.
fn print_json(value: &impl serde::Serialize) {
    match serde_json::to_string_pretty(value) {
        Ok(text) => println!("{text}"),
        Err(error) => eprintln!("cannot print JSON: {error}"),
    }
}

/// A table without lines, as wide as the terminal.
fn table<'h>(
    head: impl IntoIterator<Item = &'h str>,
    rows: impl IntoIterator<Item = Vec<String>>,
) -> comfy_table::Table {
    let mut table = comfy_table::Table::new();
    table.load_preset(comfy_table::presets::NOTHING).set_header(head);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(comfy_table::ContentArrangement::Dynamic);
    }
    for row in rows {
        table.add_row(row);
    }
    table
}
