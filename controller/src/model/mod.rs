//! Plain types: what the words of Allmende mean. No input, no output.

mod domain;
mod host;
mod incident;
mod inventory;
mod job;
mod jump;
mod name;
mod organisation;
mod person;
mod recurrence;
mod schedule;
mod secret;
mod service;
mod text;
mod watch;

pub use domain::is_public_name;
pub use host::{Host, HostKey, HostLock, MonthlyCost};
pub use incident::{
    Acknowledgement, CheckState, HostContact, Incident, IncidentChange, IncidentEvent, Judged, Maintenance,
    MaintenancePlan, MaintenanceScope, RECENT_ANSWERS, Standing, Surroundings,
};
pub use inventory::{HostEntry, Inventory, OrganisationEntry, ServiceEntry};
pub use job::{Job, JobEvent, JobEventKind, JobId, JobState, Outcome};
pub use jump::{Jump, JumpAddress};
pub use name::{InvalidName, Name, ServiceRef, instance_name};
pub use organisation::{Contact, Organisation, Sector};
pub use person::{Actor, Role};
pub use recurrence::Recurrence;
pub use schedule::{Due, Pause, Schedule, Zone};
pub use secret::Secret;
pub use service::{Applied, Parameters, Service};
pub use text::{Language, Text};
pub use watch::{AddedCheck, Answer, CheckKey, Figure, Status, Subject};
