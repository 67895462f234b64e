//! Operations on people who are told.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::changed;
use crate::model::{Contact, Language, Name, Organisation, Outcome, QuietHours, Recipient, Zone};
use crate::notify::parse_mailbox;
use crate::operations::organisation::check_text;
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::store::StoreError;

/// What is known about a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args, Serialize, Deserialize)]
pub struct PersonSettings {
    /// The name that people use: "Anna Muster"
    #[arg(long = "name", value_name = "NAME")]
    pub title: Option<String>,
    /// The language of what they get; German if nothing is said
    #[arg(long)]
    pub language: Option<Language>,
    /// Where mail goes
    #[arg(long, value_name = "ADDRESS")]
    pub mail: Option<String>,
    /// The topic that they follow at the ntfy server; long and hard to guess, for who knows it reads along
    #[arg(long, value_name = "TOPIC")]
    pub ntfy: Option<String>,
    /// The Matrix room that they read: !abc:example.org
    #[arg(long, value_name = "ROOM")]
    pub matrix: Option<String>,
    /// When they want their peace from what can wait: 22:00-07:00
    #[arg(long, value_name = "HOURS")]
    pub quiet: Option<QuietHours>,
    /// Where their clock is; Europe/Berlin if nothing is said
    #[arg(long)]
    pub zone: Option<Zone>,
}

/// Adds somebody who is told
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddPerson {
    /// A short name, for example anna
    #[arg(value_name = "SHORT_NAME")]
    pub short_name: Name,
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: PersonSettings,
    /// Takes name and mail address from the contact of this organisation that is called like the short name
    #[arg(long, value_name = "ORGANISATION")]
    pub contact_of: Option<Name>,
    /// Is told when the controller was away
    #[arg(long)]
    #[serde(default)]
    pub second: bool,
}

fn refused(text: impl Into<String>) -> OperationError {
    OperationError::Refused(text.into())
}

impl PersonSettings {
    fn check(&self) -> Result<(), OperationError> {
        if let Some(title) = &self.title {
            check_text("the name", title)?;
        }
        if let Some(mail) = &self.mail {
            parse_mailbox(mail).map_err(refused)?;
        }
        if let Some(topic) = &self.ntfy {
            let fits = (1..=64).contains(&topic.len())
                && topic
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
            if !fits {
                return Err(refused(
                    "the topic must be 1 to 64 of a-z, A-Z, 0-9, - and _, without the server's address",
                ));
            }
        }
        if let Some(room) = &self.matrix
            && !(room.starts_with('!') && room.len() <= 255 && !room.chars().any(char::is_whitespace))
        {
            return Err(refused(format!(
                "{room:?} is no Matrix room: give its id, like !abc:example.org; Element shows it in the room's settings, under Advanced"
            )));
        }
        Ok(())
    }

    /// Puts what was given in the place of what was known.
    fn change(&self, person: &mut Recipient) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut person.title);
        }
        if let Some(language) = self.language {
            person.language = language;
        }
        for (given, known) in [
            (&self.mail, &mut person.mail),
            (&self.ntfy, &mut person.ntfy),
            (&self.matrix, &mut person.matrix),
        ] {
            if given.is_some() {
                known.clone_from(given);
            }
        }
        if self.quiet.is_some() {
            person.quiet = self.quiet;
        }
        if let Some(zone) = &self.zone {
            person.zone = zone.clone();
        }
    }
}

/// Somebody of whom nothing is known but the short name.
fn nobody(name: &Name) -> Recipient {
    let mut title = name.to_string();
    if let Some(first) = title.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    Recipient {
        name: name.clone(),
        title,
        language: Language::De,
        mail: None,
        ntfy: None,
        matrix: None,
        quiet: None,
        zone: Zone::default(),
        second: false,
    }
}

/// The person that a contact of an organisation is, if exactly one of them is called so: `anna`, `muster` or `anna-muster` for
/// "Anna Muster".
pub(super) fn from_contact(name: &Name, organisation: &Organisation) -> Result<Recipient, OperationError> {
    let fits = |contact: &&Contact| {
        let words: Vec<String> = contact.name.split_whitespace().map(spelled).collect();
        words.iter().any(|word| word == name.as_str()) || words.join("-") == name.as_str()
    };
    let found: Vec<&Contact> = organisation.contacts.iter().filter(fits).collect();
    match found.as_slice() {
        [contact] => Ok(Recipient {
            title: contact.name.clone(),
            mail: contact.email.clone(),
            ..nobody(name)
        }),
        [] => Err(refused(format!(
            "no contact of {} is called {name}; known are: {}. Add the person with: allmende notify person add {name} --mail …",
            organisation.name,
            contacts(organisation)
        ))),
        _ => Err(refused(format!(
            "several contacts of {} are called {name}: {}. Use first and last name, like anna-muster",
            organisation.name,
            contacts(organisation)
        ))),
    }
}

fn contacts(organisation: &Organisation) -> String {
    let names: Vec<&str> = organisation
        .contacts
        .iter()
        .map(|contact| contact.name.as_str())
        .collect();
    if names.is_empty() {
        "nobody".to_owned()
    } else {
        names.join(", ")
    }
}

/// A word as it is spelled in a short name.
fn spelled(word: &str) -> String {
    let mut spelled = String::new();
    for c in word.to_lowercase().chars() {
        match c {
            'a'..='z' | '0'..='9' | '-' => spelled.push(c),
            'ä' => spelled.push_str("ae"),
            'ö' => spelled.push_str("oe"),
            'ü' => spelled.push_str("ue"),
            'ß' => spelled.push_str("ss"),
            _ => {}
        }
    }
    spelled
}

impl AddPerson {
    async fn person(&self, controller: &Controller) -> Result<Recipient, OperationError> {
        self.settings.check()?;
        let mut person = match &self.contact_of {
            Some(organisation) => {
                let organisation = controller.store.organisations().get(organisation).await?;
                from_contact(&self.short_name, &organisation)?
            }
            None => nobody(&self.short_name),
        };
        self.settings.change(&mut person);
        person.second = self.second;
        if controller
            .store
            .notifications()
            .person(&person.name)
            .await
            .is_ok()
        {
            return Err(StoreError::Exists {
                noun: "person",
                name: person.name.to_string(),
            }
            .into());
        }
        Ok(person)
    }
}

impl Operation for AddPerson {
    const NAME: &'static str = "notify.person.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add person {}", self.short_name)
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let person = self.person(controller).await?;
        Ok(Preview::of([format!(
            "{} ({}) would be added",
            person.title, person.name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let person = self.person(controller).await?;
        controller.store.notifications().add_person(&person).await?;
        Ok(changed(format!("Added {} ({}).", person.title, person.name)))
    }
}

/// What can be cleared of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PersonField {
    /// The mail address
    Mail,
    /// The ntfy topic
    Ntfy,
    /// The Matrix room
    Matrix,
    /// The quiet hours
    Quiet,
}

/// Changes what is known about a person
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditPerson {
    /// The short name
    #[arg(value_name = "SHORT_NAME")]
    pub short_name: Name,
    #[command(flatten)]
    #[serde(flatten)]
    pub settings: PersonSettings,
    /// Whether they are told when the controller was away: true or false
    #[arg(long)]
    pub second: Option<bool>,
    /// Forgets a field
    #[arg(long)]
    #[serde(default)]
    pub clear: Vec<PersonField>,
}

impl EditPerson {
    async fn changed(&self, controller: &Controller) -> Result<(Recipient, bool), OperationError> {
        self.settings.check()?;
        let old = controller.store.notifications().person(&self.short_name).await?;
        let mut new = old.clone();
        for field in &self.clear {
            match field {
                PersonField::Mail => new.mail = None,
                PersonField::Ntfy => new.ntfy = None,
                PersonField::Matrix => new.matrix = None,
                PersonField::Quiet => new.quiet = None,
            }
        }
        self.settings.change(&mut new);
        if let Some(second) = self.second {
            new.second = second;
        }
        let differs = new != old;
        Ok((new, differs))
    }
}

impl Operation for EditPerson {
    const NAME: &'static str = "notify.person.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit person {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.notifications().person(&self.short_name).await?;
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let (_, differs) = self.changed(controller).await?;
        Ok(Preview::of([if differs {
            format!("{} would be changed", self.short_name)
        } else {
            "nothing would change".to_owned()
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let (person, differs) = self.changed(controller).await?;
        if !differs {
            return Ok(Outcome {
                message: format!("{} stays as it is.", self.short_name),
                ..Outcome::default()
            });
        }
        controller.store.notifications().change_person(&person).await?;
        Ok(changed(format!("Changed {}.", self.short_name)))
    }
}

/// Removes a person whom no rule needs any more
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemovePerson {
    /// The short name
    #[arg(value_name = "SHORT_NAME")]
    pub short_name: Name,
}

impl Operation for RemovePerson {
    const NAME: &'static str = "notify.person.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove person {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.notifications().person(&self.short_name).await?;
        Ok(Scope::default())
    }

    async fn preview(&self, _controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of([format!(
            "{} would be removed, with the log of what they were told",
            self.short_name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let notifications = context.controller().store.notifications();
        notifications.remove_person(&self.short_name).await?;
        Ok(changed(format!("Removed {}.", self.short_name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Sector;

    #[test]
    fn a_contact_is_found_by_first_last_or_whole_name() {
        let contact = |text: &str| text.parse::<Contact>().expect(text);
        let organisation = Organisation {
            name: "kita-sonne".parse().expect("a name"),
            title: "KiTa Sonne e.V.".to_owned(),
            sector: Sector::Kita,
            place: None,
            contacts: vec![
                contact("Anna Muster, Leitung, anna@kita.example"),
                contact("Jörg Müller, 0431 1"),
                contact("Anna Groß, anna.gross@kita.example"),
            ],
        };
        let find = |name: &str| from_contact(&name.parse().expect(name), &organisation);
        assert_eq!(find("muster").expect("is found").title, "Anna Muster");
        assert_eq!(find("joerg-mueller").expect("is found").title, "Jörg Müller");
        let gross = find("anna-gross").expect("is found");
        assert_eq!(gross.mail.as_deref(), Some("anna.gross@kita.example"));
        assert!(
            find("anna")
                .expect_err("two of them")
                .to_string()
                .contains("several")
        );
        assert!(
            find("bea")
                .expect_err("unknown")
                .to_string()
                .contains("Jörg Müller")
        );
    }

    #[test]
    fn addresses_that_cannot_be_are_refused() {
        let check = |change: fn(&mut PersonSettings)| {
            let mut settings = PersonSettings::default();
            change(&mut settings);
            settings.check()
        };
        assert!(check(|it| it.mail = Some("anna".to_owned())).is_err());
        assert!(check(|it| it.mail = Some("anna@example.org\nBcc: x@y".to_owned())).is_err());
        assert!(check(|it| it.ntfy = Some("https://ntfy.sh/topic".to_owned())).is_err());
        assert!(check(|it| it.matrix = Some("#room:example.org".to_owned())).is_err());
        assert!(check(|it| it.matrix = Some("!room:example.org".to_owned())).is_ok());
    }
}
