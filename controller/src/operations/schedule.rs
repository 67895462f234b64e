//! Schedules: asking for an operation again and again.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Controller, JobContext, Operation, OperationError, Preview, Request, Risk, Scope};
use crate::model::{Name, Outcome, Recurrence, Role, Schedule, Secret, Zone};
use crate::store::{self, StoreError};

/// How many of the next times people are shown.
pub const SHOWN_TIMES: usize = 5;

/// The longest jitter where none was given, in seconds.
const LONGEST_DEFAULT_JITTER: i64 = 300;

/// How many of the next times are looked at to find out how close together they are.
const LOOKED_AT: usize = 50;

/// Adds a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AddSchedule {
    /// Its name, unique among all schedules.
    pub name: Name,
    /// When.
    pub at: Recurrence,
    /// Whose clock.
    pub zone: Zone,
    /// At most so many seconds later; without it, none for times of day and a little for words like "hourly".
    pub jitter_seconds: Option<i64>,
    /// The organisation that it belongs to.
    pub organisation: Option<Name>,
    /// The operation's name.
    pub operation: String,
    /// Its parameters.
    pub parameters: Value,
}

/// Changes a schedule. What is not given stays.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct EditSchedule {
    /// Its name.
    pub name: Name,
    /// When.
    pub at: Option<Recurrence>,
    /// Whose clock.
    pub zone: Option<Zone>,
    /// At most so many seconds later.
    pub jitter_seconds: Option<i64>,
    /// The organisation that it belongs to.
    pub organisation: Option<Name>,
    /// The operation's name.
    pub operation: Option<String>,
    /// Parameters: all of them where the operation is given, else those that change.
    #[serde(default)]
    pub parameters: Map<String, Value>,
}

/// Removes a schedule.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RemoveSchedule {
    /// Its name.
    pub name: Name,
}

/// The operation that a schedule asks for, if it may.
///
/// # Errors
/// When there is no such operation, when it has no such parameters, or takes something away.
fn request(operation: &str, parameters: &Value) -> Result<Request, OperationError> {
    if Request::risk_of(operation) == Some(Risk::Destructive) {
        return Err(OperationError::Refused(format!(
            "{operation} takes something away: that is done by a person who looks, and by no schedule"
        )));
    }
    // serde would take a list for the fields in their order.
    if !parameters.is_object() {
        return Err(OperationError::Refused(format!(
            "{operation} cannot be asked for like this: its parameters have names"
        )));
    }
    let request = Request::parse(operation, parameters)?;
    // What the operation does not know, or never writes down, it would not be asked with either.
    let known = written_down(&request)?;
    let given = parameters.as_object().into_iter().flat_map(Map::keys);
    let fields = |value: &Value| -> BTreeSet<String> {
        value
            .as_object()
            .into_iter()
            .flat_map(Map::keys)
            .cloned()
            .collect()
    };
    for name in given {
        if known.get(name).is_none() {
            return Err(OperationError::Refused(format!(
                "{operation} has no parameter {name} for schedules; here it has {}",
                fields(&known).into_iter().collect::<Vec<_>>().join(", ")
            )));
        }
    }
    Ok(request)
}

fn written_down(request: &Request) -> Result<Value, OperationError> {
    serde_json::to_value(request)
        .map_err(|error| OperationError::Refused(format!("the parameters cannot be written down: {error}")))
}

/// Parameters as the audit log may keep them: values of what is no operation might be a secret.
fn kept(operation: &str, parameters: Value) -> Value {
    match request(operation, &parameters) {
        Ok(_) => parameters,
        Err(_) => match parameters {
            Value::Object(map) => map
                .into_iter()
                .map(|(name, _)| (name, Value::from(Secret::MASK)))
                .collect::<Map<_, _>>()
                .into(),
            _ => Value::Null,
        },
    }
}

/// Everything about a schedule that can be wrong, found before it is written.
async fn check(
    schedule: &Schedule,
    controller: &Controller,
    now: Timestamp,
) -> Result<Request, OperationError> {
    let request = request(&schedule.operation, &schedule.parameters)?;
    request.scope(controller).await?;
    if let Some(organisation) = &schedule.organisation {
        controller.store.organisations().get(organisation).await?;
    }
    let closest = closest(schedule, now);
    if schedule.jitter_seconds < 0 || schedule.jitter_seconds >= closest {
        return Err(OperationError::Refused(format!(
            "a jitter of {} does not fit: it must be shorter than the time from one start to the next, which is {}",
            seconds(schedule.jitter_seconds),
            seconds(closest)
        )));
    }
    Ok(request)
}

/// The shortest time between two of the next times, in seconds.
fn closest(schedule: &Schedule, now: Timestamp) -> i64 {
    let times: Vec<Timestamp> = schedule.times_after(now).take(LOOKED_AT).collect();
    let distances = times
        .windows(2)
        .map(|pair| pair[1].duration_since(pair[0]).as_secs());
    distances.min().unwrap_or(i64::MAX)
}

/// What a schedule does and when, for people.
fn sentences(schedule: &Schedule, request: &Request, now: Timestamp) -> Vec<String> {
    let mut sentences = vec![
        format!("{} would ask for: {}", schedule.name, request.title()),
        format!(
            "{}, on the clock of {}",
            schedule.recurrence.sentence().en,
            schedule.zone
        ),
    ];
    if schedule.jitter_seconds > 0 {
        let bound = seconds(schedule.jitter_seconds);
        sentences.push(format!("each start up to {bound} later, always the same"));
    }
    sentences.push("the next times:".to_owned());
    let next = schedule.times_after(now).take(SHOWN_TIMES);
    sentences.extend(next.map(|time| format!("  {}", schedule.zone.show(time))));
    sentences
}

/// "45 s", "4 min 15 s", "2 h".
pub fn seconds(count: i64) -> String {
    let parts = [(count / 3600, "h"), (count / 60 % 60, "min"), (count % 60, "s")];
    let said: Vec<String> = parts
        .into_iter()
        .filter(|(number, _)| *number != 0)
        .map(|(number, unit)| format!("{number} {unit}"))
        .collect();
    if said.is_empty() {
        "0 s".to_owned()
    } else {
        said.join(" ")
    }
}

impl AddSchedule {
    fn schedule(&self, actor: &str, now: Timestamp) -> Schedule {
        let mut schedule = Schedule {
            name: self.name.clone(),
            organisation: self.organisation.clone(),
            operation: self.operation.clone(),
            parameters: self.parameters.clone(),
            recurrence: self.at.clone(),
            zone: self.zone.clone(),
            jitter_seconds: self.jitter_seconds.unwrap_or(0),
            paused: None,
            created_by: actor.to_owned(),
            created_at: now,
        };
        if self.jitter_seconds.is_none() && self.at.is_loose() {
            schedule.jitter_seconds = (closest(&schedule, now) / 12).clamp(0, LONGEST_DEFAULT_JITTER);
        }
        schedule
    }
}

impl Operation for AddSchedule {
    const NAME: &'static str = "schedule.add";
    const RISK: Risk = Risk::Safe;

    /// Whoever schedules an operation must be allowed to ask for it.
    async fn role(&self, controller: &Controller) -> Result<Role, OperationError> {
        let asked = request(&self.operation, &self.parameters)?
            .role(controller)
            .await?;
        Ok(asked.min(Role::Admin))
    }

    fn title(&self) -> String {
        format!("add schedule {}", self.name)
    }

    async fn kept(&self, _controller: &Controller) -> Self {
        Self {
            parameters: kept(&self.operation, self.parameters.clone()),
            ..self.clone()
        }
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        // No hosts: nothing is changed on them now.
        let asked = request(&self.operation, &self.parameters)?
            .scope(controller)
            .await?;
        Ok(Scope::organisations(
            asked.organisations.into_iter().chain(self.organisation.clone()),
        ))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        if controller.store.schedules().get(&self.name).await.is_ok() {
            let name = self.name.to_string();
            let noun = "schedule";
            return Err(StoreError::Exists { noun, name }.into());
        }
        let now = store::now();
        let schedule = self.schedule("", now);
        let request = check(&schedule, controller, now).await?;
        Ok(Preview::of(sentences(&schedule, &request, now)))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let now = store::now();
        let schedule = self.schedule(&context.actor().name, now);
        let request = check(&schedule, controller, now).await?;
        controller.store.schedules().add(&schedule, now).await?;
        Ok(Outcome {
            message: format!(
                "Added schedule {}: {}, {} ({}).",
                schedule.name,
                request.title(),
                schedule.recurrence.sentence().en,
                schedule.zone
            ),
            changed: true,
            ..Outcome::default()
        })
    }
}

impl EditSchedule {
    fn change(&self, schedule: &mut Schedule) {
        if let Some(at) = &self.at {
            schedule.recurrence.clone_from(at);
        }
        if let Some(zone) = &self.zone {
            schedule.zone.clone_from(zone);
        }
        if let Some(jitter) = self.jitter_seconds {
            schedule.jitter_seconds = jitter;
        }
        if self.organisation.is_some() {
            schedule.organisation.clone_from(&self.organisation);
        }
        if let Some(operation) = &self.operation {
            schedule.operation.clone_from(operation);
            schedule.parameters = Value::Object(self.parameters.clone());
        } else if let Some(parameters) = schedule.parameters.as_object_mut() {
            parameters.extend(self.parameters.clone());
        }
    }

    async fn changed(&self, controller: &Controller) -> Result<Schedule, OperationError> {
        let mut schedule = controller.store.schedules().get(&self.name).await?;
        self.change(&mut schedule);
        Ok(schedule)
    }
}

impl Operation for EditSchedule {
    const NAME: &'static str = "schedule.edit";
    const RISK: Risk = Risk::Safe;

    /// Whoever schedules an operation must be allowed to ask for it.
    async fn role(&self, controller: &Controller) -> Result<Role, OperationError> {
        let schedule = self.changed(controller).await?;
        let asked = request(&schedule.operation, &schedule.parameters)?
            .role(controller)
            .await?;
        Ok(asked.min(Role::Admin))
    }

    fn title(&self) -> String {
        format!("edit schedule {}", self.name)
    }

    async fn kept(&self, controller: &Controller) -> Self {
        let parameters = match self.changed(controller).await {
            Ok(schedule) if request(&schedule.operation, &schedule.parameters).is_ok() => {
                self.parameters.clone()
            }
            _ => self
                .parameters
                .keys()
                .map(|name| (name.clone(), Value::from(Secret::MASK)))
                .collect(),
        };
        Self {
            parameters,
            ..self.clone()
        }
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let old = controller.store.schedules().get(&self.name).await?;
        let new = self.changed(controller).await?;
        let asked = request(&new.operation, &new.parameters)?
            .scope(controller)
            .await?;
        let owners = [old.organisation, new.organisation].into_iter().flatten();
        Ok(Scope::organisations(
            asked.organisations.into_iter().chain(owners),
        ))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let now = store::now();
        let schedule = self.changed(controller).await?;
        let request = check(&schedule, controller, now).await?;
        Ok(Preview::of(sentences(&schedule, &request, now)))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        let controller = context.controller();
        let now = store::now();
        let old = controller.store.schedules().get(&self.name).await?;
        check(&self.changed(controller).await?, controller, now).await?;
        let new = controller
            .store
            .schedules()
            .update(&self.name, now, |schedule| self.change(schedule))
            .await?;
        Ok(Outcome {
            message: if new == old {
                format!("Schedule {} stays as it is.", self.name)
            } else {
                format!(
                    "Changed schedule {}: {} ({}).",
                    self.name,
                    new.recurrence.sentence().en,
                    new.zone
                )
            },
            changed: new != old,
            ..Outcome::default()
        })
    }
}

impl Operation for RemoveSchedule {
    const NAME: &'static str = "schedule.remove";
    const RISK: Risk = Risk::Destructive;

    fn title(&self) -> String {
        format!("remove schedule {}", self.name)
    }

    async fn scope(&self, controller: &Controller) -> Result<Scope, OperationError> {
        let schedule = controller.store.schedules().get(&self.name).await?;
        Ok(Scope::organisations(schedule.organisation))
    }

    async fn preview(&self, controller: &Controller) -> Result<Preview, OperationError> {
        let schedule = controller.store.schedules().get(&self.name).await?;
        Ok(Preview::of([format!(
            "{} ({}) would be removed; jobs that it made stay",
            schedule.name, schedule.recurrence
        )]))
    }

    async fn run(&self, context: &JobContext<'_>) -> Result<Outcome, OperationError> {
        context.controller().store.schedules().remove(&self.name).await?;
        Ok(Outcome {
            message: format!("Removed schedule {}.", self.name),
            changed: true,
            ..Outcome::default()
        })
    }
}
