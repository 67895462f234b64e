//! Operations on rules.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::changed;
use super::person::from_contact;
use crate::model::{ChannelKind, Name, Outcome, Recipient, Rule, Threshold, Way};
use crate::operations::{Controller, JobContext, Operation, OperationError, Preview, Risk, Scope};

/// Adds a rule: who is told of what
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct AddRule {
    /// Who: a person that was added, or a contact of the organisation, by the first name
    #[arg(long)]
    pub person: Name,
    /// Of which organisation; of all of them, and of Allmende itself, if nothing is said
    #[arg(long = "org", value_name = "ORGANISATION")]
    pub organisation: Option<Name>,
    /// By which channel; may be left out while there is only one
    #[arg(long)]
    pub channel: Option<Name>,
    /// From which severity on
    #[arg(long, default_value = "warning")]
    pub from: Threshold,
    /// Only what lasts for so many minutes
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    pub delay: u32,
    /// Again after so many hours while nobody took it on; 0 for never
    #[arg(long, value_name = "HOURS", default_value_t = 24)]
    pub remind: u32,
    /// The weekly digest, too
    #[arg(long)]
    #[serde(default)]
    pub digest: bool,
}

/// What a rule is made of: the rule, and the person if they were not known yet.
struct Plan {
    rule: Rule,
    new_person: Option<Recipient>,
    person: Recipient,
    says: String,
}

fn refused(text: impl Into<String>) -> OperationError {
    OperationError::Refused(text.into())
}

impl AddRule {
    async fn plan(&self, controller: &Controller) -> Result<Plan, OperationError> {
        const LONGEST_DELAY: u32 = 24 * 60;
        const LONGEST_REMINDER: u32 = 24 * 30;
        if self.delay > LONGEST_DELAY || self.remind > LONGEST_REMINDER {
            return Err(refused(
                "--delay must be at most a day (1440), --remind at most 30 days (720)",
            ));
        }
        let notifications = controller.store.notifications();
        let organisation = match &self.organisation {
            Some(name) => Some(controller.store.organisations().get(name).await?),
            None => None,
        };
        let known = notifications
            .people()
            .await?
            .into_iter()
            .find(|person| person.name == self.person);
        let (person, new) = match (known, &organisation) {
            (Some(person), _) => (person, false),
            (None, Some(organisation)) => (from_contact(&self.person, organisation)?, true),
            // Says who is known.
            (None, None) => (notifications.person(&self.person).await?, false),
        };
        let channels = notifications.channels().await?;
        let channel = match (&self.channel, channels.as_slice()) {
            (Some(name), _) => notifications.channel(name).await?.0,
            (None, [(only, _)]) => only.clone(),
            (None, []) => {
                return Err(refused(
                    "there is no channel yet. Begin with: allmende notify channel add mail --smtp smtp.example.org:587 --from allmende@example.org --user allmende",
                ));
            }
            (None, several) => {
                let names: Vec<&str> = several.iter().map(|(channel, _)| channel.name.as_str()).collect();
                return Err(refused(format!(
                    "say by which channel: --channel {}",
                    names.join("|")
                )));
            }
        };
        let kind = channel.way.kind();
        if !person.is_reached_by(kind) {
            return Err(refused(format!(
                "{} has no address for {kind}; give it with: allmende notify person {} {} --{kind} …",
                person.title,
                if new { "add" } else { "edit" },
                person.name
            )));
        }
        if self.digest && !matches!(channel.way, Way::Mail { .. }) {
            return Err(refused(format!("the digest is a mail: it does not go by {kind}")));
        }
        if self.from == Threshold::Nothing && !self.digest {
            return Err(refused(
                "--from nothing makes sense only with --digest: otherwise nothing would ever be told",
            ));
        }
        let of = organisation.as_ref().map_or_else(
            || "all organisations and Allmende itself".to_owned(),
            |it| it.title.clone(),
        );
        let says = match (self.from, self.digest) {
            (Threshold::Nothing, _) => format!(
                "{} gets the weekly digest of {of} by {}",
                person.title, channel.name
            ),
            (from, digest) => format!(
                "{} is told of {of} by {}: {}{}",
                person.title,
                channel.name,
                match from {
                    Threshold::Critical => "what is critical",
                    _ => "warnings and what is critical",
                },
                if digest { ", and the weekly digest" } else { "" }
            ),
        };
        let rule = Rule {
            id: 0,
            organisation: self.organisation.clone(),
            person: person.name.clone(),
            channel: channel.name,
            from: self.from,
            delay: i64::from(self.delay) * 60,
            remind: (self.remind > 0).then_some(i64::from(self.remind) * 3600),
            digest: self.digest,
        };
        let same = |other: &Rule| {
            Rule {
                id: 0,
                ..other.clone()
            } == rule
        };
        if let Some(other) = notifications.rules().await?.iter().find(|other| same(other)) {
            return Err(refused(format!("that is rule {} already", other.id)));
        }
        Ok(Plan {
            rule,
            new_person: new.then(|| person.clone()),
            person,
            says,
        })
    }
}

impl Operation for AddRule {
    const NAME: &'static str = "notify.rule.add";
    const RISK: Risk = Risk::Safe;

    fn title(&self) -> String {
        format!("add a rule for {}", self.person)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        match &self.organisation {
            Some(name) => {
                controller.store.organisations().get(name).await?;
                Ok(Scope::organisation(name))
            }
            None => Ok(Scope::default()),
        }
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let plan = self.plan(controller).await?;
        let person = plan
            .new_person
            .map(|person| format!("{} ({}) would be added as a person", person.title, person.name));
        Ok(Preview::of(
            person
                .into_iter()
                .chain([format!("a rule would be added: {}", plan.says)]),
        ))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let notifications = context.controller().store.notifications();
        let plan = self.plan(context.controller()).await?;
        if let Some(person) = &plan.new_person {
            notifications.add_person(person).await?;
        }
        let id = notifications.add_rule(&plan.rule).await?;
        let hint = if plan.person.address(ChannelKind::Mail).is_some() || plan.new_person.is_none() {
            String::new()
        } else {
            format!(" There is no mail address of {} yet.", plan.person.title)
        };
        Ok(Outcome {
            details: serde_json::json!({ "rule": id }),
            ..changed(format!("Rule {id}: {}.{hint}", plan.says))
        })
    }
}

/// Removes a rule
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct RemoveRule {
    /// Its number, as `notify rule list` shows it
    pub number: i64,
}

impl RemoveRule {
    async fn rule(&self, controller: &Controller) -> Result<Option<Rule>, OperationError> {
        let rules = controller.store.notifications().rules().await?;
        Ok(rules.into_iter().find(|rule| rule.id == self.number))
    }
}

impl Operation for RemoveRule {
    const NAME: &'static str = "notify.rule.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove rule {}", self.number)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let organisation = self.rule(controller).await?.and_then(|rule| rule.organisation);
        Ok(Scope::organisations(organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        Ok(Preview::of([match self.rule(controller).await? {
            Some(rule) => format!("{} would no longer be told by rule {}", rule.person, rule.id),
            None => format!("there is no rule {}", self.number),
        }]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let notifications = context.controller().store.notifications();
        notifications.remove_rule(self.number).await?;
        Ok(changed(format!("Removed rule {}.", self.number)))
    }
}
