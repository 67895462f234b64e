//! `allmende serve`.

use std::path::{Path, PathBuf};

use clap::Args;

use super::{Answer, CliError};
use crate::operations::Controller;
use crate::server::{self, Installation};

/// Does jobs and keeps watch, day and night
///
/// It runs until it is ended: with Ctrl-C here, with `systemctl stop allmende` where it is installed. Jobs in hand go on for
/// a while; those that may be repeated are then given back, and a server takes them up again.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende serve
  sudo allmende serve --install
  curl http://127.0.0.1:9425/metrics")]
pub struct Serve {
    /// Makes it start with this machine: a user `allmende`, the program in /usr/local/bin, and a unit of systemd
    #[arg(long)]
    install: bool,
}

/// Runs it.
pub async fn run(command: &Serve, data_dir: &Path, templates: &[PathBuf]) -> Result<Answer, CliError> {
    if command.install {
        // What could not be opened would not run either.
        drop(Controller::open(data_dir, templates).await?);
        for sentence in server::install(&Installation::of(data_dir.to_owned()))? {
            println!("{sentence}");
        }
    } else {
        server::run(data_dir, templates).await?;
    }
    Ok(Answer::Yes)
}
