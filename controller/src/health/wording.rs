//! What is said about answers, in both languages: `templates/locales/*.toml`, tables of `de` and `en`, filled in by minijinja.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use include_dir::{Dir, include_dir};
use minijinja::value::Serde;
use minijinja::{Environment, UndefinedBehavior, Value};
use serde::Serialize;

use crate::model::{Language, Text};

static LOCALES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../templates/locales");

static SENTENCES: LazyLock<Sentences> = LazyLock::new(Sentences::embedded);

/// All sentences, as templates named `disk.full.de`.
struct Sentences {
    environment: Environment<'static>,
}

/// Says a sentence in both languages.
///
/// A key that is missing, or a value that its sentence does not know, is a mistake in the program, found by its tests; a person
/// then reads the key.
pub fn say(key: &str, values: impl Serialize) -> Text {
    let values = Value::from(Serde(&values));
    let spoken = |language: Language| {
        let name = format!("{key}.{language}");
        SENTENCES
            .environment
            .get_template(&name)
            .and_then(|template| template.render(&values))
            .unwrap_or_else(|_| key.to_owned())
    };
    Text {
        de: spoken(Language::De),
        en: spoken(Language::En),
    }
}

impl Sentences {
    fn embedded() -> Self {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        for (key, text) in sentences() {
            for language in [Language::De, Language::En] {
                // Sentences that cannot be read are found by the test below.
                let _ = environment
                    .add_template_owned(format!("{key}.{language}"), text.spoken(language).to_owned());
            }
        }
        Self { environment }
    }
}

/// All sentences by key: the table's path, joined by dots.
fn sentences() -> BTreeMap<String, Text> {
    let mut found = BTreeMap::new();
    for file in LOCALES.files() {
        let table = file
            .contents_utf8()
            .and_then(|text| text.parse::<toml::Table>().ok());
        collect("", &table.unwrap_or_default(), &mut found);
    }
    found
}

fn collect(prefix: &str, table: &toml::Table, found: &mut BTreeMap<String, Text>) {
    for (name, value) in table {
        let toml::Value::Table(inner) = value else {
            continue;
        };
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match Text::deserialize_from(inner) {
            Some(text) => {
                found.insert(key, text);
            }
            None => collect(&key, inner, found),
        }
    }
}

impl Text {
    fn deserialize_from(table: &toml::Table) -> Option<Self> {
        table.clone().try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sentence_can_be_said_in_both_languages_with_the_same_values() {
        for file in LOCALES.files() {
            let text = file.contents_utf8().expect("text");
            text.parse::<toml::Table>()
                .unwrap_or_else(|error| panic!("{}: {error}", file.path().display()));
        }
        let sentences = sentences();
        assert!(!sentences.is_empty());
        for key in sentences.keys() {
            let values = |language: Language| {
                let name = format!("{key}.{language}");
                let template = SENTENCES.environment.get_template(&name);
                template
                    .unwrap_or_else(|error| panic!("{name}: {error}"))
                    .undeclared_variables(false)
            };
            assert_eq!(values(Language::De), values(Language::En), "{key}");
        }
    }
}
