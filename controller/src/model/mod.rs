//! Plain types: what the words of Allmende mean. No input, no output.

mod host;
mod inventory;
mod job;
mod name;
mod organisation;
mod person;
mod secret;
mod service;

pub use host::{Host, HostKey, MonthlyCost};
pub use inventory::{HostEntry, Inventory, OrganisationEntry, ServiceEntry};
pub use job::{Job, JobEvent, JobEventKind, JobId, JobState, Outcome};
pub use name::{InvalidName, Name, ServiceRef, instance_name};
pub use organisation::{Contact, Organisation, Sector};
pub use person::{Actor, Role};
pub use secret::Secret;
pub use service::{Applied, Parameters, Service};
