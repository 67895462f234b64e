//! Health: asking, judging, remembering and telling how hosts and services are.

pub mod backups;
pub mod inside;
mod judgement;
mod own;
mod probe;
mod record;
mod wording;

pub use judgement::{Rules, judge};
pub use own::{channels, disk, drift, lag, own_backup, queue, schedules, sheets, unwatched};
pub use probe::{Means, Prober};
pub use record::record;
pub use wording::say;
