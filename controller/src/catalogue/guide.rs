//! The reference in `templates/README.md`, made from the definitions themselves: their documentation, their types, their
//! defaults, and examples from the templates that come with the program. A test holds the guide against it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the reference stands in the guide.
const BEGIN: &str = "<!-- The reference begins. It is made from the definitions: see CONTRIBUTING.md. -->";
const END: &str = "<!-- The reference ends. -->";

/// Set to bring the guide up to date.
const UPDATE: &str = "ALLMENDE_UPDATE_GUIDE";

/// One table of the reference: its heading, the key that its fields follow in a `service.toml`, the definition, and what is
/// said before it.
struct Table(
    &'static str,
    &'static str,
    &'static str,
    &'static str,
    &'static str,
);

const CATALOGUE: &str = "controller/src/catalogue/template.rs";
const PARAMETER: &str = "controller/src/catalogue/parameter.rs";
const DESIRED: &str = "controller/src/catalogue/desired.rs";
const MESSAGE: &str = "agent/src/protocol/message.rs";
const CHECK: &str = "controller/src/catalogue/sections/check.rs";
const BACKUP: &str = "controller/src/catalogue/sections/backup.rs";
const STEP: &str = "controller/src/catalogue/sections/step.rs";
const ACTION: &str = "controller/src/catalogue/sections/action.rs";
const PRIVACY: &str = "controller/src/catalogue/sections/privacy.rs";
const PERSON: &str = "controller/src/model/person.rs";

/// Before and after the kinds of resources.
const BEFORE: &[Table] = &[
    Table("The file", "", CATALOGUE, "Manifest", ""),
    Table(
        "Texts",
        "title",
        CATALOGUE,
        "Text",
        "Wherever people read: `{ de = \"…\", en = \"…\" }`.",
    ),
    Table("`scope`", "", CATALOGUE, "Scope", ""),
    Table("`[login]`", "login", CATALOGUE, "Login", ""),
    Table("`[params.NAME]`", "params.*", PARAMETER, "Parameter", ""),
    Table("Types of parameters", "", PARAMETER, "ParameterType", ""),
    Table("`[[releases]]`", "releases", CATALOGUE, "Release", ""),
    Table("`[upgrade]`", "upgrade", CATALOGUE, "Upgrade", ""),
    Table("Steps of an upgrade", "", CATALOGUE, "Step", ""),
    Table("`[[requirements]]`", "requirements", CATALOGUE, "Requirement", ""),
    Table(
        "`[[resources]]`",
        "resources",
        CATALOGUE,
        "ResourceEntry",
        "Beside these, each kind has fields of its own.",
    ),
];

const AFTER: &[Table] = &[
    Table("`[[handlers]]`", "handlers", MESSAGE, "Handler", ""),
    Table(
        "What a handler does",
        "handlers",
        MESSAGE,
        "HandlerAct",
        "One of these:",
    ),
    Table("Actions on units", "", MESSAGE, "UnitAction", ""),
    Table(
        "`[[checks]]`",
        "checks",
        CHECK,
        "Check",
        "Beside these, `kind` and its fields, and `when`: an expression; the check is left out when it is false.",
    ),
    Table("Kinds of checks", "", CHECK, "Question", ""),
    Table("Check of the kind `http`", "checks:http", CHECK, "HttpCheck", ""),
    Table(
        "`json` of an http check",
        "checks:http.json",
        CHECK,
        "JsonExpectation",
        "",
    ),
    Table("Check of the kind `tcp`", "checks:tcp", CHECK, "TcpCheck", ""),
    Table("Check of the kind `tls`", "checks:tls", CHECK, "TlsCheck", ""),
    Table("Check of the kind `unit`", "checks:unit", CHECK, "UnitCheck", ""),
    Table(
        "Check of the kind `command`",
        "checks:command",
        CHECK,
        "CommandCheck",
        "",
    ),
    Table(
        "Check of the kind `freshness`",
        "checks:freshness",
        CHECK,
        "FreshnessCheck",
        "",
    ),
    Table("`[backup]`", "backup", BACKUP, "Backup", ""),
    Table(
        "Steps",
        "backup.quiesce",
        STEP,
        "Step",
        "In `[[backup.quiesce]]`, `[[backup.resume]]`, `[[restore.before]]`, `[[restore.after]]` and, with a default of 60 seconds, in actions:",
    ),
    Table(
        "`[[backup.dumps]]`",
        "backup.dumps",
        BACKUP,
        "Dump",
        "Beside these, `kind` and its fields.",
    ),
    Table("Kinds of dumps", "", BACKUP, "DumpSource", ""),
    Table(
        "Dump of the kind `postgres` or `mariadb`",
        "backup.dumps",
        BACKUP,
        "DatabaseDump",
        "",
    ),
    Table(
        "Dump of the kind `command`",
        "backup.dumps:command",
        BACKUP,
        "CommandDump",
        "",
    ),
    Table("`[restore]`", "restore", BACKUP, "Restore", ""),
    Table("`[verify]`", "verify", BACKUP, "Verify", ""),
    Table("`[[verify.counts]]`", "verify.counts", BACKUP, "RowCount", ""),
    Table("`[[verify.files]]`", "verify.files", BACKUP, "SomeFiles", ""),
    Table(
        "`[actions.NAME]`",
        "actions.*",
        ACTION,
        "Action",
        "Beside these, the fields of a step.",
    ),
    Table("`risk` of an action", "", ACTION, "ActionRisk", ""),
    Table("`output` of an action", "", ACTION, "OutputKind", ""),
    Table("Roles", "", PERSON, "Role", ""),
    Table("`[[privacy]]`", "privacy", PRIVACY, "PersonalData", ""),
    Table("Categories of data", "", PRIVACY, "DataCategory", ""),
];

/// Resources that the controller completes before the agent gets them.
const COMPLETED: &[(&str, &str)] = &[("archive", "WantedArchive"), ("certificate", "WantedCertificate")];

/// A field of a struct, or a variant of an enum.
#[derive(Debug, Default, PartialEq)]
struct Field {
    name: String,
    doc: String,
    /// Empty for a variant.
    kind: String,
    default: Option<String>,
    flattened: bool,
}

/// A definition in the sources.
struct Definition {
    doc: String,
    fields: Vec<Field>,
}

struct Reference {
    root: PathBuf,
    /// The templates that come with the program, for examples.
    templates: Vec<toml::Value>,
}

impl Reference {
    fn new() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let templates = [
            "skeleton",
            "services/dokuwiki",
            "services/nextcloud",
            "services/base",
        ];
        let read = |folder: &str| {
            let path = root.join("templates").join(folder).join("service.toml");
            let text = fs::read_to_string(path).expect("is there");
            toml::from_str::<toml::Table>(&text).expect("parses").into()
        };
        Self {
            templates: templates.map(read).into(),
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
        found
            .filter(|value| !matches!(value, toml::Value::Table(_)) || key.is_empty() || field == "env")
            .map(|value| match value {
                toml::Value::String(text) => format!("{text:?}"),
                value => value.to_string(),
            })
            .map(|text| text.replace('|', "\\|"))
            .find(|text| text.chars().count() <= 70)
            .map(|text| format!("`{text}`"))
    }
}

/// What serde takes when a field is left out.
fn shown_default(source: &str, function: &str) -> String {
    if function.is_empty() {
        return "no".to_owned();
    }
    let name = function.rsplit("::").next().unwrap_or(function);
    let body = source
        .split_once(&format!("fn {name}() -> "))
        .and_then(|(_, rest)| rest.split_once("{\n"))
        .and_then(|(_, rest)| rest.split_once("\n}"))
        .map(|(body, _)| body.trim());
    let value = match (body, name) {
        (Some("Span { seconds: 300 }"), _) => "\"5m\"".to_owned(),
        (Some(body), _) => body
            .trim_start_matches("vec!")
            .trim_end_matches(".to_owned()")
            .to_owned(),
        // Shared by several definitions.
        (None, "yes") => "true".to_owned(),
        (None, "one_minute") => "60".to_owned(),
        (None, name) => format!("\"{name}\""),
    };
    format!("default `{value}`")
}

/// Reads a definition out of a source file, as rustfmt leaves it.
fn definition(source: &str, name: &str) -> Definition {
    let lines: Vec<&str> = source.lines().collect();
    let is_it = |line: &&str| {
        ["struct", "enum"]
            .iter()
            .any(|kind| **line == format!("pub {kind} {name} {{"))
    };
    let start = lines
        .iter()
        .position(is_it)
        .unwrap_or_else(|| panic!("{name} is not defined there"));
    let mut doc = Vec::new();
    for line in lines.iter().take(start).rev() {
        match line.strip_prefix("///") {
            Some(text) => doc.insert(0, text.trim()),
            None if line.starts_with("#[") => {}
            None => break,
        }
    }
    let mut fields = Vec::new();
    let mut field = Field::default();
    for line in lines.iter().skip(start + 1).take_while(|line| **line != "}") {
        let line = line.trim();
        if let Some(text) = line.strip_prefix("///") {
            if !field.doc.is_empty() {
                field.doc.push(' ');
            }
            field.doc.push_str(text.trim());
        } else if line.starts_with("#[") {
            attribute(line, &mut field);
        } else if let Some((name, kind)) = line.trim_start_matches("pub ").split_once(": ") {
            let visible = field.flattened || !field.doc.is_empty();
            field.kind = kind.trim_end_matches(',').to_owned();
            if field.name.is_empty() {
                field.name = name.to_owned();
            }
            let done = std::mem::take(&mut field);
            if visible {
                fields.push(done);
            }
        } else if line.ends_with('{') {
            // A variant with fields of its own: they say enough.
            field = Field::default();
        } else if line.ends_with(',') && line.starts_with(char::is_uppercase) {
            let name = line.split(['(', ',']).next().unwrap_or_default();
            field.name = snake(name);
            fields.push(std::mem::take(&mut field));
        }
    }
    Definition {
        doc: tidy(&doc.join(" ")),
        fields: fields
            .into_iter()
            .map(|field| Field {
                doc: tidy(&field.doc),
                ..field
            })
            .collect(),
    }
}

/// What serde is told about a field.
fn attribute(line: &str, field: &mut Field) {
    let inside = |name: &str| {
        let (_, rest) = line.split_once(&format!("{name} = \""))?;
        Some(rest.split('"').next().unwrap_or_default().to_owned())
    };
    if !line.starts_with("#[serde(") {
        return;
    }
    field.flattened |= line.contains("flatten");
    if let Some(name) = inside("rename") {
        field.name = name;
    }
    if line.contains("default") {
        field.default = Some(inside("default").unwrap_or_default());
    }
}

/// Documentation without links between definitions.
fn tidy(doc: &str) -> String {
    let mut text = doc.replace("[`", "`").replace("`]", "`").replace('|', "\\|");
    for (path, plain) in [
        ("`FORMAT`", "1"),
        ("; see `super::Backup`", ""),
        ("; see `super::Restore`", ""),
        ("; see `super::Verify`", ""),
        ("; see `super::PersonalData`", ""),
        ("`OutputKind::Json`", "`output = \"json\"`"),
        ("`Resource::notify`", "`notify`"),
        ("; not rendered yet", ""),
        (", before anything in it is rendered", ""),
    ] {
        text = text.replace(path, plain);
    }
    text
}

fn camel(name: &str) -> String {
    name.split('_')
        .map(|part| part[..1].to_uppercase() + &part[1..])
        .collect()
}

fn snake(name: &str) -> String {
    let mut snake = String::new();
    for character in name.chars() {
        if character.is_uppercase() && !snake.is_empty() {
            snake.push('_');
        }
        snake.extend(character.to_lowercase());
    }
    snake
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
fn every_field_of_the_reference_has_a_meaning() {
    for line in Reference::new()
        .text()
        .lines()
        .filter(|line| line.starts_with("| `"))
    {
        let cells: Vec<&str> = line.split(" | ").collect();
        let meaning = if cells.len() > 2 { cells[2] } else { cells[1] };
        assert!(meaning.trim_matches([' ', '|']).len() >= 4, "{line}");
        assert!(!line.contains("super::"), "{line}");
    }
}

#[test]
fn definitions_are_read_as_they_stand_there() {
    let source = "
/// A thing.
/// Of two lines.
#[derive(Debug)]
pub struct Thing {
    /// Its name.
    #[serde(rename = \"type\", default = \"root\")]
    pub kind: String,
    /// Perhaps
    /// longer.
    pub size: Option<u64>,
}

fn root() -> String {
    \"root\".to_owned()
}

/// Which.
pub enum Which {
    /// This.
    ThisOne,
    /// That.
    That(Thing),
}
";
    let thing = definition(source, "Thing");
    assert_eq!(thing.doc, "A thing. Of two lines.");
    assert_eq!(
        (thing.fields[0].name.as_str(), thing.fields[1].doc.as_str()),
        ("type", "Perhaps longer.")
    );
    let default = thing.fields[0]
        .default
        .as_deref()
        .map(|name| shown_default(source, name));
    assert_eq!(default.as_deref(), Some("default `\"root\"`"));
    let names: Vec<String> = definition(source, "Which")
        .fields
        .into_iter()
        .map(|field| field.name)
        .collect();
    assert_eq!(names, ["this_one", "that"]);
}
