//! `allmende action`: the day-to-day helps of a service.

use clap::Args;
use serde_json::{Value, json};

use super::arguments::{Confirm, Json};
use super::service::read_secrets;
use super::style::Style;
use super::{Answer, CliError, care_view, carry_out, print_json, table};
use crate::catalogue::{Action, ActionRisk, Manifest};
use crate::model::ServiceRef;
use crate::operations::{Controller, Risk, RunAction, Setting};

/// Arguments of `action`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  allmende action cloud
  allmende action cloud user-list
  allmende action cloud user-add --set user=anna --set name=\"Anna Beispiel\"")]
pub struct UseAction {
    /// The service: NAME or ORGANISATION/NAME
    service: ServiceRef,
    /// The action; without it, all that there are
    action: Option<String>,
    /// Value of one of its parameters
    #[arg(long = "set", value_name = "PARAMETER=VALUE", requires = "action")]
    set: Vec<Setting>,
    /// Takes the value of a secret parameter from the first line of a file
    #[arg(long = "secret-file", value_name = "PARAMETER=FILE", requires = "action")]
    secret_files: Vec<Setting>,
    #[command(flatten)]
    confirm: Confirm,
    #[command(flatten)]
    json: Json,
}

/// Runs it.
pub async fn run(command: &UseAction, controller: &Controller, style: Style) -> Result<Answer, CliError> {
    let Some(action) = &command.action else {
        let service = controller.store.services().find(&command.service).await?;
        list(
            &controller.catalogue.get(&service.template)?.manifest,
            &command.json,
        );
        return Ok(Answer::Yes);
    };
    let operation = RunAction {
        service: command.service.clone(),
        action: action.clone(),
        set: command.set.clone(),
        secrets: read_secrets(&command.secret_files)?,
    };
    let (_, definition) = operation.definition(controller).await?;
    let risk = match definition.risk {
        ActionRisk::Read => Risk::Safe,
        ActionRisk::Change => Risk::Change,
        ActionRisk::Destructive => Risk::Destructive,
    };
    let done = carry_out(&operation, risk, controller, &command.confirm, style).await?;
    let Some(outcome) = done else {
        return Ok(Answer::Yes);
    };
    if command.json.json {
        print_json(&outcome.answer);
        return Ok(Answer::Yes);
    }
    show(definition, &outcome.answer);
    if definition.risk != ActionRisk::Read {
        println!("{}", outcome.message);
    }
    Ok(Answer::Yes)
}

fn list(manifest: &Manifest, json: &Json) {
    if json.json {
        print_json(&care_view::actions(manifest));
        return;
    }
    if manifest.actions.is_empty() {
        println!("{} offers no actions.", manifest.title.en);
        return;
    }
    let rows = manifest.actions.iter().map(|(name, action)| {
        let needs = action
            .params
            .iter()
            .map(|(name, parameter)| match parameter.required() {
                true => name.clone(),
                false => format!("[{name}]"),
            });
        vec![
            name.clone(),
            action.title.en.clone(),
            action.role.to_string(),
            action.risk.to_string(),
            needs.collect::<Vec<_>>().join(" "),
        ]
    });
    println!(
        "{}",
        table(["ACTION", "WHAT IT DOES", "FROM ROLE", "RISK", "NEEDS"], rows)
    );
}

/// Prints an answer for people.
fn show(action: &Action, answer: &Value) {
    match &answer["output"] {
        Value::Null => {}
        Value::String(text) => println!("{text}"),
        output => println!("{}", table_of(output, &action.columns)),
    }
    if answer["truncated"] == json!(true) {
        println!("There was more; only the beginning is shown.");
    }
    for (name, secret) in answer["secrets"].as_object().into_iter().flatten() {
        println!("{name}: {}", secret.as_str().unwrap_or_default());
    }
    if answer["secrets"]
        .as_object()
        .is_some_and(|secrets| !secrets.is_empty())
    {
        println!("This is shown once and kept nowhere: hand it over now.");
    }
}

/// A list of objects, or an object whose values are objects, has a row for each; any other object a row for each field.
fn table_of(output: &Value, columns: &[String]) -> comfy_table::Table {
    let rows: Vec<&Value> = match output {
        Value::Array(rows) => rows.iter().collect(),
        Value::Object(fields) if !fields.is_empty() && fields.values().all(Value::is_object) => {
            fields.values().collect()
        }
        Value::Object(fields) => {
            let chosen = fields
                .iter()
                .filter(|(name, _)| columns.is_empty() || columns.contains(name));
            return table(
                ["FIELD", "VALUE"],
                chosen.map(|(name, value)| vec![name.clone(), cell(value)]),
            );
        }
        other => vec![other],
    };
    let mut columns = columns.to_vec();
    if columns.is_empty() {
        for name in rows
            .iter()
            .filter_map(|row| row.as_object())
            .flat_map(serde_json::Map::keys)
        {
            if !columns.contains(name) {
                columns.push(name.clone());
            }
        }
    }
    let head: Vec<String> = columns.iter().map(|name| name.to_uppercase()).collect();
    let rows = rows.iter().map(|row| match row {
        Value::Object(_) => columns.iter().map(|name| cell(&row[name.as_str()])).collect(),
        plain => vec![cell(plain)],
    });
    table(head.iter().map(String::as_str), rows)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(output: &Value, columns: &[&str]) -> Vec<Vec<String>> {
        let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
        let table = table_of(output, &columns).to_string();
        table
            .lines()
            .map(|line| line.split_whitespace().map(str::to_owned).collect())
            .collect()
    }

    #[test]
    fn lists_and_objects_become_tables() {
        let list =
            json!([{ "user": "anna", "groups": ["a", "b"], "on": true }, { "user": "ben", "quota": 5 }]);
        assert_eq!(
            shown(&list, &["user", "on"]),
            [vec!["USER", "ON"], vec!["anna", "yes"], vec!["ben"]]
        );
        assert_eq!(shown(&list, &[])[1], ["a,", "b", "yes", "anna"]);
        let nested = json!({ "anna": { "user": "anna" }, "ben": { "user": "ben" } });
        assert_eq!(shown(&nested, &["user"]), [["USER"], ["anna"], ["ben"]]);
        let one = json!({ "quota": "5 GB", "used": 17 });
        assert_eq!(
            shown(&one, &["quota"]),
            [vec!["FIELD", "VALUE"], vec!["quota", "5", "GB"]]
        );
        assert_eq!(shown(&json!([]), &["user"]), [["USER"]]);
    }
}
