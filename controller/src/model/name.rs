//! Names of organisations, hosts and services, and what is made from them on hosts.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A short name: `a` to `z`, `0` to `9` and `-`; begins with a letter, ends with a letter or digit, at most 32 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// The longest name, in characters.
const LONGEST: usize = 32;

/// A text that cannot be a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} cannot be a name: use a to z, 0 to 9 and -, beginning with a letter, at most {LONGEST} characters, for example \"{suggestion}\""
)]
pub struct InvalidName {
    text: String,
    suggestion: String,
}

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = (1..=LONGEST).contains(&text.len())
            && text.starts_with(|c: char| c.is_ascii_lowercase())
            && !text.ends_with('-')
            && text
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidName {
                text: text.to_owned(),
                suggestion: suggest(text),
            })
        }
    }
}

/// The nearest name to a text that is none.
fn suggest(text: &str) -> String {
    let mut name = String::new();
    for c in text.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' => name.push(c),
            'ä' => name.push_str("ae"),
            'ö' => name.push_str("oe"),
            'ü' => name.push_str("ue"),
            'ß' => name.push_str("ss"),
            _ if name.ends_with('-') || name.is_empty() => {}
            _ => name.push('-'),
        }
    }
    let name = name.trim_start_matches(|c: char| !c.is_ascii_lowercase());
    let short: String = name.chars().take(LONGEST).collect();
    match short.trim_end_matches('-') {
        "" => "kita-sonne".to_owned(),
        name => name.to_owned(),
    }
}

impl TryFrom<String> for Name {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// How a person points at a service: `cloud`, or `kita-sonne/cloud` where `cloud` alone is not enough.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ServiceRef {
    /// The organisation, when it was given.
    pub organisation: Option<Name>,
    /// The service.
    pub service: Name,
}

impl FromStr for ServiceRef {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.split_once('/') {
            Some((organisation, service)) => Self {
                organisation: Some(organisation.parse()?),
                service: service.parse()?,
            },
            None => Self {
                organisation: None,
                service: text.parse()?,
            },
        })
    }
}

impl TryFrom<String> for ServiceRef {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<ServiceRef> for String {
    fn from(reference: ServiceRef) -> Self {
        reference.to_string()
    }
}

impl fmt::Display for ServiceRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.organisation {
            Some(organisation) => write!(f, "{organisation}/{}", self.service),
            None => self.service.fmt(f),
        }
    }
}

/// The longest instance name: the longest Unix user name that every tool of Debian accepts.
const LONGEST_INSTANCE: usize = 31;

/// What a service is called on its host, as Unix user, directory, database, pool and unit: `kita-sonne_cloud`.
///
/// No name contains `_`, so two services never share an instance name. Where the name would be too long for a Unix user,
/// its end is replaced by a hash.
pub fn instance_name(organisation: &Name, service: &Name) -> String {
    let full = format!("{organisation}_{service}");
    if full.len() <= LONGEST_INSTANCE {
        return full;
    }
    let hash = Sha256::digest(full.as_bytes());
    let tail: String = hash.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    let head: String = full.chars().take(LONGEST_INSTANCE - tail.len() - 1).collect();
    format!("{head}_{tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_a_name_is_refused_with_the_nearest_one() {
        for (text, suggestion) in [
            ("KiTa Sonne", "kita-sonne"),
            ("Müßiggang e.V.", "muessiggang-e-v"),
            ("", "kita-sonne"),
            ("-x", "x"),
            ("42", "kita-sonne"),
            ("a;rm -rf /", "a-rm-rf"),
        ] {
            let error = text.parse::<Name>().expect_err(text);
            assert_eq!(error.suggestion, suggestion);
            suggestion.parse::<Name>().expect("a suggestion is a name");
        }
        assert!("a".repeat(33).parse::<Name>().is_err());
    }

    #[test]
    fn instance_names_are_unix_names_and_differ() {
        let name = |text: &str| text.parse::<Name>().expect(text);
        assert_eq!(
            instance_name(&name("kita-sonne"), &name("cloud")),
            "kita-sonne_cloud"
        );
        let long = |service| instance_name(&name("freie-beratungsstelle-nord-west"), &name(service));
        assert!(long("cloud").len() <= LONGEST_INSTANCE);
        assert_ne!(long("cloud"), long("cloud2"));
    }

    #[test]
    fn a_service_is_pointed_at_with_or_without_its_organisation() {
        let full: ServiceRef = "kita-sonne/cloud".parse().expect("parses");
        assert_eq!(full.to_string(), "kita-sonne/cloud");
        let short: ServiceRef = "cloud".parse().expect("parses");
        assert_eq!(short.organisation, None);
        assert!("a/b/c".parse::<ServiceRef>().is_err());
    }
}
