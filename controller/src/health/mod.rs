//! Health: asking, judging, remembering and telling how hosts and services are.

mod probe;
mod wording;

pub use probe::{Means, Prober};
pub use wording::say;
