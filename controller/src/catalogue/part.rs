//! Parts: what several templates have in common, written once and taken in by each of them.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::error::{CatalogueError, Problem};
use super::template::{Manifest, Scope};
use super::{Catalogue, ServiceTemplate};

impl Catalogue {
    /// The template with all that it includes.
    ///
    /// # Errors
    /// [`CatalogueError::Template`] for something included that is unknown, no part, or no fit part.
    pub(super) fn composed(&self, template: &ServiceTemplate) -> Result<ServiceTemplate, CatalogueError> {
        let mut composed = template.clone();
        for name in &template.manifest.include {
            let broken = |problem: String| CatalogueError::Template {
                template: template.manifest.name.clone(),
                problem: Problem::new(problem).inside("include"),
            };
            let part = self.get(name).map_err(|error| broken(error.to_string()))?;
            if part.manifest.scope != Scope::Part {
                return Err(broken(format!(
                    "{name} has no scope = \"part\"; only parts can be included"
                )));
            }
            if let Some(misplaced) = misplaced(&part.manifest) {
                return Err(broken(format!("{name} is a part, and a part has no {misplaced}")));
            }
            composed.take_in(part);
        }
        Ok(composed)
    }
}

impl ServiceTemplate {
    /// Takes a part in. What the template says itself wins; the part's resources come before its own, so that they can build
    /// on them, and the part's handlers run after its own.
    fn take_in(&mut self, part: &Self) {
        let (own, other) = (&mut self.manifest, &part.manifest);
        for name in &other.requires {
            if !own.requires.contains(name) {
                own.requires.push(name.clone());
            }
        }
        add(&mut own.params, &other.params);
        add(&mut own.vars, &other.vars);
        add(&mut own.headings, &other.headings);
        own.requirements.extend(other.requirements.iter().cloned());
        own.resources.splice(0..0, other.resources.iter().cloned());
        own.handlers.extend(other.handlers.iter().cloned());
        let mut files: BTreeMap<_, _> = part.files.clone();
        files.append(&mut self.files);
        self.files = files;
    }
}

fn add<V: Clone>(own: &mut IndexMap<String, V>, other: &IndexMap<String, V>) {
    for (name, value) in other {
        own.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// A field that says something about a whole service.
fn misplaced(part: &Manifest) -> Option<&'static str> {
    [
        ("include", !part.include.is_empty()),
        ("url", part.url.is_some()),
        ("login", part.login.is_some()),
        ("releases", !part.releases.is_empty()),
        ("upgrade", part.upgrade.is_some()),
    ]
    .into_iter()
    .find_map(|(field, given)| given.then_some(field))
}
