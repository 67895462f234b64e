//! Parameters of service templates: their types and how values are checked.

use minijinja::Value;
use serde::{Deserialize, Serialize};

use crate::model::Text;

/// One thing that has to be known before a service can be set up.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// What values it takes.
    #[serde(rename = "type")]
    pub kind: ParameterType,
    /// What it means.
    pub help: Text,
    /// A value for the help and the linter.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub example: Option<String>,
    /// The value when none is given: a literal, or an expression in a string.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default: Option<toml::Value>,
    /// Whether it may be left out although it has no default.
    #[serde(default)]
    pub optional: bool,
    /// The values of a choice.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<String>,
    /// The smallest integer, or the least length of a text or secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<i64>,
    /// The largest integer, or the greatest length of a text or secret.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
    /// Why it cannot change once the service is set up; left out when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fixed: Option<Text>,
    /// How many characters a generated secret has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub length: Option<usize>,
}

/// What values a parameter takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ParameterType {
    /// A host name with at least two labels, in lower case.
    Domain,
    /// A mail address.
    Email,
    /// One line without control characters.
    Text,
    /// Lower-case letters, digits and `-`, beginning with a letter, at most 32.
    Name,
    /// One of `choices`.
    Choice,
    /// A whole number.
    Integer,
    /// A TCP or UDP port.
    Port,
    /// `true` or `false`.
    Boolean,
    /// Digits and dots.
    Version,
    /// An absolute path on the host.
    Path,
    /// A file or folder on the controller, or an https URL.
    Source,
    /// A SHA-256 hash in hex.
    Sha256,
    /// A secret; lives in the vault.
    Secret,
}

/// Characters of a generated secret when the parameter does not say.
const SECRET_LENGTH: usize = 32;

/// The shortest secret: anything shorter could not be masked without masking half of a log.
const SHORTEST_SECRET: usize = 8;

impl Parameter {
    /// Whether it is a secret.
    pub fn is_secret(&self) -> bool {
        self.kind == ParameterType::Secret
    }

    /// How many characters a generated value has.
    pub fn generated_length(&self) -> usize {
        self.length.unwrap_or(SECRET_LENGTH)
    }

    /// Whether a value has to be given.
    pub fn required(&self) -> bool {
        self.default.is_none() && !self.optional && !self.is_secret()
    }

    /// The value of an optional parameter that was left out.
    pub fn empty(&self) -> Value {
        match self.kind {
            ParameterType::Integer | ParameterType::Port => Value::from(0),
            ParameterType::Boolean => Value::from(false),
            _ => Value::from(""),
        }
    }

    /// Checks a value and gives it its type.
    ///
    /// # Errors
    /// What is expected instead, as the end of a sentence; never contains the value of a secret.
    pub fn check(&self, text: &str) -> Result<Value, String> {
        let fits = |fits: bool, expected: &str| {
            if fits {
                Ok(Value::from(text))
            } else {
                Err(expected.to_owned())
            }
        };
        match self.kind {
            ParameterType::Domain => fits(
                is_domain(text),
                "expected a domain in lower case like cloud.example.org",
            ),
            ParameterType::Email => fits(is_email(text), "expected a mail address like anna@example.org"),
            ParameterType::Text => {
                self.check_length(text)?;
                fits(
                    !text.chars().any(char::is_control),
                    "expected one line of text without control characters",
                )
            }
            ParameterType::Name => fits(
                text.parse::<crate::model::Name>().is_ok(),
                "expected a to z, 0 to 9 and -, beginning with a letter",
            ),
            ParameterType::Choice => fits(
                self.choices.iter().any(|choice| choice == text),
                &format!("expected one of {}", self.choices.join(", ")),
            ),
            ParameterType::Integer => self.check_integer(text, i64::MIN, i64::MAX),
            ParameterType::Port => self.check_integer(text, 1, 65535),
            ParameterType::Boolean => match text {
                "true" | "yes" | "on" => Ok(Value::from(true)),
                "false" | "no" | "off" => Ok(Value::from(false)),
                _ => Err("expected true or false".to_owned()),
            },
            ParameterType::Version => fits(is_version(text), "expected digits and dots like 34.0.1"),
            ParameterType::Path => fits(
                is_absolute_path(text),
                "expected an absolute path without \"..\" and control characters",
            ),
            ParameterType::Source => fits(
                is_absolute_path(text) || is_https_url(text),
                "expected the path of a file or folder here, or an https:// address",
            ),
            ParameterType::Sha256 => fits(
                text.len() == 64 && text.chars().all(|c| matches!(c, '0'..='9' | 'a'..='f')),
                "expected 64 hexadecimal digits in lower case",
            ),
            ParameterType::Secret => {
                self.check_length(text)?;
                fits(
                    text.chars().count() >= SHORTEST_SECRET && !text.chars().any(char::is_control),
                    &format!(
                        "expected at least {SHORTEST_SECRET} characters, none of them a control character"
                    ),
                )
            }
        }
    }

    fn check_integer(&self, text: &str, least: i64, greatest: i64) -> Result<Value, String> {
        let least = self.min.unwrap_or(least);
        let greatest = self.max.unwrap_or(greatest);
        match text.parse::<i64>() {
            Ok(number) if (least..=greatest).contains(&number) => Ok(Value::from(number)),
            _ => Err(format!("expected a whole number from {least} to {greatest}")),
        }
    }

    fn check_length(&self, text: &str) -> Result<(), String> {
        let length = text.chars().count() as i64;
        if self.min.is_some_and(|min| length < min) || self.max.is_some_and(|max| length > max) {
            let bound = |bound: Option<i64>, word: &str| bound.map(|n| format!("{word} {n} characters"));
            let bounds: Vec<String> = [bound(self.min, "at least"), bound(self.max, "at most")]
                .into_iter()
                .flatten()
                .collect();
            return Err(format!("expected {}", bounds.join(" and ")));
        }
        Ok(())
    }
}

fn is_domain(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    text.len() <= 253 && text.contains('.') && text.split('.').all(label)
}

fn is_email(text: &str) -> bool {
    let local = |c: char| c.is_ascii_alphanumeric() || ".!#$%&*+-/=?^_`{|}~".contains(c);
    text.split_once('@').is_some_and(|(name, domain)| {
        (1..=64).contains(&name.len())
            && name.chars().all(local)
            && !name.starts_with('.')
            && !name.ends_with('.')
            && is_domain(domain)
    })
}

fn is_version(text: &str) -> bool {
    text.len() <= 32
        && text
            .split('.')
            .all(|part| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit()))
}

fn is_absolute_path(text: &str) -> bool {
    text.starts_with('/')
        && text.len() <= 4096
        && !text.chars().any(char::is_control)
        && !text.split('/').any(|part| part == "..")
}

fn is_https_url(text: &str) -> bool {
    text.strip_prefix("https://")
        .is_some_and(|rest| !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parameter(kind: ParameterType) -> Parameter {
        Parameter {
            kind,
            help: Text {
                de: "Hilfe".to_owned(),
                en: "help".to_owned(),
            },
            example: None,
            default: None,
            optional: false,
            choices: vec!["internal".to_owned(), "files".to_owned()],
            min: None,
            max: None,
            fixed: None,
            length: None,
        }
    }

    #[test]
    fn a_domain_full_of_metacharacters_is_refused() {
        let domain = parameter(ParameterType::Domain);
        for bad in [
            "cloud.kita.test; return 200",
            "a.b\n[resources]",
            "a.b\" \"",
            "$(reboot).test",
            "`id`.test",
            "{{ secrets }}.test",
            "Cloud.test",
            "localhost",
            "a..b",
            "-a.b",
            "a.b.",
            "*.a.b",
            "",
        ] {
            assert!(domain.check(bad).is_err(), "{bad:?}");
        }
        assert!(domain.check("cloud.kita-sonne.test").is_ok());
    }

    #[test]
    fn each_type_says_what_it_expects() {
        use ParameterType::{
            Boolean, Choice, Email, Integer, Name, Path, Port, Secret, Sha256, Source, Version,
        };
        for (kind, good, bad) in [
            (Email, "anna+x@kita.example", "anna"),
            (Name, "admin", "Admin"),
            (Choice, "files", "acme"),
            (Integer, "-7", "7.5"),
            (Port, "443", "70000"),
            (Boolean, "no", "maybe"),
            (Version, "34.0.1", "34.0.1-rc1"),
            (Path, "/etc/ssl/x.pem", "/etc/../root"),
            (Source, "https://example.org/x.tar", "http://example.org/x.tar"),
            (Secret, "correct horse", "short"),
        ] {
            assert!(parameter(kind).check(good).is_ok(), "{kind:?} {good}");
            assert!(parameter(kind).check(bad).is_err(), "{kind:?} {bad}");
        }
        assert!(parameter(Sha256).check(&"0a".repeat(32)).is_ok());
        assert!(parameter(Sha256).check("0a").is_err());
    }

    #[test]
    fn bounds_hold_for_numbers_and_lengths() {
        let mut workers = parameter(ParameterType::Integer);
        (workers.min, workers.max) = (Some(1), Some(64));
        assert_eq!(
            workers.check("65"),
            Err("expected a whole number from 1 to 64".to_owned())
        );
        let mut title = parameter(ParameterType::Text);
        title.max = Some(5);
        assert_eq!(
            title.check("zu lang"),
            Err("expected at most 5 characters".to_owned())
        );
    }

    proptest! {
        #[test]
        fn no_text_panics_and_no_accepted_domain_has_metacharacters(text in ".{0,80}") {
            for kind in [
                ParameterType::Domain, ParameterType::Email, ParameterType::Text, ParameterType::Name,
                ParameterType::Integer, ParameterType::Port, ParameterType::Version, ParameterType::Path,
                ParameterType::Source, ParameterType::Sha256, ParameterType::Secret,
            ] {
                let _ = parameter(kind).check(&text);
            }
            if parameter(ParameterType::Domain).check(&text).is_ok() {
                prop_assert!(text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-'));
            }
        }
    }
}
