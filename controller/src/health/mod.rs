//! Health: asking, judging, remembering and telling how hosts and services are.

pub mod inside;
#[allow(dead_code)]
mod own;
mod probe;
mod wording;

pub use probe::{Means, Prober};
pub use wording::say;
