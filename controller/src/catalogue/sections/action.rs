//! `[actions.…]`: named, typed, harmless day-to-day helps.

use std::fmt;

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use super::{Problem, Renderer, Step, Variables, rendered};
use crate::catalogue::parameter::Parameter;
use crate::model::Role;
use crate::model::Text;

/// Something that somebody can do with a service day by day; not rendered yet.
#[derive(Debug, Clone, Deserialize)]
pub struct Action {
    /// What it does, in a few words.
    pub title: Text,
    /// What it is good for, in one or two sentences.
    pub help: Text,
    /// The lowest role that may use it.
    pub role: Role,
    /// How much it can spoil.
    pub risk: ActionRisk,
    /// What will happen, for people who are about to agree; needed unless it only reads.
    pub preview: Option<Text>,
    /// What it prints.
    #[serde(default)]
    pub output: OutputKind,
    /// For [`OutputKind::Json`]: which fields become columns, in this order; without any, all.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Secret parameters whose generated values the person gets to see, once.
    #[serde(default)]
    pub show: Vec<String>,
    /// What has to be known before.
    #[serde(default)]
    pub params: IndexMap<String, Parameter>,
    /// The fields of a [`Step`].
    #[serde(flatten)]
    step: toml::Table,
}

/// How much an action can spoil.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionRisk {
    /// It looks and changes nothing.
    Read,
    /// It changes something that can be changed back.
    Change,
    /// It takes something away.
    Destructive,
}

impl fmt::Display for ActionRisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            ActionRisk::Read => "read",
            ActionRisk::Change => "change",
            ActionRisk::Destructive => "destructive",
        })
    }
}

/// What an action's program prints on standard output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutputKind {
    /// Lines for people.
    #[default]
    Text,
    /// A list of objects, or one object: becomes a table.
    Json,
    /// Nothing that anybody needs.
    None,
}

/// An action with its values: what will be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionCall {
    /// The program.
    pub step: Step,
    /// What will happen; none if it only reads.
    pub preview: Option<Text>,
}

/// Seconds that an action may take when it does not say.
const TIMEOUT: i64 = 60;

impl Action {
    /// The call with these variables, which hold the action's parameters.
    ///
    /// # Errors
    /// What is wrong with the action.
    pub(in crate::catalogue) fn call(
        &self,
        renderer: &Renderer,
        variables: &Variables,
    ) -> Result<ActionCall, Problem> {
        let mut fields = self.step.clone();
        fields.entry("timeout").or_insert(TIMEOUT.into());
        let step: Step = rendered(renderer, &fields, variables)?;
        if step.argv.is_empty() {
            return Err(Problem::new("argv: it is empty"));
        }
        let text = |raw: &str| {
            renderer
                .text(raw, variables)
                .map_err(|problem| problem.inside("preview"))
        };
        let preview = match &self.preview {
            Some(preview) => Some(Text {
                de: text(&preview.de)?,
                en: text(&preview.en)?,
            }),
            None => None,
        };
        Ok(ActionCall { step, preview })
    }

    /// What does not fit together, if anything.
    pub(in crate::catalogue) fn contradictions(&self) -> Vec<String> {
        let mut found = Vec::new();
        if self.risk != ActionRisk::Read && self.preview.is_none() {
            found.push("preview: an action that changes something tells what will happen".to_owned());
        }
        if self.output != OutputKind::Json && !self.columns.is_empty() {
            found.push("columns: only output = \"json\" has columns".to_owned());
        }
        for name in &self.show {
            if !self.params.get(name).is_some_and(Parameter::is_secret) {
                found.push(format!("show: there is no secret parameter {name:?}"));
            }
        }
        found
    }

    /// The strings in it, for whoever looks for variables.
    pub(in crate::catalogue) fn texts(&self) -> Vec<toml::Value> {
        let previews = self.preview.iter().flat_map(|text| [&text.de, &text.en]);
        let defaults = self
            .params
            .values()
            .filter_map(|parameter| parameter.default.clone());
        previews
            .map(|text| toml::Value::String(text.clone()))
            .chain(defaults)
            .chain([toml::Value::Table(self.step.clone())])
            .collect()
    }
}
