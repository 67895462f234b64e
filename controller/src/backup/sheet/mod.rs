//! The emergency sheet of an organisation: everything that brings its backups back with restic alone. The words are in
//! `templates/reports/`; `docs/emergency.md` documents what is on it.

mod address;
mod pdf;
#[cfg(test)]
mod tests;

use include_dir::{Dir, include_dir};
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior};
use serde::Serialize;

use crate::catalogue::DumpSource;
use crate::model::{Language, Name};

pub use address::SheetTarget;
pub use pdf::pdf;

static REPORTS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/reports");

/// What is on a sheet. It has secrets: whoever holds one answers for where it goes.
#[derive(Serialize)]
pub struct Sheet {
    /// The organisation's title.
    pub organisation: String,
    /// The day on which it was made, in words.
    pub day: String,
    /// What opens all repositories of the organisation.
    pub password: String,
    /// Everything that was ever backed up.
    pub services: Vec<SheetService>,
}

/// A service on a sheet.
#[derive(Serialize)]
pub struct SheetService {
    /// What it is called.
    pub name: Name,
    /// What it is, for people.
    pub title: String,
    /// Where it lived, as far as is known.
    pub host: Option<Name>,
    /// Where its backups are.
    pub targets: Vec<SheetTarget>,
    /// The files in its backups.
    pub paths: Vec<String>,
    /// What was written out.
    pub dumps: Vec<SheetDump>,
}

/// A dump on a sheet.
#[derive(Serialize)]
pub struct SheetDump {
    id: String,
    kind: &'static str,
    database: String,
    quoted: String,
    create: String,
    load: String,
}

impl SheetDump {
    /// A dump as its template describes it; one of a service that is gone is only known by its id.
    pub fn new(id: &str, source: Option<&DumpSource>) -> Self {
        let (kind, database, load) = match source {
            Some(DumpSource::Postgres(dump)) => ("postgres", dump.database.clone(), String::new()),
            Some(DumpSource::Mariadb(dump)) => ("mariadb", dump.database.clone(), String::new()),
            Some(DumpSource::Command(dump)) => {
                let load: Vec<String> = dump.load.iter().map(|word| quoted(word)).collect();
                let load = format!("runuser -u {} -- {}", quoted(&dump.user), load.join(" "));
                ("command", String::new(), load)
            }
            None => ("unknown", String::new(), String::new()),
        };
        Self {
            id: id.to_owned(),
            kind,
            quoted: quoted(&database),
            create: quoted(&format!("CREATE DATABASE `{database}`")),
            database,
            load,
        }
    }
}

impl Sheet {
    /// The sheet as text: lines that begin with `#` are headings, lines that begin with four spaces are to be typed.
    pub fn text(&self, language: Language) -> String {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        if let Ok(syntax) = SyntaxConfig::builder()
            .trim_blocks(true)
            .lstrip_blocks(true)
            .build()
        {
            environment.set_syntax(syntax);
        }
        let text = REPORTS
            .get_file(format!("emergency.{language}.txt"))
            .and_then(|file| file.contents_utf8())
            .unwrap_or_default();
        // A template that cannot be filled in is found by the tests.
        environment
            .render_str(text, Serde(self))
            .unwrap_or_else(|error| error.to_string())
    }
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || "/._-:@%+=,".contains(letter);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}
