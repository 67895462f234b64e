//! A desired state is checked as a whole before anything is touched.

use std::collections::HashSet;

use crate::mask::Masker;
use crate::names::{self, Verdict};
use crate::protocol::{DesiredState, Handler, HandlerAct, Section};
use crate::resources::ResourceSpec;

/// Shorter secrets are words that may stand in an argument list by right.
const SECRET_IN_ARGV: usize = 8;

impl DesiredState {
    /// Refuses a state that makes no sense: bad names and paths, handlers that are not there, ids that are used twice,
    /// secrets in argument lists, where every user of the host could read them.
    ///
    /// # Errors
    /// A sentence that says where and what.
    pub fn check(&self) -> Result<(), String> {
        let masker = Masker::new(&self.secrets);
        let mut sections = HashSet::new();
        for section in &self.sections {
            names::file_name(&section.name)?;
            if !sections.insert(&section.name) {
                return Err(format!("the section {} is there twice", section.name));
            }
            check_section(section, &masker)
                .map_err(|problem| masker.masked(format!("{}: {problem}", section.name)))?;
        }
        Ok(())
    }
}

fn check_section(section: &Section, masker: &Masker) -> Verdict {
    let mut handlers = HashSet::new();
    for handler in &section.handlers {
        names::id(&handler.id)?;
        if !handlers.insert(&handler.id) {
            return Err(format!("the handler {} is there twice", handler.id));
        }
        check_handler(handler, masker).map_err(|problem| format!("handler {}: {problem}", handler.id))?;
    }
    let mut ids = HashSet::new();
    for resource in &section.resources {
        names::id(&resource.id)?;
        if !ids.insert(&resource.id) {
            return Err(format!("the resource {} is there twice", resource.id));
        }
        let in_resource = |problem| format!("{}: {problem}", resource.id);
        resource.spec.manage().check().map_err(in_resource)?;
        check_secrets(&resource.spec, masker).map_err(in_resource)?;
        if let Some(unknown) = resource.notify.iter().find(|id| !handlers.contains(id)) {
            return Err(format!(
                "{} notifies the handler {unknown}, which is not there",
                resource.id
            ));
        }
    }
    Ok(())
}

fn check_handler(handler: &Handler, masker: &Masker) -> Verdict {
    if let Some(check) = &handler.check {
        names::argv(check)?;
        no_secret(check, masker)?;
    }
    match &handler.act {
        HandlerAct::Unit { unit, .. } => names::unit(unit),
        HandlerAct::Command { command } => {
            names::argv(command)?;
            no_secret(command, masker)
        }
    }
}

fn check_secrets(spec: &ResourceSpec, masker: &Masker) -> Verdict {
    match spec {
        ResourceSpec::Command(command) => {
            no_secret(&command.argv, masker)?;
            no_secret(command.unless.as_deref().unwrap_or_default(), masker)?;
            no_secret(command.env.values(), masker)
        }
        ResourceSpec::File(file) => no_secret(file.validate.as_deref().unwrap_or_default(), masker),
        _ => Ok(()),
    }
}

/// Refuses a secret where other users of the host can read it.
pub(crate) fn no_secret<'a>(arguments: impl IntoIterator<Item = &'a String>, masker: &Masker) -> Verdict {
    if arguments
        .into_iter()
        .any(|argument| masker.long_secret_in(argument, SECRET_IN_ARGV))
    {
        return Err(
            "a secret stands in arguments or environment, where others on the host can read it; give it on \
                    standard input or in a file"
                .to_owned(),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn check(resources: Value, handlers: Value) -> String {
        let state = json!({
            "sections": [{ "name": "cloud", "resources": resources, "handlers": handlers }],
            "secrets": ["correct horse", "web"],
        });
        let state: DesiredState = serde_json::from_value(state).expect("parses");
        state.check().err().unwrap_or_default()
    }

    fn file(id: &str) -> Value {
        json!({ "id": id, "spec": { "kind": "file", "path": "/etc/x", "content": "" }, "notify": ["web"] })
    }

    #[test]
    fn a_good_state_passes() {
        let handler =
            json!([{ "id": "web", "unit": "nginx.service", "action": "reload", "check": ["nginx", "-t"] }]);
        assert_eq!(check(json!([file("a"), file("b")]), handler), "");
    }

    #[test]
    fn what_is_wrong_is_named_with_its_place() {
        assert_eq!(
            check(json!([file("a")]), json!([])),
            "cloud: a notifies the handler •••, which is not there"
        );
        let handler = json!([{ "id": "web", "command": ["true"] }]);
        assert_eq!(
            check(json!([file("a"), file("a")]), handler.clone()),
            "cloud: the resource a is there twice"
        );
        let bad = json!([{ "id": "x", "spec": { "kind": "directory", "path": "/a/../b" } }]);
        assert!(check(bad, handler).starts_with("cloud: x: \"/a/../b\" is no path"));
        let bad = json!([{ "id": "web", "unit": "nginx", "action": "reload" }]);
        assert!(check(json!([]), bad).starts_with("cloud: handler •••: \"nginx\" is no unit"));
    }

    #[test]
    fn secrets_in_arguments_are_refused_without_repeating_them() {
        let bad = json!([{ "id": "x", "spec": { "kind": "command", "argv": ["occ", "--pass=correct horse"], "creates": "/x" } }]);
        let problem = check(bad, json!([]));
        assert!(
            problem.contains("a secret stands in arguments") && !problem.contains("horse"),
            "{problem}"
        );
        // A short secret is a word that may stand there by right.
        let good =
            json!([{ "id": "x", "spec": { "kind": "command", "argv": ["webbing"], "creates": "/x" } }]);
        assert_eq!(check(good, json!([])), "");
    }
}
