//! `allmende vault`: emergency sheets.

use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};

use super::arguments::{actor, ask_secret};
use super::follow::Follower;
use super::style::Style;
use super::{Answer, CliError};
use crate::backup::sheet::pdf;
use crate::model::{Language, Name};
use crate::operations::{ConfirmSheet, Controller, Operation, execute};

/// Emergency sheets: what brings an organisation's backups back without Allmende
#[derive(Debug, Subcommand)]
pub enum VaultCommand {
    /// Prints the emergency sheet of an organisation; the audit log remembers that
    #[command(after_help = "Examples:
  allmende vault export kita-sonne --pdf kita-sonne.pdf
  allmende vault export kita-sonne --language en

Whoever has the sheet can read all backups of the organisation: print it, delete the file, lock the sheet up.")]
    Export(Export),
    /// Asks for the password on the sheet: until then, setting up is not finished
    #[command(after_help = "Example:
  allmende vault confirm kita-sonne")]
    Confirm(Confirm),
}

/// Arguments of `vault export`.
#[derive(Debug, Args)]
pub struct Export {
    /// The organisation
    organisation: Name,
    /// Writes a PDF into this file instead of printing text
    #[arg(long, value_name = "FILE")]
    pdf: Option<PathBuf>,
    /// In which language
    #[arg(long, value_name = "LANGUAGE", default_value = "de")]
    language: Language,
}

/// Arguments of `vault confirm`.
#[derive(Debug, Args)]
pub struct Confirm {
    /// The organisation
    organisation: Name,
    /// Says what would happen, and does nothing
    #[arg(long)]
    dry_run: bool,
}

/// Runs it.
pub async fn run(command: &VaultCommand, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    match command {
        VaultCommand::Export(export) => {
            let Export {
                organisation,
                language,
                ..
            } = export;
            let sheet = controller.export_sheet(&actor(), organisation, *language).await?;
            let text = sheet.text(*language);
            let Some(path) = &export.pdf else {
                print!("{text}");
                return Ok(Answer::Yes);
            };
            let title = &sheet.organisation;
            let foot = |page: usize, pages: usize| match language {
                Language::De => format!(
                    "{title}, Notfallblatt vom {}, Seite {page} von {pages}",
                    sheet.day
                ),
                Language::En => format!(
                    "{title}, emergency sheet of {}, page {page} of {pages}",
                    sheet.day
                ),
            };
            write_for_owner(path, &pdf(&text, foot)).map_err(|source| CliError::File {
                path: path.clone(),
                source,
            })?;
            println!(
                "The emergency sheet is {}. Print it, delete the file, and lock the sheet up.",
                path.display()
            );
            println!("Then type its password once: allmende vault confirm {organisation}");
        }
        VaultCommand::Confirm(confirm) => {
            let mut operation = ConfirmSheet {
                organisation: confirm.organisation.clone(),
                typed: None,
            };
            if confirm.dry_run {
                super::show_preview(&operation.preview(controller).await?);
                return Ok(Answer::Yes);
            }
            controller
                .store
                .organisations()
                .get(&confirm.organisation)
                .await?;
            operation.typed = Some(ask_secret("The password on the emergency sheet")?);
            let follower = Follower::new(style);
            let finished = execute(controller, &actor(), &operation, &follower).await;
            follower.finish();
            println!("{}", finished?.message);
        }
    }
    Ok(Answer::Yes)
}

/// Writes a file that is its owner's alone, whole or not at all.
fn write_for_owner(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&temporary)
        .and_then(|mut file| file.write_all(content))
        .and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}
