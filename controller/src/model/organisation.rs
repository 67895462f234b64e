//! Organisations and the people to call there.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Name;

/// A KiTa, association, school, flat-share or counselling centre.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Organisation {
    /// Short name, unique.
    pub name: Name,
    /// The name people use: "KiTa Sonne e.V.".
    pub title: String,
    /// What kind of organisation it is.
    pub sector: Sector,
    /// Town or address.
    pub place: Option<String>,
    /// Whom to call, the first first.
    pub contacts: Vec<Contact>,
}

/// What kind of organisation it is; decides which requirements apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Sector {
    /// Kindertagesstätte: photos of children.
    Kita,
    /// School.
    School,
    /// Verein.
    Association,
    /// Wohngemeinschaft.
    FlatShare,
    /// Beratungsstelle: case files.
    Counselling,
    /// Anything else.
    Other,
}

impl fmt::Display for Sector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Sector::Kita => "kita",
            Sector::School => "school",
            Sector::Association => "association",
            Sector::FlatShare => "flat-share",
            Sector::Counselling => "counselling",
            Sector::Other => "other",
        })
    }
}

/// Somebody to call: "Anna Muster, Leitung, 0431 123456, anna@kita-sonne.example".
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// Name.
    pub name: String,
    /// What they do there.
    pub role: Option<String>,
    /// Telephone number.
    pub phone: Option<String>,
    /// Mail address.
    pub email: Option<String>,
}

/// A text that is no contact.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no contact: give \"Name, role, telephone, mail\" with commas, at least the name and one way to reach them"
)]
pub struct InvalidContact(String);

impl FromStr for Contact {
    type Err = InvalidContact;

    /// Parts are told apart by how they look: `@` is a mail address, mostly digits a telephone number.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refuse = || InvalidContact(text.to_owned());
        let mut parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        let mut contact = Self {
            name: parts.next().ok_or_else(refuse)?.to_owned(),
            role: None,
            phone: None,
            email: None,
        };
        for part in parts {
            let digits = part.chars().filter(char::is_ascii_digit).count();
            let place = if part.contains('@') {
                &mut contact.email
            } else if digits >= 3 && part.chars().all(|c| c.is_ascii_digit() || " +-/()".contains(c)) {
                &mut contact.phone
            } else {
                &mut contact.role
            };
            if place.replace(part.to_owned()).is_some() {
                return Err(refuse());
            }
        }
        if text.chars().any(char::is_control) || (contact.phone.is_none() && contact.email.is_none()) {
            return Err(refuse());
        }
        Ok(contact)
    }
}

impl fmt::Display for Contact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        for part in [&self.role, &self.phone, &self.email].into_iter().flatten() {
            write!(f, ", {part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_contact_is_read_from_one_line() {
        let contact: Contact = "Anna Muster, Leitung, +49 431 123456, anna@kita.example"
            .parse()
            .expect("parses");
        assert_eq!(contact.role.as_deref(), Some("Leitung"));
        assert_eq!(contact.phone.as_deref(), Some("+49 431 123456"));
        assert_eq!(contact.email.as_deref(), Some("anna@kita.example"));
        assert_eq!(contact.to_string().parse::<Contact>(), Ok(contact));
        for bad in ["", "Anna", "Anna, Leitung", "Anna, a@b, c@d", "Anna\n, a@b"] {
            assert!(bad.parse::<Contact>().is_err(), "{bad:?}");
        }
    }
}
