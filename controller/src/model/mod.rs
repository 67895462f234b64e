//! Plain types: what the words of Allmende mean. No input, no output.

mod backup;
mod channel;
mod domain;
mod host;
mod incident;
mod inventory;
mod job;
mod jump;
mod maintenance;
mod name;
mod notice;
mod organisation;
mod person;
mod recipient;
mod recurrence;
mod retention;
mod schedule;
mod secret;
mod service;
mod size;
mod target;
mod text;
mod watch;
mod zone;

pub use backup::{Backup, BackupId, BackupOutcome, Drill, DrillId, DrillOutcome, Part, Snapshot};
pub use channel::{Channel, ChannelHealth, ChannelKind, Encryption, Server, Way, is_loopback};
pub use domain::is_public_name;
pub use host::{Host, HostKey, HostLock, MonthlyCost};
pub use incident::{
    Acknowledgement, CheckStanding, CheckState, Ground, Incident, IncidentChange, IncidentEvent, Judged,
    RECENT_ANSWERS, Surroundings,
};
pub use inventory::{HostEntry, Inventory, OrganisationEntry, ServiceEntry, TargetEntry};
pub use job::{Job, JobEvent, JobEventKind, JobId, JobState, Outcome};
pub use jump::{Jump, JumpAddress};
pub use maintenance::{Maintenance, MaintenancePlan, MaintenanceScope};
pub use name::{InvalidName, Name, ServiceRef, instance_name};
pub use notice::{
    Content, Delivery, DeliveryKind, DeliveryState, Digest, DigestIncident, DigestJob, IncidentNotice,
    NoticeKind, Overdue, Parcel, Standing, Step, Telling, Thread,
};
pub use organisation::{Contact, Organisation, Sector};
pub use person::{Actor, Role};
pub use recipient::{QuietHours, Recipient, Rule, Threshold};
pub use recurrence::Recurrence;
pub use retention::Retention;
pub use schedule::{Due, Pause, Schedule};
pub use secret::Secret;
pub use service::{Applied, Parameters, Service};
pub use size::Size;
pub use target::{IntegrityCheck, Location, Repository, Target, TargetKind, TargetSize};
pub use text::{Language, Text};
pub use watch::{AddedCheck, Answer, CheckKey, Figure, Status, Subject};
pub use zone::Zone;
