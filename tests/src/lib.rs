//! What the end-to-end tests share: the built program, and practice hosts to use it on.

mod program;
mod world;

pub use program::{Finished, program};
pub use world::{HostAccess, World};
