//! Health: asking, judging, remembering and telling how hosts and services are.

mod wording;

pub use wording::say;
