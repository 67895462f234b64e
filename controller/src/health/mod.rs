//! Health: asking, judging, remembering and telling how hosts and services are.

#[allow(dead_code)]
mod own;
mod wording;

pub use wording::say;
