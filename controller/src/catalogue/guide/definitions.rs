//! Reading definitions out of the sources, as rustfmt leaves them: names, documentation, defaults.

/// A field of a struct, or a variant of an enum.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) doc: String,
    /// Empty for a variant.
    pub(super) kind: String,
    pub(super) default: Option<String>,
    pub(super) flattened: bool,
}

/// A definition in the sources.
pub(super) struct Definition {
    pub(super) doc: String,
    pub(super) fields: Vec<Field>,
}

/// What serde takes when a field is left out.
pub(super) fn shown_default(source: &str, function: &str) -> String {
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
        (Some(body), _) if body.starts_with("Span {") => format!("\"{}\"", shown_span(body)),
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

/// `Span { seconds: 3 * 86_400 }` as authors write it.
fn shown_span(body: &str) -> String {
    let numbers = body.trim_start_matches("Span { seconds: ").trim_end_matches(" }");
    let factor = |text: &str| text.trim().replace('_', "").parse::<u64>();
    let seconds: u64 = numbers
        .split('*')
        .map(|text| factor(text).expect("a number"))
        .product();
    let units = [(86_400, 'd'), (3600, 'h'), (60, 'm'), (1, 's')];
    let fits = units.iter().find(|(length, _)| seconds.is_multiple_of(*length));
    let (length, unit) = fits.expect("seconds fit");
    format!("{}{unit}", seconds / length)
}

/// Reads a definition out of a source file, as rustfmt leaves it.
pub(super) fn definition(source: &str, name: &str) -> Definition {
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
