//! Health: asking, judging, remembering and telling how hosts and services are.

pub mod inside;
mod wording;

pub use wording::say;
