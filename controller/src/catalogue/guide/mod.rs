//! The reference in `templates/README.md`, made from the definitions themselves: their documentation, their types, their
//! defaults, and examples from the templates that come with the program. A test holds the guide against it.

mod definitions;
mod tables;

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use definitions::{Definition, Field, definition, shown_default};
use tables::{AFTER, BEFORE, COMPLETED, DESIRED, Table};

use super::Catalogue;
use super::lint::lint;

/// Where the reference stands in the guide.
const BEGIN: &str = "<!-- The reference begins. It is made from the definitions: see CONTRIBUTING.md. -->";
const END: &str = "<!-- The reference ends. -->";

/// A folder of templates beside this file: one that uses what those that come with the program do without.
const EXAMPLES: &str = "controller/src/catalogue/guide/examples";

/// Set to bring the guide up to date.
const UPDATE: &str = "ALLMENDE_UPDATE_GUIDE";

struct Reference {
    root: PathBuf,
    /// The templates that come with the program, for examples.
    templates: Vec<toml::Value>,
}

impl Reference {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let services = root.join("templates/services");
        let mut folders: Vec<PathBuf> = fs::read_dir(services)
            .expect("is there")
            .map(|entry| entry.expect("is readable").path())
            .filter(|path| path.is_dir())
            .collect();
        folders.sort();
        // What is best to begin with comes first.
        let first = ["skeleton", "services/dokuwiki"];
        folders.splice(0..0, first.map(|folder| root.join("templates").join(folder)));
        // Whatever the others do without.
        folders.push(root.join(EXAMPLES).join("example"));
        let read = |folder: PathBuf| {
            let text = fs::read_to_string(folder.join("service.toml")).expect("is there");
            toml::from_str::<toml::Table>(&text).expect("parses").into()
        };
        Self {
            templates: folders.into_iter().map(read).collect(),
            root,
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for table in BEFORE {
            self.table(table, &mut text);
        }
        let resources = self.source("agent/src/resources/mod.rs");
        let kinds = definition(&resources, "ResourceSpec").fields;
        let mut kinds: Vec<(String, String, String)> = kinds
            .into_iter()
            // The controller alone writes these.
            .filter(|kind| kind.name != "removal")
            .map(|kind| {
                let file = format!("agent/src/resources/{}.rs", kind.name);
                let name = camel(&kind.name) + "Spec";
                (kind.name, file, name)
            })
            .filter(|(kind, ..)| COMPLETED.iter().all(|(completed, _)| completed != kind))
            .collect();
        kinds.extend(COMPLETED.iter().map(|(kind, name)| {
            let name = (*name).to_owned();
            ((*kind).to_owned(), DESIRED.to_owned(), name)
        }));
        kinds.sort();
        for (kind, file, name) in kinds {
            let source = self.source(&file);
            let definition = definition(&source, &name);
            let before = match kind.as_str() {
                "file" => {
                    "In place of `content`: `template`, a file under `files/`, rendered; or `source`, a file there as it is."
                }
                _ => "",
            };
            self.section(
                &format!("Resource of the kind `{kind}`"),
                &format!("resources:{kind}"),
                before,
                &source,
                definition,
                &mut text,
            );
        }
        for table in AFTER {
            self.table(table, &mut text);
        }
        text
    }

    fn source(&self, file: &str) -> String {
        fs::read_to_string(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    fn table(&self, Table(heading, key, file, name, before): &Table, text: &mut String) {
        let source = self.source(file);
        let definition = definition(&source, name);
        self.section(heading, key, before, &source, definition, text);
    }

    fn section(
        &self,
        heading: &str,
        key: &str,
        before: &str,
        source: &str,
        definition: Definition,
        text: &mut String,
    ) {
        let _ = write!(text, "\n### {heading}\n{}\n", definition.doc);
        if !before.is_empty() {
            let _ = writeln!(text, "\n{before}");
        }
        let fields = definition.fields.iter().filter(|field| !field.flattened);
        if definition.fields.iter().all(|field| field.kind.is_empty()) {
            text.push_str("\n| value | meaning |\n|---|---|\n");
            for Field { name, doc, .. } in fields {
                let _ = writeln!(text, "| `{name}` | {doc} |");
            }
            return;
        }
        text.push_str("\n| field | needed | meaning | for example |\n|---|---|---|---|\n");
        for field in fields {
            let needed = match &field.default {
                Some(default) => shown_default(source, default),
                None if field.kind.starts_with("Option<") => "no".to_owned(),
                None => "yes".to_owned(),
            };
            let example = self.example(key, &field.name).unwrap_or_default();
            let _ = writeln!(
                text,
                "| `{}` | {needed} | {} | {example} |",
                field.name, field.doc
            );
        }
    }

    /// The first short value that a template gives this field. `resources:file` are the resources of this kind, `params.*`
    /// all params.
    fn example(&self, key: &str, field: &str) -> Option<String> {
        let found = self.templates.iter().flat_map(|template| {
            let mut here = vec![template];
            for part in key.split('.').filter(|part| !part.is_empty()) {
                let (name, kind) = part.split_once(':').unwrap_or((part, ""));
                here = here
                    .into_iter()
                    .flat_map(|value| match (name, value) {
                        ("*", toml::Value::Table(table)) => table.values().collect(),
                        _ => value.get(name).into_iter().collect::<Vec<_>>(),
                    })
                    .flat_map(|value| match value {
                        toml::Value::Array(items) => items.iter().collect(),
                        value => vec![value],
                    })
                    .filter(|value| {
                        kind.is_empty() || value.get("kind").and_then(toml::Value::as_str) == Some(kind)
                    })
                    .collect();
            }
            here.into_iter()
                .filter_map(|value| value.get(field))
                .collect::<Vec<_>>()
        });
        let path = key.split('.').map(|part| match part.split(':').next() {
            Some("*") => "NAME",
            Some(name) => name,
            None => part,
        });
        let path: Vec<&str> = path.filter(|part| !part.is_empty()).chain([field]).collect();
        found
            .map(|value| shown(&path.join("."), value))
            .map(|text| text.replace('|', "\\|"))
            .find(|text| text.chars().count() <= 170)
            .map(|text| format!("`{text}`"))
    }
}

/// A value as authors write it: what has tables in it by its heading.
fn shown(path: &str, value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => format!("{text:?}"),
        toml::Value::Array(items) if items.iter().any(toml::Value::is_table) => format!("[[{path}]]"),
        toml::Value::Table(table)
            if table
                .values()
                .all(|value| value.is_table() && value.get("en").is_none()) =>
        {
            format!("[{path}.NAME]")
        }
        toml::Value::Table(table) if table.values().any(|value| value.is_table() || value.is_array()) => {
            format!("[{path}]")
        }
        value => value.to_string(),
    }
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

#[test]
fn the_guide_says_what_the_definitions_say() {
    let reference = Reference::new();
    let path = reference.root.join("templates/README.md");
    let guide = fs::read_to_string(&path).expect("the guide is there");
    let (before, rest) = guide.split_once(BEGIN).expect("the guide has a reference");
    let (_, after) = rest.split_once(END).expect("the reference has an end");
    let wanted = format!("{before}{BEGIN}\n{}\n{END}{after}", reference.text());
    if std::env::var_os(UPDATE).is_some() {
        fs::write(&path, &wanted).expect("writes the guide");
    }
    assert!(
        guide == wanted || std::env::var_os(UPDATE).is_some(),
        "templates/README.md is out of date: {UPDATE}=1 cargo test -p allmende guide"
    );
}

#[test]
fn the_rare_examples_are_right() {
    let examples = Reference::new().root.join(EXAMPLES);
    let catalogue = Catalogue::load(&[examples]).expect("loads");
    let template = catalogue.get("example").expect("is there");
    assert_eq!(lint(&catalogue, template), []);
}

#[test]
fn every_field_of_the_reference_has_a_meaning_and_an_example() {
    for line in Reference::new()
        .text()
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<&str> = line.split(" | ").collect();
        let meaning = if cells.len() > 2 { cells[2] } else { cells[1] };
        assert!(meaning.trim_matches([' ', '|']).len() >= 4, "{line}");
        let has_example = |cell: &&str| cell.trim_matches([' ', '|']).len() >= 2;
        assert!(
            cells.len() < 4 || cells[1].starts_with("default") || cells.last().is_some_and(has_example),
            "no template that comes with the program uses it, so {EXAMPLES} has to: {line}"
        );
        assert!(!line.contains("super::"), "{line}");
    }
}
