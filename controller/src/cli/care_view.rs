//! How the sections of a template and of a service are shown: checks, backup, actions.

use super::style::Style;
use crate::catalogue::{Care, DumpSource, Manifest};

/// What a template looks after, before it is anybody's service.
pub fn summary(manifest: &Manifest, style: Style) -> String {
    let mut text = String::new();
    let checks: Vec<String> = manifest
        .checks
        .iter()
        .map(|check| check.title.en.clone())
        .collect();
    list(&mut text, "What is checked", &checks, style);
    let actions: Vec<String> = manifest
        .actions
        .iter()
        .map(|(name, action)| format!("{name}: {}", action.title.en))
        .collect();
    list(
        &mut text,
        "What can be done day by day (allmende action)",
        &actions,
        style,
    );
    if manifest.backup.is_none() {
        text.push_str("\nIt says nothing about backups.\n");
    }
    text
}

/// What a service's template looks after.
pub fn page(care: &Care, style: Style) -> String {
    let mut text = String::new();
    let checks: Vec<String> = care
        .checks
        .iter()
        .map(|check| format!("{}: {}", check.id, check.title.en))
        .collect();
    list(&mut text, "What is checked", &checks, style);
    if let Some(backup) = &care.backup {
        let dumps = backup.dumps.iter().map(|dump| match &dump.source {
            DumpSource::Postgres(dump) => format!("the PostgreSQL database {}", dump.database),
            DumpSource::Mariadb(dump) => format!("the MariaDB database {}", dump.database),
            DumpSource::Command(_) => format!("the dump {}", dump.id),
        });
        let kept: Vec<String> = backup.paths.iter().cloned().chain(dumps).collect();
        list(&mut text, "What belongs in a backup", &kept, style);
    }
    text
}

fn list(text: &mut String, heading: &str, lines: &[String], style: Style) {
    if !lines.is_empty() {
        text.push_str(&format!("\n{}\n", style.bold(heading)));
        for line in lines {
            text.push_str(&format!("  {line}\n"));
        }
    }
}

/// The documented JSON shape of a template's actions.
pub fn actions(manifest: &Manifest) -> serde_json::Value {
    manifest
        .actions
        .iter()
        .map(|(name, action)| {
            serde_json::json!({
                "name": name,
                "title": action.title,
                "help": action.help,
                "role": action.role,
                "risk": action.risk,
                "params": action.params,
            })
        })
        .collect()
}
