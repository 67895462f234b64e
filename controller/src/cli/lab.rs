//! `allmende lab`: practice hosts.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::{Confirm, Json};
use super::style::Style;
use super::{Answer, CliError, print_json, table};
use crate::lab::{self, HostState, HostStatus, Lab, Release, UpOptions};

/// What can be done with practice hosts.
#[derive(Debug, Subcommand)]
pub enum LabCommand {
    /// Makes practice hosts, or starts those that are off
    Up(Up),
    /// Lists the practice hosts
    List(Json),
    /// Throws away what was done on a host and boots it fresh
    Reset(Reset),
    /// Switches a host off, as `poweroff` on it would
    Stop(Named),
    /// Switches a host off as a power cut would
    Kill(Named),
    /// Switches a host on
    Start(Named),
    /// Restarts a host, as `reboot` on it would
    Reboot(Named),
    /// Pulls a host's network cable
    Unplug(Named),
    /// Puts a host's network cable back
    Plug(Named),
    /// Removes all practice hosts without a trace
    Down(Down),
    /// Stays beside a practice host and starts it again when it reboots
    #[command(hide = true)]
    Keep {
        /// Folder of the host
        folder: PathBuf,
    },
}

/// Arguments of `lab up`.
#[derive(Debug, Args)]
pub struct Up {
    /// How many hosts there shall be in total
    #[arg(long, default_value_t = 1)]
    hosts: u32,
    /// Debian release of new hosts
    #[arg(long, default_value = "13", value_parser = release)]
    release: Release,
    /// Size of new hosts' disks in MB, kept in memory; without it they share this computer's disk
    #[arg(long, value_name = "MB")]
    disk_mb: Option<u64>,
    /// File with a public key that may log in as root, beside the lab's own
    #[arg(long, value_name = "FILE")]
    authorized_key: Option<PathBuf>,
    #[command(flatten)]
    confirm: Confirm,
}

/// Arguments of `lab reset`.
#[derive(Debug, Args)]
pub struct Reset {
    /// Name of the practice host
    name: String,
    /// Gives it a new SSH host key, as a reinstalled machine has
    #[arg(long)]
    new_keys: bool,
}

/// A practice host.
#[derive(Debug, Args)]
pub struct Named {
    /// Name of the practice host
    name: String,
}

/// Arguments of `lab down`.
#[derive(Debug, Args)]
pub struct Down {
    /// Removes the cached base images too
    #[arg(long)]
    purge: bool,
    // It never asks: practice hosts are made to be thrown away.
    #[command(flatten)]
    confirm: Confirm,
}

/// A Debian release that practice hosts can have.
pub(super) fn release(text: &str) -> Result<Release, String> {
    Release::parse(text).ok_or_else(|| {
        let known: Vec<String> = lab::RELEASES.iter().map(|r| r.number.to_string()).collect();
        format!("practice hosts can have Debian {}", known.join(" or "))
    })
}

/// Where a data directory's lab is.
pub fn folder(data_dir: &Path) -> PathBuf {
    data_dir.join("lab")
}

/// Runs it.
pub async fn run(command: &LabCommand, data_dir: &Path, style: Style) -> Result<Answer, CliError> {
    let lab = Lab::open(folder(data_dir))?;
    let progress = progress(style);
    match command {
        LabCommand::Up(up) => {
            let hosts = bring_up(&lab, up, style).await?;
            show(&hosts);
        }
        LabCommand::List(json) => {
            let hosts = lab.list().await?;
            if json.json {
                print_json(&hosts);
            } else if hosts.is_empty() {
                println!("There are no practice hosts. Make one with: allmende lab up");
            } else {
                show(&hosts);
            }
        }
        LabCommand::Reset(reset) => lab.reset(&reset.name, reset.new_keys, &progress).await?,
        LabCommand::Stop(host) => lab.stop(&host.name).await?,
        LabCommand::Kill(host) => lab.kill(&host.name).await?,
        LabCommand::Start(host) => lab.start(&host.name, &progress).await?,
        LabCommand::Reboot(host) => lab.reboot(&host.name).await?,
        LabCommand::Unplug(host) => lab.unplug(&host.name).await?,
        LabCommand::Plug(host) => lab.plug(&host.name).await?,
        LabCommand::Down(down) if down.confirm.dry_run => {
            let hosts = lab.list().await?;
            println!("These practice hosts would be removed: {}", names(&hosts));
        }
        LabCommand::Down(down) => {
            let left = lab.down(down.purge, &progress).await?;
            println!("All practice hosts are gone.");
            for path in left {
                println!("Kept for the next time: {}", path.display());
            }
        }
        LabCommand::Keep { folder } => lab::keep(folder)?,
    }
    Ok(Answer::Yes)
}

/// Installs what is missing, after asking, and makes the hosts.
async fn bring_up(lab: &Lab, up: &Up, style: Style) -> Result<Vec<HostStatus>, CliError> {
    let authorized_key = match &up.authorized_key {
        Some(path) => Some(std::fs::read_to_string(path).map_err(|source| CliError::File {
            path: path.clone(),
            source,
        })?),
        None => None,
    };
    let options = UpOptions {
        hosts: up.hosts,
        release: up.release,
        disk_mb: up.disk_mb,
        authorized_key,
    };
    ready(lab, &options, &up.confirm, style).await
}

/// Makes hosts; asks before it installs what this machine lacks.
pub async fn ready(
    lab: &Lab,
    options: &UpOptions,
    confirm: &Confirm,
    style: Style,
) -> Result<Vec<HostStatus>, CliError> {
    let progress = progress(style);
    let missing = lab.missing();
    if !missing.is_empty() {
        println!("Practice hosts need on this computer:");
        for requirement in &missing {
            println!("  {requirement}");
        }
        if missing.iter().any(|requirement| requirement.package.is_some()) {
            confirm.ask("Install the packages")?;
            lab::install(&missing, &progress).await?;
        }
    }
    Ok(lab.up(options, &progress).await?)
}

/// Tells a person what the lab does.
pub(super) fn progress(style: Style) -> impl Fn(&str) + Send + Sync {
    move |text: &str| eprintln!("{} {text}", style.dim("·"))
}

fn names(hosts: &[HostStatus]) -> String {
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    match names[..] {
        [] => "none".to_owned(),
        _ => names.join(", "),
    }
}

fn show(hosts: &[HostStatus]) {
    let rows = hosts.iter().map(|host| {
        let state = match host.state {
            HostState::Running => "running",
            HostState::Booting => "booting",
            HostState::Stopped => "stopped",
        };
        vec![
            host.name.clone(),
            host.address.to_string(),
            format!("Debian {}", host.release),
            state.to_owned(),
            host.fingerprint.clone().unwrap_or_default(),
        ]
    });
    println!(
        "{}",
        table(["HOST", "ADDRESS", "RELEASE", "STATE", "FINGERPRINT"], rows)
    );
    if let Some(host) = hosts.first() {
        println!(
            "Log in with: ssh -i {} root@{}",
            host.identity.display(),
            host.address
        );
    }
}
