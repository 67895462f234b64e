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
        own.removal.extend(other.removal.iter().cloned());
        own.deletion.extend(other.deletion.iter().cloned());
        for handler in &other.handlers {
            if !own
                .handlers
                .iter()
                .any(|known| known.get("id") == handler.get("id"))
            {
                own.handlers.push(handler.clone());
            }
        }
        own.checks.extend(other.checks.iter().cloned());
        own.privacy.extend(other.privacy.iter().cloned());
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
        ("backup", part.backup.is_some()),
        ("no_backup", part.no_backup.is_some()),
        ("restore", part.restore.is_some()),
        ("verify", part.verify.is_some()),
        ("actions", !part.actions.is_empty()),
    ]
    .into_iter()
    .find_map(|(field, given)| given.then_some(field))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    /// A catalogue with the part `p` and the template `x` that includes it, and how it was read.
    fn catalogue(part: &str, template: &str) -> Result<Catalogue, CatalogueError> {
        let folder = TempDir::new().expect("a folder");
        for (name, rest) in [("p", part), ("x", template)] {
            fs::create_dir_all(folder.path().join(name).join("files")).expect("made");
            let head = format!(
                "format = 1\nname = \"{name}\"\ntitle = {{ de = \"A\", en = \"A\" }}\nsummary = {{ de = \"A\", en = \"A\" }}\n"
            );
            fs::write(folder.path().join(name).join("service.toml"), head + rest).expect("written");
            let file = folder.path().join(name).join("files/note");
            fs::write(file, name).expect("written");
        }
        fs::write(folder.path().join("p/files/only-here"), "p").expect("written");
        Catalogue::load(&[folder.path().to_owned()])
    }

    const PART: &str = r#"
        scope = "part"
        requires = ["web"]
        [params.port]
        type = "port"
        default = 80
        help = { de = "Port", en = "Port" }
        [vars]
        a = "part"
        b = "part"
        [[resources]]
        kind = "directory"
        path = "/part"
        [[handlers]]
        id = "nginx"
        command = ["true"]
        [[handlers]]
        id = "php"
        command = ["false"]
    "#;

    #[test]
    fn a_part_is_taken_in_and_the_template_has_the_last_word() {
        let template = r#"
            include = ["p"]
            [vars]
            a = "own"
            [[resources]]
            kind = "directory"
            path = "/own"
            [[handlers]]
            id = "php"
            command = ["true"]
        "#;
        let catalogue = catalogue(PART, template).expect("loads");
        let composed = catalogue.get("x").expect("is there");
        let manifest = &composed.manifest;
        assert_eq!(manifest.scope, Scope::Service);
        assert_eq!(manifest.requires, ["web"]);
        assert!(manifest.params.contains_key("port"));
        assert_eq!(
            (manifest.vars["a"].as_str(), manifest.vars["b"].as_str()),
            (Some("own"), Some("part"))
        );
        let paths: Vec<_> = manifest
            .resources
            .iter()
            .map(|r| r.fields["path"].as_str())
            .collect();
        assert_eq!(paths, [Some("/part"), Some("/own")]);
        let handlers: Vec<_> = manifest.handlers.iter().map(|h| h["id"].as_str()).collect();
        assert_eq!(handlers, [Some("php"), Some("nginx")]);
        assert_eq!(
            (
                composed.files["note"].as_str(),
                composed.files["only-here"].as_str()
            ),
            ("x", "p")
        );
    }

    #[test]
    fn only_fit_parts_can_be_included() {
        for (part, template, complaint) in [
            (PART, "include = [\"q\"]", "no service template \"q\""),
            ("", "include = [\"p\"]", "p has no scope = \"part\""),
            (
                "scope = \"part\"\nurl = \"https://x/\"",
                "include = [\"p\"]",
                "a part has no url",
            ),
            (PART, "scope = \"part\"\ninclude = [\"p\"]", ""),
        ] {
            let outcome = catalogue(part, template).and_then(|catalogue| catalogue.get("x").map(drop));
            if complaint.is_empty() {
                assert!(outcome.is_ok(), "{outcome:?}");
            } else {
                let error = outcome.expect_err(complaint).to_string();
                assert!(error.contains("include") && error.contains(complaint), "{error}");
            }
        }
    }
}
