//! Operations on organisations.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};
use crate::model::{Contact, Name, Organisation, Outcome, Sector};
use crate::store::StoreError;

/// Adds an organisation
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddOrganisation {
    /// Short name, for example kita-sonne
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    /// The name that people use: "KiTa Sonne e.V."
    #[arg(long = "name", value_name = "TITLE")]
    pub title: String,
    /// What kind of organisation it is
    #[arg(long)]
    pub sector: Sector,
    /// Town or address
    #[arg(long)]
    pub place: Option<String>,
    /// Somebody to call: "Name, role, telephone, mail"; may be given several times
    #[arg(long = "contact", value_name = "CONTACT")]
    #[serde(default)]
    pub contacts: Vec<Contact>,
}

impl Operation for AddOrganisation {
    const NAME: &'static str = "organisation.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add organisation {}", self.short_name)
    }

    async fn scope(&self, _controller: &Controller) -> Result<Scope, OperationError> {
        // It does not exist yet: this is about the controller itself.
        Ok(Scope::default())
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        check_text("the title", &self.title)?;
        check_optional("the place", self.place.as_ref())?;
        if controller
            .store
            .organisations()
            .get(&self.short_name)
            .await
            .is_ok()
        {
            let name = self.short_name.to_string();
            let noun = "organisation";
            return Err(StoreError::Exists { noun, name }.into());
        }
        Ok(Preview::of([format!(
            "{} ({}) would be added",
            self.title, self.short_name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        check_text("the title", &self.title)?;
        check_optional("the place", self.place.as_ref())?;
        let organisation = Organisation {
            name: self.short_name.clone(),
            title: self.title.trim().to_owned(),
            sector: self.sector,
            place: self.place.clone(),
            contacts: self.contacts.clone(),
        };
        context
            .controller()
            .store
            .organisations()
            .add(&organisation)
            .await?;
        Ok(Outcome {
            message: format!("Added {} ({}).", organisation.title, organisation.name),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// What can be cleared of an organisation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OrganisationField {
    /// Town or address
    Place,
    /// The people to call
    Contacts,
}

/// Changes what is known about an organisation
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct EditOrganisation {
    /// Short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
    /// The name that people use
    #[arg(long = "name", value_name = "TITLE")]
    pub title: Option<String>,
    /// What kind of organisation it is
    #[arg(long)]
    pub sector: Option<Sector>,
    /// Town or address
    #[arg(long)]
    pub place: Option<String>,
    /// Somebody to call; those given replace all that are known
    #[arg(long = "contact", value_name = "CONTACT")]
    #[serde(default)]
    pub contacts: Vec<Contact>,
    /// Forgets a field
    #[arg(long)]
    #[serde(default)]
    pub clear: Vec<OrganisationField>,
}

impl EditOrganisation {
    fn change(&self, organisation: &mut Organisation) {
        if let Some(title) = &self.title {
            title.trim().clone_into(&mut organisation.title);
        }
        if let Some(sector) = self.sector {
            organisation.sector = sector;
        }
        for field in &self.clear {
            match field {
                OrganisationField::Place => organisation.place = None,
                OrganisationField::Contacts => organisation.contacts.clear(),
            }
        }
        if self.place.is_some() {
            organisation.place.clone_from(&self.place);
        }
        if !self.contacts.is_empty() {
            organisation.contacts.clone_from(&self.contacts);
        }
    }

    fn check(&self) -> Result<(), OperationError> {
        check_optional("the title", self.title.as_ref())?;
        check_optional("the place", self.place.as_ref())
    }
}

impl Operation for EditOrganisation {
    const NAME: &'static str = "organisation.edit";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("edit organisation {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.organisations().get(&self.short_name).await?;
        Ok(Scope::organisation(&self.short_name))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.check()?;
        let old = controller.store.organisations().get(&self.short_name).await?;
        let mut new = old.clone();
        self.change(&mut new);
        Ok(Preview::of([if new == old {
            "nothing would change".to_owned()
        } else {
            format!("{} would be changed", self.short_name)
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        self.check()?;
        let organisations = context.controller().store.organisations();
        let old = organisations.get(&self.short_name).await?;
        let new = organisations
            .update(&self.short_name, |organisation| self.change(organisation))
            .await?;
        Ok(Outcome {
            message: if new == old {
                format!("{} stays as it is.", self.short_name)
            } else {
                format!("Changed {}.", self.short_name)
            },
            changed: new != old,
            ..Outcome::default()
        })
    }
}

/// Removes an organisation that has no hosts and services any more
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveOrganisation {
    /// Short name
    #[arg(value_name = "NAME")]
    pub short_name: Name,
}

impl RemoveOrganisation {
    async fn check(&self, controller: &Controller) -> Result<(), OperationError> {
        let dependents = controller
            .store
            .organisations()
            .dependents(&self.short_name)
            .await?;
        if dependents.is_empty() {
            return Ok(());
        }
        Err(OperationError::Refused(format!(
            "{} still has {}. Remove these first",
            self.short_name,
            dependents.join(", ")
        )))
    }
}

impl Operation for RemoveOrganisation {
    const NAME: &'static str = "organisation.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove organisation {}", self.short_name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        controller.store.organisations().get(&self.short_name).await?;
        Ok(Scope::organisation(&self.short_name))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        self.check(controller).await?;
        Ok(Preview::of([format!(
            "{} would be removed, with what is left of its secrets",
            self.short_name
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        self.check(context.controller()).await?;
        context
            .controller()
            .store
            .organisations()
            .remove(&self.short_name)
            .await?;
        Ok(Outcome {
            message: format!("Removed {}.", self.short_name),
            changed: true,
            ..Outcome::default()
        })
    }
}

/// Refuses a text that is no line of text.
pub(super) fn check_text(what: &str, text: &str) -> Result<(), OperationError> {
    const LONGEST: usize = 200;
    let fits =
        !text.trim().is_empty() && text.chars().count() <= LONGEST && !text.chars().any(char::is_control);
    if fits {
        return Ok(());
    }
    Err(OperationError::Refused(format!(
        "{what} must be one line of 1 to {LONGEST} characters, not {text:?}"
    )))
}

/// [`check_text`] for what may be left out.
pub(super) fn check_optional(what: &str, text: Option<&String>) -> Result<(), OperationError> {
    text.map_or(Ok(()), |text| check_text(what, text))
}
