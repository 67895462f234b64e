//! How the sections of a template and of a service are shown: checks, backup, actions.

use super::style::Style;
use crate::catalogue::{Care, DumpSource, Manifest};
use crate::operations::OperationError;

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
    let listed = |key: &str, field: Option<&str>| -> Vec<String> {
        let list = manifest
            .backup
            .as_ref()
            .and_then(|backup| backup.get(key)?.as_array());
        list.into_iter()
            .flatten()
            .filter_map(|item| field.map_or(Some(item), |field| item.get(field))?.as_str())
            .map(str::to_owned)
            .collect()
    };
    let mut kept = listed("paths", None);
    kept.extend(
        listed("dumps", Some("id"))
            .into_iter()
            .map(|id| format!("the dump {id}")),
    );
    kept.extend(
        manifest
            .no_backup
            .iter()
            .map(|reason| format!("nothing: {}", reason.en)),
    );
    list(&mut text, "What belongs in a backup", &kept, style);
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

/// Adds rendered sections to the JSON of a service or host; `problem` says why there are none, if so.
pub fn extend(value: &mut serde_json::Value, care: Result<&Care, &OperationError>) {
    value["problem"] = care.err().map(ToString::to_string).into();
    let sections = care.map_or_else(
        |_| serde_json::json!(Care::default()),
        |care| serde_json::json!(care),
    );
    if let (Some(value), serde_json::Value::Object(sections)) = (value.as_object_mut(), sections) {
        value.extend(sections);
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
