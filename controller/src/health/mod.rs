//! Health: asking, judging, remembering and telling how hosts and services are.

mod judgement;
mod own;
mod probe;
mod record;
mod wording;

pub use judgement::{Rules, judge};
pub use own::{disk, drift, lag, queue};
pub use probe::{Means, Prober};
pub use record::record;
pub use wording::say;
